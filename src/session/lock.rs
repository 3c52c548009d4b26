//! An advisory lock in a session of its own, for whoever has to be the only one.
//!
//! The server gives it back when the session ends, however it ends. Invariant: a session that has ended, was moved
//! or does not answer counts as a lost lock, and a lost lock stays lost.

use std::time::Duration;

use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::backend;
use crate::problem::{Kind, Problem, Result};

const TAKE: &str = "SELECT pg_catalog.pg_try_advisory_lock($1, $2), pg_catalog.pg_backend_pid()";

const HOLDER: &str = "SELECT format('%s (process %s, role %s, from %s, since %s)', a.application_name, a.pid, \
       coalesce(a.usename, '?'), coalesce(host(a.client_addr), 'local'), a.backend_start::timestamptz(0)) \
     FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
     WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 \
       AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) \
       AND l.classid::bigint = $1 AND l.objid::bigint = $2";

/// Two numbers: what is locked.
pub type Key = (i32, i32);

pub struct SessionLock {
    session: PgConnection,
    backend: i32,
    /// As a sentence begins.
    name: &'static str,
    /// After this long without an answer the lock counts as lost.
    limit: Duration,
    /// Why, for whoever asks next: several workers ask, and any of them may be the first to tell.
    lost: Option<Problem>,
}

pub enum Taken {
    Ours(SessionLock),
    /// By somebody whom this session may ask for.
    ByAnother(PgConnection),
}

/// Asks once. Behind a transaction pooler somebody else may be handed the very server session that holds the lock, and
/// take it once more: look for one before (`pooler.rs`).
pub async fn take(
    mut session: PgConnection,
    key: Key,
    name: &'static str,
    limit: Duration,
) -> sqlx::Result<Taken> {
    let row = sqlx::query(TAKE).bind(key.0).bind(key.1).fetch_one(&mut session).await?;
    if !row.try_get::<bool, _>(0)? {
        return Ok(Taken::ByAnother(session));
    }
    let backend = row.try_get(1)?;
    Ok(Taken::Ours(SessionLock { session, backend, name, limit, lost: None }))
}

/// Who holds the lock, where somebody does: application, process, role, address, since when.
pub async fn holder(session: &mut PgConnection, key: Key) -> Option<String> {
    let holder = sqlx::query(HOLDER).bind(i64::from(key.0)).bind(i64::from(key.1));
    let row = holder.fetch_optional(session).await.ok().flatten();
    row.and_then(|row| row.try_get(0).ok())
}

impl SessionLock {
    pub async fn still_holds(&mut self) -> Result<()> {
        if let Some(why) = &self.lost {
            return Err(why.clone());
        }
        // Until there is an answer: a question that was given up leaves the session unusable. It is not
        // asked again, and ends with the run.
        self.lost = Some(self.lost("its session was left without an answer"));
        let problem = match tokio::time::timeout(self.limit, backend(&mut self.session)).await {
            Ok(Ok(backend)) if backend == self.backend => {
                self.lost = None;
                return Ok(());
            }
            Ok(Ok(_)) => self.lost("its session has ended"),
            Ok(Err(error)) => self.lost("its session has ended").because(&error),
            Err(_) => self.lost(&format!("its session did not answer within {} s", self.limit.as_secs())),
        };
        self.lost = Some(problem.clone());
        Err(problem)
    }

    fn lost(&self, why: &str) -> Problem {
        Problem::new(Kind::Partial, format!("{} is lost: {why}", self.name))
            .hint("run again; what was dropped until now is in the journal")
    }
}
