//! Writing the journal: a run begins, says what it will drop, says what became of that, and ends.
//!
//! Invariant 4: no chunk is touched before its intent is on disk. Rows are only ever added, and only a pass of
//! the loop without an intent, that ended well before another one, may ever go; a second, different answer to
//! the same intent is refused, the same answer again is silently right (so a caller may repeat itself after
//! a lost answer).

use serde_json::{Value, json};
use sqlx::Row;

use crate::crash_point;
use crate::problem::{Problem, Result};

use super::State;
use super::record::{Intent, IntentId, NewRun, Outcome, RunId};
use super::row;
use super::sqlite::{is_contradiction, is_missing_reference};

const BEGIN_RUN: &str = "
    INSERT INTO run (id, store, system, database, database_oid, command, plan_id, started_at, policies_hash, place)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

const FINISH_RUN: &str = "
    INSERT INTO run_end (run, ended_at, exit_code, report_json)
    SELECT number, ?2, ?3, ?4 FROM run WHERE id = ?1";

const TELL_REPORT: &str = "
    INSERT INTO told_report (run, report_json)
    SELECT run.number, ?2 FROM run JOIN run_end ON run_end.run = run.number
    WHERE run.id = ?1 AND run_end.report_json IS NOT ?2";

// What may not go the trigger `run_is_kept` keeps.
const FORGET_QUIET_PASS: &str = "DELETE FROM run WHERE id = ?1";

const WRITE_INTENTS: &str = "
    INSERT INTO intent (run, range_start, range_end, dataset_schema, dataset_name, bytes, reason, parts)
    SELECT run.number, entry.value ->> 0, entry.value ->> 1, entry.value ->> 2, entry.value ->> 3,
           entry.value ->> 4, entry.value ->> 5, entry.value -> 6
    FROM run, json_each(?2) AS entry
    WHERE run.id = ?1
    ORDER BY entry.key
    RETURNING id";

// Where an outcome is there already, the WHERE lets the same one pass without a write, and for a different
// one the trigger `outcome_stays` aborts the whole statement. The -1 of an unknown run breaks its foreign key.
const WRITE_OUTCOMES: &str = "
    INSERT INTO outcome (intent, kind, bytes, why, at, settled_by)
    SELECT entry.value ->> 0, entry.value ->> 1, entry.value ->> 2, entry.value ->> 3, ?2,
           CASE WHEN ?3 IS NOT NULL THEN coalesce((SELECT number FROM run WHERE id = ?3), -1) END
    FROM json_each(?1) AS entry
    WHERE true
    ON CONFLICT (intent) DO UPDATE SET kind = excluded.kind
    WHERE outcome.kind IS NOT excluded.kind
       OR outcome.bytes IS NOT excluded.bytes
       OR outcome.why IS NOT excluded.why";

const ASK: &str = "this is a fault in timesweep: keep the state file and report it";

impl State {
    /// Enters a run that begins now. The same id twice is refused.
    pub async fn begin_run(&self, run: &NewRun) -> Result<RunId> {
        let statement = sqlx::query(BEGIN_RUN)
            .bind(run.id.to_string())
            .bind(&run.store.0)
            .bind(&run.identity.system)
            .bind(&run.identity.database)
            .bind(run.identity.database_oid)
            .bind(&run.command)
            .bind(run.plan_id.map(|plan| plan.to_string()))
            .bind(run.started_at)
            .bind(&run.policies_hash)
            .bind(&run.place);
        let begun = self.file.try_execute(statement).await;
        begun.map_err(|error| self.journal_problem(&error, || format!("run {} was begun before", run.id)))?;
        crash_point::reach("run-begun");
        Ok(run.id)
    }

    /// Closes a run. `ended_at` in microseconds since 1970 UTC. A run that is unknown or ended already is refused.
    pub async fn finish_run(
        &self,
        run: RunId,
        ended_at: i64,
        exit_code: u8,
        report_json: &str,
    ) -> Result<()> {
        let statement =
            sqlx::query(FINISH_RUN).bind(run.to_string()).bind(ended_at).bind(exit_code).bind(report_json);
        let finished = self.file.try_execute(statement).await;
        let finished = finished
            .map_err(|error| self.journal_problem(&error, || format!("run {run} has ended before")))?;
        if finished.rows_affected() == 0 {
            return Err(self.unknown_run(run));
        }
        crash_point::reach("run-finished");
        Ok(())
    }

