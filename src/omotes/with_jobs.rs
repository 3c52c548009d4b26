//! A registry beside which jobs are at work: who deletes a job through it cancels the job as well, whichever way
//! in it came through.
//!
//! Invariant: everything but a deletion is the registry's own.

use std::sync::Arc;

use async_trait::async_trait;

use super::Orchestrator;
use super::deletion::Deletion;
use super::reading::Message;
use super::rows::Need;
use crate::problem::Result;
use crate::registry::beside::Beside;
use crate::registry::pages::{Listed, Page};
use crate::registry::{Adopts, Checked, Reasons, Registry, RunnerLock, SeenRow};
use crate::retention::ownership::check::{Decision, Implausible, Inventory, Settings};
use crate::retention::ownership::event::{Event, Met};
use crate::retention::ownership::live::LiveJob;
use crate::retention::ownership::sighting::Sighting;
use crate::retention::ownership::{JobId, Ledger, OwnedName};

/// The registry of this orchestrator, for ways in that know nothing of it.
pub fn with_jobs(orchestrator: Arc<Orchestrator>) -> Arc<dyn Registry> {
    Arc::new(WithJobs(orchestrator))
}

struct WithJobs(Arc<Orchestrator>);

impl WithJobs {
    fn registry(&self) -> &dyn Registry {
        &*self.0.registry
    }
}

fn deletion(event: &Event) -> Option<Message> {
    match event {
        Event::Deleted(job) => Some(Message::Deletion(Deletion { job: *job })),
        _ => None,
    }
}

#[async_trait]
impl Registry for WithJobs {
    async fn now(&self) -> Result<i64> {
        self.registry().now().await
    }

    /// Deletions go first where others stand between them: nobody mixes them today.
    async fn record(&self, events: &[Event], now: i64) -> Result<Vec<Met>> {
        let deletions: Vec<Message> = events.iter().filter_map(deletion).collect();
        if deletions.is_empty() {
            return self.registry().record(events, now).await;
        }
        let others: Vec<Event> = events.iter().filter(|event| deletion(event).is_none()).cloned().collect();
        let mut deleted = self.0.carry_out(Need::Deletions, &deletions).await?.into_iter();
        let mut recorded = self.registry().record(&others, now).await?.into_iter();
        let met = |event: &Event| match deletion(event) {
            Some(_) => deleted.next().unwrap_or_default(),
            None => recorded.next().unwrap_or_default(),
        };
        Ok(events.iter().map(met).collect())
    }

    async fn record_beside(&self, work: &mut dyn Beside) -> Result<Vec<Met>> {
        self.registry().record_beside(work).await
    }

    async fn live_jobs(&self) -> Result<Vec<LiveJob>> {
        self.registry().live_jobs().await
    }

    async fn job_status(&self, job: JobId) -> Result<Option<String>> {
        self.registry().job_status(job).await
    }

    async fn check(
        &self,
        inventory: &Inventory,
        settings: &Settings,
        adopts: &Adopts,
        now: i64,
    ) -> Result<std::result::Result<Checked, Implausible>> {
        self.registry().check(inventory, settings, adopts, now).await
    }

    async fn preview(
        &self,
        inventory: &Inventory,
        settings: &Settings,
        adopts: &Adopts,
        now: i64,
    ) -> Result<std::result::Result<Checked, Implausible>> {
        self.registry().preview(inventory, settings, adopts, now).await
    }

    async fn announce(&self) -> Result<()> {
        self.registry().announce().await
    }

    async fn marked_row(&self, dataset: &OwnedName) -> Result<Option<SeenRow>> {
        self.registry().marked_row(dataset).await
    }

    async fn decide_again(
        &self,
        sighting: &Sighting,
        live_jobs: &[LiveJob],
        settings: &Settings,
        adopts: &Adopts,
        now: i64,
    ) -> Result<Decision> {
        self.registry().decide_again(sighting, live_jobs, settings, adopts, now).await
    }

    async fn dropped(&self, dataset: &OwnedName, row: &SeenRow) -> Result<bool> {
        self.registry().dropped(dataset, row).await
    }

    async fn restart_grace(&self, dataset: &OwnedName, row: &SeenRow, now: i64) -> Result<bool> {
        self.registry().restart_grace(dataset, row, now).await
    }

    async fn ledger(&self) -> Result<Ledger> {
        self.registry().ledger().await
    }

    async fn has_job_list(&self) -> Result<bool> {
        self.registry().has_job_list().await
    }

    async fn about(&self, datasets: &[OwnedName], jobs: &[JobId]) -> Result<Ledger> {
        self.registry().about(datasets, jobs).await
    }

    async fn page(&self, listed: Listed, after: Option<&str>, limit: usize, now: i64) -> Result<Page> {
        self.registry().page(listed, after, limit, now).await
    }

    async fn reasons(&self, held: &[OwnedName]) -> Result<Reasons> {
        self.registry().reasons(held).await
    }

    async fn tombstones(&self, after: Option<&str>, limit: usize) -> Result<Vec<(JobId, i64)>> {
        self.registry().tombstones(after, limit).await
    }

    async fn lock_runner(&self, run: &str) -> Result<Box<dyn RunnerLock>> {
        self.registry().lock_runner(run).await
    }

    async fn advice(&self) -> Result<Vec<String>> {
        self.registry().advice().await
    }
}
