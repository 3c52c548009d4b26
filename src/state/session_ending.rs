//! Sessions of others that a run ended: written before each is ended, so that it is known whatever happens then.
//!
//! What became of it stands in the run's report. Rows are only ever added.

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::problem::{Problem, Result};
use crate::retention::sessions::How;

use super::State;
use super::record::RunId;

const ADD: &str = "
    INSERT INTO session_ending (run, at, pid, role, application, address, statement, since_seconds, how, in_the_way_of)
    SELECT run.number, ?2, entry.value ->> 0, entry.value ->> 1, entry.value ->> 2, entry.value ->> 3,
           entry.value ->> 4, entry.value ->> 5, entry.value ->> 6, entry.value ->> 7
    FROM run, json_each(?3) AS entry
    WHERE run.id = ?1
    ORDER BY entry.key";

const READ: &str = "
    SELECT session_ending.* FROM session_ending JOIN run ON run.number = session_ending.run
    WHERE run.id = ?1 ORDER BY session_ending.id";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEnding {
    pub pid: i32,
    pub role: String,
    pub application: String,
    /// `None` for a local socket.
    pub address: Option<String>,
    pub statement: String,
    /// Since its transaction or its statement began.
    pub since_seconds: i64,
    pub how: How,
    /// The chunk that it kept us from; `None` where all sessions of a role are ended.
    pub in_the_way_of: Option<String>,
}

fn word(how: How) -> &'static str {
    match how {
        How::Cancel => "cancel",
        How::Terminate => "terminate",
    }
}

impl State {
    /// Writes whom a run is about to end, all or nothing; `at` in microseconds since 1970 UTC. Only when
    /// this has returned may they be ended.
    pub async fn write_session_endings(&self, run: RunId, endings: &[SessionEnding], at: i64) -> Result<()> {
        if endings.is_empty() {
            return Ok(());
        }
        let batch: Vec<Value> = endings.iter().map(to_json).collect();
        let statement = sqlx::query(ADD).bind(run.to_string()).bind(at).bind(Value::Array(batch).to_string());
        let written = self.file.execute(statement).await?;
        if written.rows_affected() == endings.len() as u64 {
            return Ok(());
        }
        let label = self.file.label();
        Err(Problem::refused(format!("the journal in the state file {label} has no run {run}"))
            .hint("this is a fault in timesweep: keep the state file and report it"))
    }

    /// Whom a run ended, or was about to end when it was cut off, in that order.
    pub async fn session_endings(&self, run: RunId) -> Result<Vec<SessionEnding>> {
        self.file.read(sqlx::query(READ).bind(run.to_string()), ending).await
    }
}

fn to_json(ending: &SessionEnding) -> Value {
    json!([
        ending.pid,
        ending.role,
        ending.application,
        ending.address,
        ending.statement,
        ending.since_seconds,
        word(ending.how),
        ending.in_the_way_of,
    ])
}

fn ending(row: &SqliteRow) -> sqlx::Result<SessionEnding> {
    let how: &str = row.try_get("how")?;
    Ok(SessionEnding {
        pid: row.try_get("pid")?,
        role: row.try_get("role")?,
        application: row.try_get("application")?,
        address: row.try_get("address")?,
        statement: row.try_get("statement")?,
        since_seconds: row.try_get("since_seconds")?,
        how: if how == "cancel" { How::Cancel } else { How::Terminate },
        in_the_way_of: row.try_get("in_the_way_of")?,
    })
}
