//! A registry in memory that can fail, or wait, before it commits.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use timesweep::problem::{Problem, Result};
use timesweep::registry::beside::Beside;
use timesweep::registry::memory::Memory;
use timesweep::registry::pages::{Listed, Page};
use timesweep::registry::{Adopts, Checked, Reasons, Registry, RunnerLock, SeenRow};
use timesweep::retention::ownership::check::{Decision, Implausible, Inventory, Settings};
use timesweep::retention::ownership::event::{Event, Met};
use timesweep::retention::ownership::live::LiveJob;
use timesweep::retention::ownership::sighting::Sighting;
use timesweep::retention::ownership::{JobId, Ledger, OwnedName};
use tokio::sync::Semaphore;

pub struct Stubborn {
    pub inner: Memory,
    /// How often `record` fails before it works.
    failures: AtomicUsize,
    /// One permit for each `record`; without any it waits.
    pub gate: Semaphore,
    pub calls: Mutex<Vec<Vec<Event>>>,
}

impl Stubborn {
    pub fn failing(times: usize) -> Self {
        let gate = Semaphore::new(Semaphore::MAX_PERMITS);
        Self { inner: Memory::default(), failures: AtomicUsize::new(times), gate, calls: Mutex::default() }
    }

    pub fn waiting() -> Self {
        Self { gate: Semaphore::new(0), ..Self::failing(0) }
    }

    pub fn calls(&self) -> usize {
        self.calls.lock().expect("the calls").len()
    }
}

#[async_trait]
impl Registry for Stubborn {
    async fn now(&self) -> Result<i64> {
        self.inner.now().await
    }

    async fn record(&self, events: &[Event], now: i64) -> Result<Vec<Met>> {
        self.calls.lock().expect("the calls").push(events.to_vec());
        self.gate.acquire().await.expect("the gate is open").forget();
        let fails = |left: usize| left.checked_sub(1);
        if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails).is_ok() {
            return Err(Problem::unreachable("the registry is away"));
        }
        self.inner.record(events, now).await
    }

    async fn ledger(&self) -> Result<Ledger> {
        self.inner.ledger().await
    }

    async fn live_jobs(&self) -> Result<Vec<LiveJob>> {
        unreachable!("nobody who writes marks asks for this")
    }

    async fn check(
        &self,
        _: &Inventory,
        _: &Settings,
        _: &Adopts,
        _: i64,
    ) -> Result<std::result::Result<Checked, Implausible>> {
        unreachable!("nobody who writes marks asks for this")
    }

    async fn preview(
        &self,
        _: &Inventory,
        _: &Settings,
        _: &Adopts,
        _: i64,
    ) -> Result<std::result::Result<Checked, Implausible>> {
        unreachable!("nobody who writes marks asks for this")
    }

    async fn announce(&self) -> Result<()> {
        unreachable!("nobody who writes marks asks for this")
    }

    async fn marked_row(&self, _: &OwnedName) -> Result<Option<SeenRow>> {
        unreachable!("nobody who writes marks asks for this")
    }

    async fn decide_again(
        &self,
        _: &Sighting,
        _: &[LiveJob],
        _: &Settings,
        _: &Adopts,
        _: i64,
    ) -> Result<Decision> {
        unreachable!("nobody who writes marks asks for this")
    }

    async fn dropped(&self, _: &OwnedName, _: &SeenRow) -> Result<bool> {
        unreachable!("nobody who writes marks asks for this")
    }

    async fn restart_grace(&self, _: &OwnedName, _: &SeenRow, _: i64) -> Result<bool> {
        unreachable!("nobody who writes marks asks for this")
    }

    async fn record_beside(&self, work: &mut dyn Beside) -> Result<Vec<Met>> {
        self.inner.record_beside(work).await
    }

    async fn job_status(&self, job: JobId) -> Result<Option<String>> {
        self.inner.job_status(job).await
    }

    async fn has_job_list(&self) -> Result<bool> {
        self.inner.has_job_list().await
    }

    async fn about(&self, datasets: &[OwnedName], jobs: &[JobId]) -> Result<Ledger> {
        self.inner.about(datasets, jobs).await
    }

    async fn page(&self, listed: Listed, after: Option<&str>, limit: usize, now: i64) -> Result<Page> {
        self.inner.page(listed, after, limit, now).await
    }

    async fn reasons(&self, held: &[OwnedName]) -> Result<Reasons> {
        self.inner.reasons(held).await
    }

    async fn tombstones(&self, after: Option<&str>, limit: usize) -> Result<Vec<(JobId, i64)>> {
        self.inner.tombstones(after, limit).await
    }

    async fn lock_runner(&self, _: &str) -> Result<Box<dyn RunnerLock>> {
        unreachable!("nobody who writes marks asks for this")
    }

    async fn advice(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}
