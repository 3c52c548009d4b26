//! A pass in memory, for tests: a journal that can be copied, and parts that stop at any step.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::problem::{Problem, Result};
use crate::report::past::PastRun;
use crate::retention::model::StoreName;
use crate::state::{DatasetIntent, IntentId, NewRun, OpenDatasetIntent, Outcome, RunId};

use super::Journal;

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

    async fn runs_before(&self, _store: &StoreName, _run: RunId) -> Vec<PastRun> {
        Vec::new()
    }
}
