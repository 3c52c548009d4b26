//! One runner per database: an advisory lock in a session of its own.
//!
//! The server gives the lock back when the session ends, however it ends. Behind a pooler that hands
//! out server sessions per transaction the lock protects nothing, so a run is refused there. Nothing here
//! waits for ever for an answer: a connection that hangs counts as a lost lock, or as a pooler's.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgConnection;
use sqlx::{Executor, Row};

use super::idle::Idle;
use super::{Server, column, read_failed};
use crate::problem::{Kind, Problem, Result};
use crate::store::RunnerLock;

/// "time", "swee" as two 32-bit numbers: the key of every timesweep run on a database.
pub const KEY: (i32, i32) = (0x7469_6d65, 0x7377_6565);

/// After this long without an answer a pooler is probably keeping a session back.
const PROBE_LIMIT: Duration = Duration::from_secs(10);

const HOLDER: &str = "SELECT a.pid, coalesce(a.usename, '?')::text AS role, a.application_name AS application, \
     coalesce(host(a.client_addr), 'local') AS address, a.backend_start::timestamptz(0)::text AS since \
     FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
     WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 \
       AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) \
       AND l.classid::bigint = $1 AND l.objid::bigint = $2";

pub struct AdvisoryLock {
    session: PgConnection,
    backend: i32,
    /// After this long without an answer the lock counts as lost.
    limit: Duration,
    /// Why, for whoever asks next: several workers ask, and any of them may be the first to tell.
    lost: Option<Problem>,
}

/// Takes the lock, or ends as busy with the holder's name. Behind a transaction pooler it is refused: a
/// second run could be handed the very server session that holds the lock, and take it once more.
pub async fn take(server: &Server, idle: &Idle, run: &str) -> Result<AdvisoryLock> {
    let mut session = server.connect(run).await?;
    if pooler_in_between(idle, &mut session).await? {
        return Err(Problem::refused(
            "a transaction pooler is in between, so two runs could drop at the same time",
        )
        .hint("connect to the server directly, or through the pooler in session mode"));
    }
    let row = sqlx::query("SELECT pg_catalog.pg_try_advisory_lock($1, $2), pg_catalog.pg_backend_pid()")
        .bind(KEY.0)
        .bind(KEY.1)
        .fetch_one(&mut session)
        .await
        .map_err(|error| read_failed("take the runner's lock", &error))?;
    if row.get::<bool, _>(0) {
        let (backend, limit) = (row.get(1), server.limits().verify);
        return Ok(AdvisoryLock { session, backend, limit, lost: None });
    }
    Err(held_by_another(&mut session).await)
}

async fn held_by_another(session: &mut PgConnection) -> Problem {
    let sentence = holder(session).await;
    Problem::busy(sentence.unwrap_or_else(|| "another run holds the lock on this database".into()))
        .hint("try again when it has ended")
}

/// Who holds the lock, as a sentence, where somebody does.
pub async fn holder(session: &mut PgConnection) -> Option<String> {
    let holder = sqlx::query(HOLDER)
        .bind(i64::from(KEY.0))
        .bind(i64::from(KEY.1))
        .fetch_optional(session)
        .await
        .ok()
        .flatten();
    holder.and_then(|row| {
        let pid: i32 = column(&row, "pid").ok()?;
        let role: String = column(&row, "role").ok()?;
        let application: String = column(&row, "application").ok()?;
        let address: String = column(&row, "address").ok()?;
        let since: String = column(&row, "since").ok()?;
        Some(format!(
            "another run holds the lock on this database: {application} (process {pid}, role {role}, from {address}, since {since})"
        ))
    })
}

#[async_trait]
impl RunnerLock for AdvisoryLock {
    async fn verify(&mut self) -> Result<()> {
        if let Some(why) = &self.lost {
            return Err(why.clone());
        }
        // Until there is an answer: a question that was given up leaves the session unusable. It is not
        // asked again, and ends with the run.
        self.lost = Some(lost("its session was left without an answer"));
        let problem = match tokio::time::timeout(self.limit, backend(&mut self.session)).await {
            Ok(Ok(backend)) if backend == self.backend => {
                self.lost = None;
                return Ok(());
            }
            Ok(Ok(_)) => lost("its session has ended"),
            Ok(Err(error)) => lost("its session has ended").because(&error),
            Err(_) => lost(&no_answer("its session did not answer", self.limit)),
        };
        self.lost = Some(problem.clone());
        Err(problem)
    }
}

fn lost(why: &str) -> Problem {
    Problem::new(Kind::Partial, format!("the runner's lock is lost: {why}"))
        .hint("run again; what was dropped until now is in the journal")
}

fn no_answer(sentence: &str, limit: Duration) -> String {
    format!("{sentence} within {} s", limit.as_secs())
}

/// True where two transactions of one client session reached two server sessions; refused where the
/// second one gets no answer. After an error neither session may be used again.
pub async fn pooler_in_between(idle: &Idle, ours: &mut PgConnection) -> Result<bool> {
    let mut other = idle.take("reader").await?;
    let Ok(answer) = tokio::time::timeout(PROBE_LIMIT, is_moved_by(&mut other, ours)).await else {
        let sentence = "a transaction pooler is probably in between: a second session got no answer";
        return Err(Problem::refused(no_answer(sentence, PROBE_LIMIT))
            .hint("connect to the server directly, or through the pooler in session mode"));
    };
    let moved = answer.map_err(|error| read_failed("look for a pooler", &error))?;
    super::rollback(&mut other).await;
    idle.give_back(other);
    Ok(moved)
}

/// A pooler hands out the server session that was freed last, so another client's open transaction
/// takes the one we had, and our next transaction gets another.
async fn is_moved_by(
    other: &mut PgConnection,
    ours: &mut PgConnection,
) -> std::result::Result<bool, sqlx::Error> {
    let before = backend(ours).await?;
    sqlx::raw_sql("BEGIN").execute(&mut *other).await?;
    backend(other).await?;
    Ok(backend(ours).await? != before)
}

async fn backend(connection: &mut PgConnection) -> std::result::Result<i32, sqlx::Error> {
    // The simple protocol: a pooler would not know a prepared statement.
    let row = connection.fetch_one(sqlx::raw_sql("SELECT pg_catalog.pg_backend_pid()")).await?;
    row.try_get(0)
}
