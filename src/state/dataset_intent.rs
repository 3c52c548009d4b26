//! Intents that concern a whole dataset: which row let it go, and what its last write was then.
//!
//! They share runs, outcomes and the append-only rules with the intents of chunks. Invariant 4 holds for
//! them as well: on start every one without an outcome is found again.

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::crash_point;
use crate::problem::{Problem, Result};
use crate::retention::model::ByteCount;
use crate::retention::ownership::{JobId, OwnedName};

use super::history::recorded_outcome;
use super::record::{IntentId, RecordedOutcome, RunId};
use super::{State, row};

const WRITE: &str = "
    INSERT INTO intent (run, kind, dataset_schema, dataset_name, parts, bytes, reason, job, marked_at, last_change)
    SELECT run.number, 'dataset', '', ?2 ->> 0, '[]', ?2 ->> 1, ?2 ->> 2, ?2 ->> 3, ?2 ->> 4, ?2 ->> 5
    FROM run WHERE run.id = ?1
    RETURNING id";

const OPEN: &str = "
    SELECT intent.*, run.id AS run_id, run.started_at
    FROM intent JOIN run ON run.number = intent.run
    WHERE run.system = ?1 AND intent.kind = 'dataset'
      AND NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.intent = intent.id)
    ORDER BY intent.id";

const HISTORY: &str = "
    SELECT intent.*, run.id AS run_id, run.started_at,
           outcome.kind AS outcome_kind, outcome.bytes AS outcome_bytes, outcome.why, outcome.at,
           settler.id AS settled_by
    FROM intent JOIN run ON run.number = intent.run
    LEFT JOIN outcome ON outcome.intent = intent.id
    LEFT JOIN run AS settler ON settler.number = outcome.settled_by
    WHERE run.system = ?1 AND intent.kind = 'dataset' AND intent.dataset_name = ?2
    ORDER BY intent.id DESC LIMIT 20";

/// A dataset that is about to be dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetIntent {
    pub dataset: OwnedName,
    /// The row that lets it go: the same dataset with another of these two is another row.
    pub job: Option<JobId>,
    pub marked_at: i64,
    pub last_change: Option<i64>,
    pub bytes: Option<ByteCount>,
    /// Why it goes, for people.
    pub reason: String,
}

/// An intent that nobody has written an outcome for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenDatasetIntent {
    pub id: IntentId,
    pub run: RunId,
    pub run_started_at: i64,
    pub intent: DatasetIntent,
}

/// One time that a run went for a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetHistory {
    pub run: RunId,
    pub run_started_at: i64,
    pub intent: DatasetIntent,
    pub outcome: Option<RecordedOutcome>,
}

impl State {
    /// Writes what a run is about to drop. It is on disk when this returns: only then may the dataset be touched.
    pub async fn write_dataset_intent(&self, run: RunId, intent: &DatasetIntent) -> Result<IntentId> {
        crash_point::reach("before-dataset-intent");
        let statement = sqlx::query(WRITE).bind(run.to_string()).bind(as_json(intent).to_string());
        let written = self.file.read(statement, |row| row.try_get("id").map(IntentId)).await?;
        let unknown = || Problem::refused(format!("the journal in {} has no run {run}", self.file.label()));
        let id = written.first().copied().ok_or_else(unknown)?;
        crash_point::reach("dataset-intent-written");
        Ok(id)
    }

    /// Every intent on that store that has no outcome, of whatever run, oldest first.
    ///
    /// Ask while you hold the runner's lock and before your own intents: then each one is of a run that was cut off.
    pub async fn open_dataset_intents(&self, store: &str) -> Result<Vec<OpenDatasetIntent>> {
        self.file.read(sqlx::query(OPEN).bind(store.to_owned()), open_intent).await
    }

    /// The last times that runs went for a dataset, newest first.
    pub async fn history_of_dataset(&self, store: &str, dataset: &OwnedName) -> Result<Vec<DatasetHistory>> {
        let statement = sqlx::query(HISTORY).bind(store.to_owned()).bind(dataset.0.to_string());
        self.file.read(statement, history).await
    }
}

/// Name, bytes, reason, job, marked at, last change.
fn as_json(intent: &DatasetIntent) -> Value {
    json!([
        intent.dataset.0,
        intent.bytes.map(row::stored_bytes),
        intent.reason,
        intent.job.map(|job| job.0.to_string()),
        intent.marked_at,
        intent.last_change,
    ])
}

fn dataset_intent(row: &SqliteRow) -> sqlx::Result<DatasetIntent> {
    let job: Option<Uuid> = row::optional_uuid(row, "job")?;
    Ok(DatasetIntent {
        dataset: OwnedName(row.try_get::<&str, _>("dataset_name")?.into()),
        job: job.map(JobId),
        marked_at: row.try_get("marked_at")?,
        last_change: row.try_get("last_change")?,
        bytes: row::bytes(row, "bytes")?,
        reason: row.try_get("reason")?,
    })
}

fn open_intent(row: &SqliteRow) -> sqlx::Result<OpenDatasetIntent> {
    Ok(OpenDatasetIntent {
        id: IntentId(row.try_get("id")?),
        run: row::run_id(row, "run_id")?,
        run_started_at: row.try_get("started_at")?,
        intent: dataset_intent(row)?,
    })
}

fn history(row: &SqliteRow) -> sqlx::Result<DatasetHistory> {
    let OpenDatasetIntent { run, run_started_at, intent, .. } = open_intent(row)?;
    Ok(DatasetHistory { run, run_started_at, intent, outcome: recorded_outcome(row)? })
}
