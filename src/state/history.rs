//! Reading the journal: which runs there were, what they left open, what became of a chunk.
//!
//! Invariant 4: on start every intent without an outcome is found again, whatever cut its run off.
//! A database is recognised by its cluster and its object id, so that a renamed one keeps its history.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::problem::{Problem, Result};
use crate::retention::model::{ByteCount, StoreIdentity, StoreName};
use crate::retention::name::{DatasetName, RelationName};

use super::State;
use super::record::{
    ChunkHistory, FreedBytes, IntentId, NewRun, OpenIntent, Outcome, RecordedOutcome, RunEnd, RunId,
    RunRecord,
};
use super::row;

const OPEN_INTENTS: &str = "
    SELECT intent.*, run.id AS run_id, run.started_at
    FROM intent JOIN run ON run.number = intent.run
    WHERE run.system = ?1 AND run.database_oid = ?2 AND intent.kind = 'chunk'
      AND NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.intent = intent.id)
    ORDER BY intent.id";

const RUNS: &str = "
    SELECT run.*, run_end.ended_at, run_end.exit_code,
           coalesce(told_report.report_json, run_end.report_json) AS report_json
    FROM run LEFT JOIN run_end ON run_end.run = run.number LEFT JOIN told_report ON told_report.run = run.number
    WHERE ?2 IS NULL OR run.number < (SELECT number FROM run WHERE id = ?2)
    ORDER BY run.number DESC LIMIT ?1";

// A run that never began has no plan.
const RUNS_ON: &str = "
    SELECT run.*, run_end.ended_at, run_end.exit_code,
           coalesce(told_report.report_json, run_end.report_json) AS report_json
    FROM run LEFT JOIN run_end ON run_end.run = run.number LEFT JOIN told_report ON told_report.run = run.number
    WHERE run.store = ?1 AND run.system = ?2 AND run.database_oid = ?3 AND run.plan_id IS NOT NULL
    ORDER BY run.number DESC LIMIT ?4";

const DATABASES_OF: &str = "
    SELECT system, database, database_oid FROM run
    WHERE store = ?1 AND plan_id IS NOT NULL GROUP BY system, database_oid ORDER BY max(number) DESC";

const RUNS_BY_PREFIX: &str = "
    SELECT run.*, run_end.ended_at, run_end.exit_code,
           coalesce(told_report.report_json, run_end.report_json) AS report_json
    FROM run LEFT JOIN run_end ON run_end.run = run.number LEFT JOIN told_report ON told_report.run = run.number
    WHERE substr(run.id, 1, length(?1)) = ?1
    ORDER BY run.number DESC LIMIT 5";

const DROPPED_OF_RUN: &str = "
    SELECT outcome.bytes
    FROM run JOIN intent ON intent.run = run.number JOIN outcome ON outcome.intent = intent.id
    WHERE run.id = ?1 AND outcome.kind = 'dropped'";

const HISTORY_OF_CHUNK: &str = "
    SELECT intent.*, run.id AS run_id, run.started_at,
           outcome.kind AS outcome_kind, outcome.bytes AS outcome_bytes, outcome.why, outcome.at, settler.id AS settled_by
    FROM intent JOIN run ON run.number = intent.run
    LEFT JOIN outcome ON outcome.intent = intent.id
    LEFT JOIN run AS settler ON settler.number = outcome.settled_by
    WHERE run.system = ?1 AND run.database_oid = ?2 AND intent.kind = 'chunk'
      AND (?3 IS NULL OR (intent.dataset_schema = ?3 AND intent.dataset_name = ?4))
      AND EXISTS (SELECT 1 FROM json_each(intent.parts) AS part
                  WHERE part.value ->> 1 = ?5 AND part.value ->> 2 = ?6)
    ORDER BY intent.id DESC";

impl State {
    /// Every intent on that database that has no outcome, of whatever run, oldest first.
    ///
    /// Ask while you hold the lock of the store and before your own intents: then each one is of a run that was cut off.
    pub async fn open_intents(&self, identity: &StoreIdentity) -> Result<Vec<OpenIntent>> {
        let statement = sqlx::query(OPEN_INTENTS).bind(&identity.system).bind(identity.database_oid);
        self.file.read(statement, open_intent).await
    }

    /// The run that began last, ended or not.
    pub async fn last_run(&self) -> Result<Option<RunRecord>> {
        Ok(self.runs(1).await?.pop())
    }

    /// The runs that began last, newest first, at most `limit`.
    pub async fn runs(&self, limit: u32) -> Result<Vec<RunRecord>> {
        self.runs_before(None, limit).await
    }

    /// The same, as far as they began before this one. Before one that nobody knows there is none.
    pub async fn runs_before(&self, before: Option<RunId>, limit: u32) -> Result<Vec<RunRecord>> {
        let before = before.map(|run| run.0.to_string());
        self.file.read(sqlx::query(RUNS).bind(limit).bind(before), run_record).await
    }

