//! The three parts of a pass with a counter around every call: a pass stops for ever at a given step, or
//! something happens there.
//!
//! Every call is two steps, before and after its effect, so that "done, but nobody knows" is one of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::problem::{Problem, Result};
use crate::registry::beside::Beside;
use crate::registry::pages::{Listed, Page};
use crate::registry::{Adopts, Checked, Reasons, Registry, RunnerLock, SeenRow};
use crate::report::Report;
use crate::report::past::PastRun;
use crate::retention::ownership::check::{Decision, Implausible, Inventory, Settings};
use crate::retention::ownership::event::{Event, Met};
use crate::retention::ownership::live::LiveJob;
use crate::retention::ownership::sighting::Sighting;
use crate::retention::ownership::{JobId, Ledger, OwnedName};
use crate::state::{DatasetIntent, IntentId, NewRun, OpenDatasetIntent, Outcome, RunId};
use crate::store::owned::{DropTrouble, ListedDataset, OwnedStore};
use crate::sweep::owned::Journal;

/// What happens at a step, given how many times the store was asked for one dataset by then.
pub type Happening = Box<dyn FnOnce(usize) + Send>;

/// Before which call, and which one of that name.
type BeforeCall = (&'static str, usize, Happening);

#[derive(Clone, Default)]
pub struct Steps {
    taken: Arc<AtomicUsize>,
    looks: Arc<AtomicUsize>,
    stop_at: Option<usize>,
    /// How often the runner's lock can be verified before it is lost.
    lock_lasts: Option<usize>,
    happening: Arc<Mutex<Option<(usize, Happening)>>>,
    before_call: Arc<Mutex<Option<BeforeCall>>>,
    calls: Arc<Mutex<BTreeMap<&'static str, usize>>>,
}

impl Steps {
    pub fn stopping_at(step: usize) -> Self {
        Self { stop_at: Some(step), ..Self::default() }
    }

    pub fn with_a_lock_that_lasts(times: usize) -> Self {
        Self { lock_lasts: Some(times), ..Self::default() }
    }

    pub fn with_happening_at(step: usize, happening: Happening) -> Self {
        Self { happening: Arc::new(Mutex::new(Some((step, happening)))), ..Self::default() }
    }

    /// Right before the so-manieth call of that name, counted from 1.
    pub fn with_happening_before(call: &'static str, nth: usize, happening: Happening) -> Self {
        Self { before_call: Arc::new(Mutex::new(Some((call, nth, happening)))), ..Self::default() }
    }

    /// Whether what was to happen before a call has happened.
    pub fn has_happened(&self) -> bool {
        self.before_call.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn begin(&self, name: &'static str) {
        let count = {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            let count = calls.entry(name).or_default();
            *count += 1;
            *count
        };
        let due = {
            let mut waiting = self.before_call.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.take_if(|(call, nth, _)| *call == name && *nth == count)
        };
        if let Some((_, _, happening)) = due {
            happening(self.looks.load(Ordering::SeqCst));
        }
    }

    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    async fn step(&self) {
        let here = self.taken.fetch_add(1, Ordering::SeqCst);
        if self.stop_at == Some(here) {
            std::future::pending::<()>().await;
        }
        let due = {
            let mut waiting = self.happening.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.take_if(|(step, _)| *step == here)
        };
        if let Some((_, happening)) = due {
            happening(self.looks.load(Ordering::SeqCst));
        }
    }

    async fn around<T>(&self, name: &'static str, call: impl Future<Output = T>) -> T {
        self.begin(name);
        self.step().await;
        let answer = call.await;
        self.step().await;
        answer
    }
}

pub struct SteppedStore<S>(pub S, pub Steps);

#[async_trait]
impl<S: OwnedStore> OwnedStore for SteppedStore<S> {
    async fn identity(&self) -> Result<String> {
        self.0.identity().await
    }

    async fn list(&self) -> Result<Vec<ListedDataset>> {
        self.1.around("list", self.0.list()).await
    }

    async fn look(&self, name: &OwnedName) -> Result<Option<ListedDataset>> {
        self.1.begin("look");
        self.1.step().await;
        self.1.looks.fetch_add(1, Ordering::SeqCst);
        let seen = self.0.look(name).await;
        self.1.step().await;
        seen
    }

    async fn drop_dataset(&self, name: &OwnedName) -> std::result::Result<(), DropTrouble> {
        self.1.around("drop_dataset", self.0.drop_dataset(name)).await
    }

    async fn advice(&self) -> Result<Vec<String>> {
        self.0.advice().await
    }
}

pub struct SteppedRegistry<R>(pub R, pub Steps);

#[async_trait]
impl<R: Registry> Registry for SteppedRegistry<R> {
    async fn now(&self) -> Result<i64> {
        self.0.now().await
    }

    async fn record(&self, events: &[Event], now: i64) -> Result<Vec<Met>> {
        self.1.around("record", self.0.record(events, now)).await
    }

    async fn live_jobs(&self) -> Result<Vec<LiveJob>> {
        self.1.around("live_jobs", self.0.live_jobs()).await
    }

    async fn check(
        &self,
        inventory: &Inventory,
        settings: &Settings,
        adopts: &Adopts,
        now: i64,
    ) -> Result<std::result::Result<Checked, Implausible>> {
        self.1.around("check", self.0.check(inventory, settings, adopts, now)).await
    }

    async fn preview(
        &self,
        inventory: &Inventory,
        settings: &Settings,
        adopts: &Adopts,
        now: i64,
    ) -> Result<std::result::Result<Checked, Implausible>> {
        self.0.preview(inventory, settings, adopts, now).await
    }

    async fn announce(&self) -> Result<()> {
        self.1.around("announce", self.0.announce()).await
    }

    async fn marked_row(&self, dataset: &OwnedName) -> Result<Option<SeenRow>> {
        self.1.around("marked_row", self.0.marked_row(dataset)).await
    }

    async fn decide_again(
        &self,
        sighting: &Sighting,
        live_jobs: &[LiveJob],
        settings: &Settings,
        adopts: &Adopts,
        now: i64,
    ) -> Result<Decision> {
        self.1.around("decide_again", self.0.decide_again(sighting, live_jobs, settings, adopts, now)).await
    }

    async fn dropped(&self, dataset: &OwnedName, row: &SeenRow) -> Result<bool> {
        self.1.around("dropped", self.0.dropped(dataset, row)).await
    }

    async fn restart_grace(&self, dataset: &OwnedName, row: &SeenRow, now: i64) -> Result<bool> {
        self.1.around("restart_grace", self.0.restart_grace(dataset, row, now)).await
    }

    async fn ledger(&self) -> Result<Ledger> {
        self.0.ledger().await
    }

    async fn record_beside(&self, work: &mut dyn Beside) -> Result<Vec<Met>> {
        self.0.record_beside(work).await
    }

    async fn job_status(&self, job: JobId) -> Result<Option<String>> {
        self.0.job_status(job).await
    }

    async fn has_job_list(&self) -> Result<bool> {
        self.0.has_job_list().await
    }

    async fn about(&self, datasets: &[OwnedName], jobs: &[JobId]) -> Result<Ledger> {
        self.0.about(datasets, jobs).await
    }

    async fn page(&self, listed: Listed, after: Option<&str>, limit: usize, now: i64) -> Result<Page> {
        self.0.page(listed, after, limit, now).await
    }

    async fn reasons(&self, held: &[OwnedName]) -> Result<Reasons> {
        self.0.reasons(held).await
    }

    async fn tombstones(&self, after: Option<&str>, limit: usize) -> Result<Vec<(JobId, i64)>> {
        self.0.tombstones(after, limit).await
    }

    async fn lock_runner(&self, run: &str) -> Result<Box<dyn RunnerLock>> {
        let lock = self.0.lock_runner(run).await?;
        Ok(Box::new(SteppedLock(lock, self.1.lock_lasts)))
    }

    async fn advice(&self) -> Result<Vec<String>> {
        self.0.advice().await
    }
}

struct SteppedLock(Box<dyn RunnerLock>, Option<usize>);

#[async_trait]
impl RunnerLock for SteppedLock {
    async fn verify(&mut self) -> Result<()> {
        match &mut self.1 {
            Some(0) => return Err(Problem::unreachable("the runner's lock is lost")),
            Some(lasts) => *lasts -= 1,
            None => {}
        }
        self.0.verify().await
    }
}

pub struct SteppedJournal<J>(pub J, pub Steps);

#[async_trait]
impl<J: Journal> Journal for SteppedJournal<J> {
    async fn begin_run(&self, run: &NewRun) -> Result<()> {
        self.0.begin_run(run).await
    }

    async fn open_intents(&self, store: &str) -> Result<Vec<OpenDatasetIntent>> {
        self.0.open_intents(store).await
    }

    async fn write_intent(&self, run: RunId, intent: &DatasetIntent) -> Result<IntentId> {
        self.1.around("write_intent", self.0.write_intent(run, intent)).await
    }

    async fn write_outcome(
        &self,
        intent: IntentId,
        outcome: &Outcome,
        at: i64,
        settled_by: Option<RunId>,
    ) -> Result<()> {
        self.1.around("write_outcome", self.0.write_outcome(intent, outcome, at, settled_by)).await
    }

    async fn finish_run(&self, run: RunId, at: i64, exit_code: u8, report_json: &str) -> Result<()> {
        self.1.around("finish_run", self.0.finish_run(run, at, exit_code, report_json)).await
    }

    async fn runs_before(&self, report: &Report) -> Vec<PastRun> {
        self.0.runs_before(report).await
    }
}