    /// Keeps the report as everybody was told it, once and after the run has ended, where it says more than at the end.
    pub async fn keep_told_report(&self, run: RunId, report_json: &str) -> Result<()> {
        let statement = sqlx::query(TELL_REPORT).bind(run.to_string()).bind(report_json.to_owned());
        let kept = self.file.try_execute(statement).await;
        kept.map_err(|error| self.journal_problem(&error, || format!("run {run} was told before")))?;
        Ok(())
    }

    /// Forgets a pass of `serve` that did nothing, once a later one on the same store has ended. Any other run is
    /// refused; one that is gone already is right.
    pub async fn forget_quiet_pass(&self, run: RunId) -> Result<()> {
        let forgotten = self.file.try_execute(sqlx::query(FORGET_QUIET_PASS).bind(run.to_string())).await;
        forgotten.map_err(|error| self.journal_problem(&error, || format!("run {run} may not go")))?;
        Ok(())
    }

    /// Writes what a run is about to drop, all or nothing; one id for each intent, in the same order.
    ///
    /// The intents are on disk when this returns: only then may their chunks be touched.
    pub async fn write_intents(&self, run: RunId, intents: &[Intent]) -> Result<Vec<IntentId>> {
        if intents.is_empty() {
            return Ok(Vec::new());
        }
        crash_point::reach("before-intents");
        let batch: Vec<Value> = intents.iter().map(row::intent_to_json).collect();
        let statement =
            sqlx::query(WRITE_INTENTS).bind(run.to_string()).bind(Value::Array(batch).to_string());
        let mut ids = self.file.read(statement, |row| row.try_get("id").map(IntentId)).await?;
        if ids.len() != intents.len() {
            return Err(self.unknown_run(run));
        }
        // The rows were added in the order of the batch, but the answer may come in any order.
        ids.sort_unstable();
        crash_point::reach("intents-written");
        Ok(ids)
    }

    /// Writes what became of intents, all or nothing; `at` in microseconds since 1970 UTC.
    ///
    /// `settled_by` is the later run that found it out, where the run itself was cut off. An outcome that is
    /// there already changes nothing; a different one for the same intent, or one for an unknown intent, is refused.
    pub async fn write_outcomes(
        &self,
        outcomes: &[(IntentId, Outcome)],
        at: i64,
        settled_by: Option<RunId>,
    ) -> Result<()> {
        if outcomes.is_empty() {
            return Ok(());
        }
        crash_point::reach("before-outcomes");
        let batch: Vec<Value> = outcomes.iter().map(outcome_to_json).collect();
        let statement = sqlx::query(WRITE_OUTCOMES)
            .bind(Value::Array(batch).to_string())
            .bind(at)
            .bind(settled_by.map(|run| run.to_string()));
        let written = self.file.try_execute(statement).await;
        let contradiction = || "a chunk would get a second, different outcome".into();
        written.map_err(|error| self.journal_problem(&error, contradiction))?;
        crash_point::reach("outcomes-written");
        Ok(())
    }

    fn journal_problem(&self, error: &sqlx::Error, contradiction: impl FnOnce() -> String) -> Problem {
        let label = self.file.label();
        if is_contradiction(error) {
            let sentence =
                format!("the journal in the state file {label} is not changed: {}", contradiction());
            return Problem::refused(sentence).because(error).hint(ASK);
        }
        if is_missing_reference(error) {
            let sentence = format!("the journal in the state file {label} has no such intent or run");
            return Problem::refused(sentence).because(error).hint(ASK);
        }
        self.file.problem(error)
    }

    fn unknown_run(&self, run: RunId) -> Problem {
        Problem::refused(format!("the journal in the state file {} has no run {run}", self.file.label()))
            .hint(ASK)
    }
}

/// One outcome as a JSON row: intent, kind, bytes, why.
fn outcome_to_json((intent, outcome): &(IntentId, Outcome)) -> Value {
    match outcome {
        Outcome::Dropped { bytes } => json!([intent.0, "dropped", bytes.map(row::stored_bytes), null]),
        Outcome::Gone => json!([intent.0, "gone", null, null]),
        Outcome::NotDropped { why } => json!([intent.0, "not_dropped", null, why]),
    }
}
