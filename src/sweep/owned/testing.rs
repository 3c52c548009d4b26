//! A pass in memory, for tests: a journal that can be copied, and parts that stop at any step.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::OwnershipSettings;
use crate::problem::{Problem, Result};
use crate::registry::memory::Memory as MemoryRegistry;
use crate::report::Report;
use crate::report::past::PastRun;
use crate::retention::model::StoreName;
use crate::retention::ownership::event::Event;
use crate::retention::ownership::{JobId, OwnedName};
use crate::state::{DatasetIntent, IntentId, NewRun, OpenDatasetIntent, Outcome, RunId};
use crate::store::owned::memory::Memory as MemoryStore;

use super::{Journal, OwnedPass};
use stepped::{SteppedRegistry, SteppedStore, Steps};

pub mod bent;
pub mod stepped;

/// What a journal holds.
#[derive(Debug, Clone, Default)]
pub struct Pages {
    pub runs: Vec<NewRun>,
    pub intents: BTreeMap<i64, (RunId, DatasetIntent)>,
    pub outcomes: BTreeMap<i64, Outcome>,
    pub reports: Vec<String>,
}

/// A journal whose pages the test holds as well.
#[derive(Clone, Default)]
pub struct MemoryJournal(Arc<Mutex<Pages>>);

impl MemoryJournal {
    pub fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn with(pages: Pages) -> Self {
        Self(Arc::new(Mutex::new(pages)))
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn begin_run(&self, run: &NewRun) -> Result<()> {
        self.pages().runs.push(run.clone());
        Ok(())
    }

    async fn open_intents(&self, _store: &str) -> Result<Vec<OpenDatasetIntent>> {
        let pages = self.pages();
        let open = pages.intents.iter().filter(|(id, _)| !pages.outcomes.contains_key(id));
        let open = open.map(|(id, (run, intent))| OpenDatasetIntent {
            id: IntentId(*id),
            run: *run,
            run_started_at: 0,
            intent: intent.clone(),
        });
        Ok(open.collect())
    }

    async fn write_intent(&self, run: RunId, intent: &DatasetIntent) -> Result<IntentId> {
        let mut pages = self.pages();
        let id = i64::try_from(pages.intents.len()).unwrap_or(i64::MAX);
        pages.intents.insert(id, (run, intent.clone()));
        Ok(IntentId(id))
    }

    async fn write_outcome(
        &self,
        intent: IntentId,
        outcome: &Outcome,
        _at: i64,
        _settled_by: Option<RunId>,
    ) -> Result<()> {
        let mut pages = self.pages();
        match pages.outcomes.insert(intent.0, outcome.clone()) {
            Some(before) if before != *outcome => Err(Problem::refused("a second, different outcome")),
            _ => Ok(()),
        }
    }

    async fn finish_run(&self, _run: RunId, _at: i64, _exit_code: u8, report_json: &str) -> Result<()> {
        self.pages().reports.push(report_json.to_owned());
        Ok(())
    }

    async fn runs_before(&self, _report: &Report) -> Vec<PastRun> {
        Vec::new()
    }
}

/// A store, a registry and a journal, a clock in hours, and a pass over them.
pub struct Ground {
    pub store: MemoryStore,
    pub registry: MemoryRegistry,
    pub journal: MemoryJournal,
    pub hour: i64,
    pub settings: OwnershipSettings,
}

pub const HOUR: i64 = 3_600_000_000;
/// 2026-01-01 00:00 UTC.
pub const START: i64 = 1_767_225_600_000_000;

pub fn job(number: u128) -> JobId {
    JobId(Uuid::from_u128(number))
}

/// A name that is adopted.
pub fn name(number: u128) -> OwnedName {
    OwnedName(Uuid::from_u128(number).to_string().into())
}

impl Default for Ground {
    fn default() -> Self {
        let mut settings = OwnershipSettings::of_store(StoreName("results".into()));
        settings.check.check_interval = HOUR;
        Self {
            store: MemoryStore::default(),
            registry: MemoryRegistry::default(),
            journal: MemoryJournal::default(),
            hour: 0,
            settings,
        }
    }
}

impl Ground {
    pub fn now(&self) -> i64 {
        START + self.hour * HOUR
    }

    pub fn later(&mut self, hours: i64) {
        self.hour += hours;
        self.registry.set_now(self.now());
    }

    pub fn write(&self, number: u128) {
        self.store.write(&name(number), self.now());
    }

    pub fn happen(&self, event: &Event) {
        let now = self.now();
        self.registry.change(|ledger| ledger.apply(event, now));
    }

    pub fn succeed(&self, number: u128, dataset: u128) {
        self.happen(&Event::Succeeded { job: job(number), dataset: name(dataset) });
    }

    pub fn delete(&self, number: u128) {
        self.happen(&Event::Deleted(job(number)));
    }

    pub fn pass(&self, steps: &Steps) -> OwnedPass {
        let now = self.now();
        self.registry.set_now(now);
        OwnedPass {
            store: Arc::new(SteppedStore(self.store.clone(), steps.clone())),
            registry: Arc::new(SteppedRegistry(self.registry.clone(), steps.clone())),
            settings: self.settings.clone(),
            max_clock_skew: HOUR,
            command: "run --apply".into(),
            stop: CancellationToken::new(),
            place: "db1:8086".into(),
            exit_code: |_| 0,
            our_now: Arc::new(move || now),
            gate: None,
        }
    }

    /// A pass at this hour; its report has an id and times that a snapshot can hold.
    pub async fn run(&self) -> Report {
        let report = self.pass(&Steps::default()).run(&self.journal).await.expect("a pass");
        Report { run: Uuid::nil(), ended_at: report.started_at, ..report }
    }

    /// So many datasets that belong to nobody, seen often enough that the next pass lets them go.
    pub async fn with_due(count: u128) -> Self {
        let mut ground = Self::default();
        (1..=count).for_each(|number| ground.write(number));
        ground.run().await;
        ground.later(30);
        ground.run().await;
        ground.later(30);
        ground
    }
}
