//! What a pass over owned data needs from the journal; the state file is one, and tests bring another that
//! can be copied at any step.

use async_trait::async_trait;

use crate::problem::Result;
use crate::report::Report;
use crate::report::past::PastRun;
use crate::retention::model::StoreIdentity;
use crate::state::{DatasetIntent, IntentId, NewRun, OpenDatasetIntent, Outcome, RunId, State};
use crate::sweep::past;

#[async_trait]
pub trait Journal: Send + Sync {
    async fn begin_run(&self, run: &NewRun) -> Result<()>;
    /// Intents on that store without an outcome, of whatever run.
    async fn open_intents(&self, store: &str) -> Result<Vec<OpenDatasetIntent>>;
    /// It is on disk when this returns.
    async fn write_intent(&self, run: RunId, intent: &DatasetIntent) -> Result<IntentId>;
    async fn write_outcome(
        &self,
        intent: IntentId,
        outcome: &Outcome,
        at: i64,
        settled_by: Option<RunId>,
    ) -> Result<()>;
    async fn finish_run(&self, run: RunId, ended_at: i64, exit_code: u8, report_json: &str) -> Result<()>;
    /// What cannot be read is left out: no pass fails for its history.
    async fn runs_before(&self, report: &Report) -> Vec<PastRun>;
}

/// How the journal knows the store: by what it calls itself. No database has the object id 0.
pub fn identity(store: &str) -> StoreIdentity {
    StoreIdentity { system: store.to_owned(), database: String::new(), database_oid: 0 }
}

#[async_trait]
impl Journal for State {
    async fn begin_run(&self, run: &NewRun) -> Result<()> {
        Self::begin_run(self, run).await.map(|_| ())
    }

    async fn open_intents(&self, store: &str) -> Result<Vec<OpenDatasetIntent>> {
        self.open_dataset_intents(store).await
    }

    async fn write_intent(&self, run: RunId, intent: &DatasetIntent) -> Result<IntentId> {
        self.write_dataset_intent(run, intent).await
    }

    async fn write_outcome(
        &self,
        intent: IntentId,
        outcome: &Outcome,
        at: i64,
        settled_by: Option<RunId>,
    ) -> Result<()> {
        self.write_outcomes(&[(intent, outcome.clone())], at, settled_by).await
    }

    async fn finish_run(&self, run: RunId, ended_at: i64, exit_code: u8, report_json: &str) -> Result<()> {
        Self::finish_run(self, run, ended_at, exit_code, report_json).await
    }

    async fn runs_before(&self, report: &Report) -> Vec<PastRun> {
        past::runs_before(self, report, "").await
    }
}
