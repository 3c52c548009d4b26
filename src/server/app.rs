//! What every handler works with.
//!
//! Invariant: work on the registry is a task of its own, which goes on when its request is given up: a
//! database transaction that is dropped half way would poison the connection.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::Insight;
use super::answer::Trouble;
use super::guard::Tokens;
use crate::config::TokenSettings;
use crate::problem::Result;
use crate::registry::Registry;
use crate::registry::pages::{Listed, Page};
use crate::retention::ownership::event::{Event, Met};
use crate::retention::ownership::{JobId, Ledger, OwnedName};
use crate::wake::Wake;

/// How long work that was begun may take after the last connection is closed.
const FINISHING: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });

#[derive(Clone)]
pub(super) struct App {
    pub tokens: Arc<Tokens>,
    pub insight: Arc<dyn Insight>,
    registry: Arc<dyn Registry>,
    wake: Wake,
    work: TaskTracker,
}

impl App {
    pub(super) fn new(
        tokens: &[TokenSettings],
        registry: Arc<dyn Registry>,
        wake: Wake,
        insight: Arc<dyn Insight>,
    ) -> Self {
        Self { tokens: Arc::new(Tokens::new(tokens)), insight, registry, wake, work: TaskTracker::new() }
    }

    /// Writes one event and wakes the loop.
    pub(super) async fn record(&self, event: Event) -> Result<Met, Trouble> {
        let (registry, wake) = (Arc::clone(&self.registry), self.wake.clone());
        self.undropped(async move {
            let now = registry.now().await?;
            let met = registry.record(&[event], now).await?.pop().unwrap_or_default();
            wake.wake();
            Ok(met)
        })
        .await
    }

    /// What is known of one dataset and one job, and when.
    pub(super) async fn about(
        &self,
        dataset: Option<&OwnedName>,
        job: Option<JobId>,
    ) -> Result<(Ledger, i64), Trouble> {
        let (registry, dataset) = (Arc::clone(&self.registry), dataset.cloned());
        self.undropped(async move {
            let ledger = registry.about(dataset.as_slice(), job.as_slice()).await?;
            Ok((ledger, registry.now().await?))
        })
        .await
    }

    /// The datasets of a list behind a name, and when.
    pub(super) async fn page(
        &self,
        listed: Listed,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Page, i64), Trouble> {
        let (registry, after) = (Arc::clone(&self.registry), after.map(str::to_owned));
        self.undropped(async move {
            let now = registry.now().await?;
            Ok((registry.page(listed, after.as_deref(), limit, now).await?, now))
        })
        .await
    }

    /// Deleted jobs whose result has not come, behind the text of an id.
    pub(super) async fn tombstones(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(JobId, i64)>, Trouble> {
        let (registry, after) = (Arc::clone(&self.registry), after.map(str::to_owned));
        self.undropped(async move { registry.tombstones(after.as_deref(), limit).await }).await
    }

    /// What the orchestrator says of a job that is at work.
    pub(super) async fn job_status(&self, job: JobId) -> Result<Option<String>, Trouble> {
        let registry = Arc::clone(&self.registry);
        self.undropped(async move { registry.job_status(job).await }).await
    }

    pub(super) async fn undropped<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T, Trouble> {
        match self.work.spawn(work).await {
            Ok(done) => done.map_err(Trouble::from),
            Err(_) => Err(Trouble::internal()),
        }
    }

    pub(super) async fn finish(&self) {
        self.work.close();
        if tokio::time::timeout(FINISHING, self.work.wait()).await.is_err() {
            tracing::warn!("{} requests were not finished in time", self.work.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;

    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::registry::memory::Memory;
    use crate::server::tests::Shown;

    #[tokio::test]
    async fn work_goes_on_when_its_request_is_given_up() {
        let shown = Arc::<Shown>::default();
        let app = App::new(&[], Arc::new(Memory::default()), Wake::default(), shown);
        let (begun, release) = (Arc::<Notify>::default(), Arc::<Notify>::default());
        let is_done = Arc::<AtomicBool>::default();
        let (says_begun, waits, done) = (Arc::clone(&begun), Arc::clone(&release), Arc::clone(&is_done));
        let work = app.undropped(async move {
            says_begun.notify_one();
            waits.notified().await;
            done.store(true, Ordering::SeqCst);
            Ok(())
        });
        // The request is given up in the middle of it.
        tokio::select! {
            _ = work => panic!("it waits"),
            () = begun.notified() => {}
        }
        release.notify_one();
        app.finish().await;
        assert!(is_done.load(Ordering::SeqCst), "it was dropped half way");
    }
}