    /// The runs on one database that began last, newest first, at most `limit`; not those that never began.
    pub async fn runs_on(
        &self,
        store: &StoreName,
        identity: &StoreIdentity,
        limit: u32,
    ) -> Result<Vec<RunRecord>> {
        let statement = sqlx::query(RUNS_ON)
            .bind(store.0.clone())
            .bind(identity.system.clone())
            .bind(identity.database_oid)
            .bind(limit);
        self.file.read(statement, run_record).await
    }

    /// The databases that runs of this store worked on, the last one first.
    pub async fn databases_of(&self, store: &StoreName) -> Result<Vec<StoreIdentity>> {
        self.file.read(sqlx::query(DATABASES_OF).bind(store.0.clone()), row::identity).await
    }

    /// The one run whose id is `id` or starts with it. Several such runs are an error of the kind *usage*.
    pub async fn run(&self, id: &str) -> Result<Option<RunRecord>> {
        let prefix = id.trim().to_ascii_lowercase();
        if prefix.is_empty() {
            return Err(
                Problem::usage("an empty text is no id of a run").hint("give the id, or its first letters")
            );
        }
        let mut found = self.file.read(sqlx::query(RUNS_BY_PREFIX).bind(&prefix), run_record).await?;
        if found.len() > 1 {
            return Err(ambiguous(&prefix, &found));
        }
        Ok(found.pop())
    }

    /// What the dropped chunks of a run weighed, each intent counted once, whoever wrote its outcome.
    pub async fn freed_bytes(&self, run: RunId) -> Result<FreedBytes> {
        let statement = sqlx::query(DROPPED_OF_RUN).bind(run.to_string());
        let sizes = self.file.read(statement, |row| row::bytes(row, "bytes")).await?;
        let known: Vec<ByteCount> = sizes.iter().flatten().copied().collect();
        Ok(FreedBytes {
            bytes: known.iter().copied().sum(),
            chunks: sizes.len() as u64,
            chunks_of_unknown_size: (sizes.len() - known.len()) as u64,
        })
    }

    /// Every time a run went for the chunk that has `relation` as one of its parts, newest first.
    ///
    /// Without `dataset` the chunks of all datasets are searched: whose a dropped chunk was, only the journal knows.
    pub async fn outcomes_of_chunk(
        &self,
        identity: &StoreIdentity,
        dataset: Option<&DatasetName>,
        relation: &RelationName,
    ) -> Result<Vec<ChunkHistory>> {
        let statement = sqlx::query(HISTORY_OF_CHUNK)
            .bind(&identity.system)
            .bind(identity.database_oid)
            .bind(dataset.map(|name| &name.schema))
            .bind(dataset.map(|name| &name.name))
            .bind(&relation.schema)
            .bind(&relation.name);
        self.file.read(statement, chunk_history).await
    }
}

fn ambiguous(prefix: &str, found: &[RunRecord]) -> Problem {
    let ids: Vec<String> = found.iter().map(|record| record.run.id.to_string()).collect();
    Problem::usage(format!("`{prefix}` is the beginning of several runs: {}", ids.join(", ")))
        .hint("give more letters of the id")
}

fn open_intent(row: &SqliteRow) -> sqlx::Result<OpenIntent> {
    Ok(OpenIntent {
        id: IntentId(row.try_get("id")?),
        run: row::run_id(row, "run_id")?,
        run_started_at: row.try_get("started_at")?,
        intent: row::intent(row)?,
    })
}

fn run_record(row: &SqliteRow) -> sqlx::Result<RunRecord> {
    let run = NewRun {
        id: row::run_id(row, "id")?,
        store: row::store(row)?,
        identity: row::identity(row)?,
        command: row.try_get("command")?,
        plan_id: row::optional_uuid(row, "plan_id")?,
        started_at: row.try_get("started_at")?,
        policies_hash: row.try_get("policies_hash")?,
    };
    Ok(RunRecord { run, end: run_end(row)? })
}

fn run_end(row: &SqliteRow) -> sqlx::Result<Option<RunEnd>> {
    let Some(ended_at) = row.try_get("ended_at")? else { return Ok(None) };
    let (exit_code, report_json) = (row.try_get("exit_code")?, row.try_get("report_json")?);
    Ok(Some(RunEnd { ended_at, exit_code, report_json }))
}

fn chunk_history(row: &SqliteRow) -> sqlx::Result<ChunkHistory> {
    let OpenIntent { id, run, run_started_at, intent } = open_intent(row)?;
    Ok(ChunkHistory { id, run, run_started_at, intent, outcome: recorded_outcome(row)? })
}

pub(super) fn recorded_outcome(row: &SqliteRow) -> sqlx::Result<Option<RecordedOutcome>> {
    let Some(kind) = row.try_get("outcome_kind")? else { return Ok(None) };
    let outcome = match kind {
        "dropped" => Outcome::Dropped { bytes: row::bytes(row, "outcome_bytes")? },
        "gone" => Outcome::Gone,
        _ => Outcome::NotDropped { why: row.try_get("why")? },
    };
    let settled_by = row::optional_uuid(row, "settled_by")?.map(RunId);
    Ok(Some(RecordedOutcome { outcome, at: row.try_get("at")?, settled_by }))
}
