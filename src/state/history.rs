//! Reading the journal: which runs there were, what they left open, what became of a chunk.
//!
//! Invariant 4: on start every intent without an outcome is found again, whatever cut its run off.
//! A database is recognised by its cluster and its object id, so that a renamed one keeps its history.

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::problem::{Problem, Result};
use crate::retention::model::{ByteCount, StoreIdentity, StoreName};
use crate::retention::name::{DatasetName, RelationName};
use crate::retention::time_axis::show_minute;

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

const RUNS_BEGUN_AT: &str = "
    SELECT run.*, run_end.ended_at, run_end.exit_code,
           coalesce(told_report.report_json, run_end.report_json) AS report_json
    FROM run LEFT JOIN run_end ON run_end.run = run.number LEFT JOIN told_report ON told_report.run = run.number
    WHERE run.place = ?1 AND run.plan_id IS NOT NULL
    ORDER BY run.number DESC LIMIT ?2";

const RUNS_AT: &str = "
    SELECT run.*, run_end.ended_at, run_end.exit_code,
           coalesce(told_report.report_json, run_end.report_json) AS report_json
    FROM run LEFT JOIN run_end ON run_end.run = run.number LEFT JOIN told_report ON told_report.run = run.number
    WHERE EXISTS (SELECT 1 FROM json_each(?1) AS at
                  WHERE at.value ->> 0 = run.place AND coalesce(at.value ->> 1, run.store) = run.store)
    ORDER BY run.number DESC LIMIT ?2";

const RUNS_BY_LETTERS: &str = "
    SELECT run.*, run_end.ended_at, run_end.exit_code,
           coalesce(told_report.report_json, run_end.report_json) AS report_json
    FROM run LEFT JOIN run_end ON run_end.run = run.number LEFT JOIN told_report ON told_report.run = run.number
    WHERE substr(replace(run.id, '-', ''), 1, length(?1)) = ?1 OR substr(replace(run.id, '-', ''), -length(?1)) = ?1
    ORDER BY run.number DESC LIMIT 11";

const DROPPED_OF_RUN: &str = "
    SELECT outcome.bytes
    FROM run JOIN intent ON intent.run = run.number JOIN outcome ON outcome.intent = intent.id
    WHERE run.id = ?1 AND outcome.kind = 'dropped'";

// A server that is held as a whole has the object id 0, whatever of it a run works on.
const CUT_OFF_RUNS: &str = "
    SELECT run.*, NULL AS ended_at, NULL AS exit_code, NULL AS report_json
    FROM run
    WHERE run.system = ?1 AND run.database_oid = ?2 AND (?2 <> 0 OR run.database = ?3) AND run.plan_id IS NOT NULL
      AND run.number < (SELECT number FROM run WHERE id = ?4)
      AND NOT EXISTS (SELECT 1 FROM run_end WHERE run_end.run = run.number)
    ORDER BY run.number";

const CHUNKS_OF_RUN: &str = "
    SELECT intent.*, run.id AS run_id, run.started_at,
           outcome.kind AS outcome_kind, outcome.bytes AS outcome_bytes, outcome.why, outcome.at, settler.id AS settled_by
    FROM intent JOIN run ON run.number = intent.run
    LEFT JOIN outcome ON outcome.intent = intent.id
    LEFT JOIN run AS settler ON settler.number = outcome.settled_by
    WHERE run.id = ?1 AND intent.kind = 'chunk'
    ORDER BY intent.id";

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

    /// The runs at one place that began last, newest first; not those that never began.
    pub async fn runs_begun_at(&self, place: &str, limit: u32) -> Result<Vec<RunRecord>> {
        self.file.read(sqlx::query(RUNS_BEGUN_AT).bind(place.to_owned()).bind(limit), run_record).await
    }

    /// The last runs at these places, newest first, also those that never began. A store's name, where there is one,
    /// has to be the run's as well.
    pub async fn runs_at(
        &self,
        places: &[(String, Option<StoreName>)],
        limit: u32,
    ) -> Result<Vec<RunRecord>> {
        let places: Vec<Value> = places.iter().map(|(place, store)| json!([place, store])).collect();
        let statement = sqlx::query(RUNS_AT).bind(Value::Array(places).to_string()).bind(limit);
        self.file.read(statement, run_record).await
    }

    /// The one run whose id is `id`, or begins or ends with it: the ids of one minute begin alike, and their ends are
    /// random. Several such runs are an error of the kind *usage* that names them.
    pub async fn run(&self, id: &str) -> Result<Option<RunRecord>> {
        let letters = id.trim().to_ascii_lowercase().replace('-', "");
        if letters.is_empty() {
            return Err(Problem::usage("an empty text is no id of a run")
                .hint("give the id, or its first or last letters"));
        }
        let mut found = self.file.read(sqlx::query(RUNS_BY_LETTERS).bind(letters), run_record).await?;
        if found.len() > 1 {
            return Err(ambiguous(id.trim(), &found));
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

    /// The runs on one database that began before this one and have no end, oldest first.
    ///
    /// Ask while you hold the lock of the store: then each one was cut off.
    pub async fn cut_off_runs(&self, identity: &StoreIdentity, before: RunId) -> Result<Vec<RunRecord>> {
        let statement = sqlx::query(CUT_OFF_RUNS)
            .bind(identity.system.clone())
            .bind(identity.database_oid)
            .bind(identity.database.clone())
            .bind(before.to_string());
        self.file.read(statement, run_record).await
    }

    /// Every chunk that one run went for, in the order of its intents.
    pub async fn chunks_of_run(&self, run: RunId) -> Result<Vec<ChunkHistory>> {
        self.file.read(sqlx::query(CHUNKS_OF_RUN).bind(run.to_string()), chunk_history).await
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

/// How many runs are named where letters fit several.
const NAMED: usize = 10;

fn ambiguous(letters: &str, found: &[RunRecord]) -> Problem {
    let shown = |RunRecord { run, .. }: &RunRecord| {
        let at = show_minute(Timestamp::from_microsecond(run.started_at).unwrap_or_default());
        format!("{} of {at} UTC at {} ({})", run.id, run.place, run.command)
    };
    let problem = Problem::usage(format!("the ids of several runs begin or end with `{letters}`"))
        .hint("give more letters of the id; ids of the same minute differ at their ends");
    let problem = found.iter().take(NAMED).map(shown).fold(problem, Problem::cause);
    if found.len() > NAMED { problem.cause("and more") } else { problem }
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
        place: row.try_get("place")?,
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
