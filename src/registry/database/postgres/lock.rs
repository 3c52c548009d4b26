//! One runner at a time on every host that uses a registry: an advisory lock in a session of its own.
//!
//! The lock lives as long as this session, so it ends however the runner ends. Behind a pooler that hands
//! out server sessions per transaction it would protect nothing, so that is refused. Nothing here waits for
//! ever: a session that does not answer counts as a lost lock.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgConnection;
use sqlx::{Executor, Row};

use super::{Place, Postgres};
use crate::problem::{Kind, Problem, Result};
use crate::registry::RunnerLock;

const VERIFY_LIMIT: Duration = Duration::from_secs(30);

/// "time", "runn" as two numbers.
const TAKE: &str =
    "SELECT pg_catalog.pg_try_advisory_lock(1953066341, 1920298606), pg_catalog.pg_backend_pid()";

const HOLDER: &str = "SELECT format('%s (process %s, role %s, from %s)', a.application_name, a.pid, \
       coalesce(a.usename, '?'), coalesce(host(a.client_addr), 'local')) \
     FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
     WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 \
       AND l.classid::bigint = 1953066341 AND l.objid::bigint = 1920298606 \
       AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())";

const BACKEND: &str = "SELECT pg_catalog.pg_backend_pid()";

pub(super) struct AdvisoryLock {
    session: PgConnection,
    backend: i32,
    lost: Option<Problem>,
}

pub(super) async fn take(place: &Postgres, run: &str) -> Result<AdvisoryLock> {
    let failed = |error: sqlx::Error| place.problem("take the runner's lock", &error);
    let mut session = place.session(run).await?;
    if pooler_in_between(place, &mut session).await? {
        return Err(Problem::refused(
            "a transaction pooler is in front of the registry, so two runners could drop at the same time",
        )
        .hint("connect to the server directly, or through the pooler in session mode"));
    }
    let taken = tokio::time::timeout(VERIFY_LIMIT, session.fetch_one(sqlx::raw_sql(TAKE))).await;
    let row = taken.map_err(|_| no_answer(place))?.map_err(failed)?;
    if row.try_get(0).map_err(failed)? {
        let backend = row.try_get(1).map_err(failed)?;
        return Ok(AdvisoryLock { session, backend, lost: None });
    }
    Err(held_by_another(&mut session).await)
}

fn no_answer(place: &Postgres) -> Problem {
    let doing = format!("take the runner's lock on the registry {}", place.address());
    Problem::unreachable(format!("cannot {doing}: no answer within {} s", VERIFY_LIMIT.as_secs()))
        .hint("check host, port and firewall; nothing was done")
}

async fn held_by_another(session: &mut PgConnection) -> Problem {
    let holder = tokio::time::timeout(VERIFY_LIMIT, session.fetch_optional(sqlx::raw_sql(HOLDER))).await;
    let holder = holder.ok().and_then(sqlx::Result::ok).flatten();
    let holder = holder.and_then(|row| row.try_get::<String, _>(0).ok());
    let who = holder.unwrap_or_else(|| "another runner".into());
    Problem::busy(format!("{who} is at work on this registry")).hint("try again when it has ended")
}

/// A pooler hands out the server session that was freed last: another client's open transaction takes the
/// one we had, and our next statement gets another.
async fn pooler_in_between(place: &Postgres, ours: &mut PgConnection) -> Result<bool> {
    let mut other = place.session("registry").await?;
    let look = async {
        let before = backend(ours).await?;
        other.execute(sqlx::raw_sql("BEGIN")).await?;
        backend(&mut other).await?;
        Ok::<bool, sqlx::Error>(backend(ours).await? != before)
    };
    match tokio::time::timeout(VERIFY_LIMIT, look).await {
        Ok(answer) => answer.map_err(|error| place.problem("look for a pooler", &error)),
        Err(_) => Err(Problem::refused(
            "a transaction pooler is probably in front of the registry: a second session got no answer",
        )
        .hint("connect to the server directly, or through the pooler in session mode")),
    }
}

async fn backend(session: &mut PgConnection) -> sqlx::Result<i32> {
    session.fetch_one(sqlx::raw_sql(BACKEND)).await?.try_get(0)
}

#[async_trait]
impl RunnerLock for AdvisoryLock {
    async fn verify(&mut self) -> Result<()> {
        if let Some(why) = &self.lost {
            return Err(why.clone());
        }
        // Until there is an answer: a question that was given up leaves the session unusable.
        self.lost = Some(lost("its session was left without an answer"));
        let problem = match tokio::time::timeout(VERIFY_LIMIT, backend(&mut self.session)).await {
            Ok(Ok(backend)) if backend == self.backend => {
                self.lost = None;
                return Ok(());
            }
            Ok(Ok(_)) => lost("its session has ended"),
            Ok(Err(error)) => lost("its session has ended").because(&error),
            Err(_) => lost("its session did not answer"),
        };
        self.lost = Some(problem.clone());
        Err(problem)
    }
}

fn lost(why: &str) -> Problem {
    Problem::new(Kind::Partial, format!("the runner's lock on the registry is lost: {why}"))
        .hint("run again; what was dropped until now is in the journal")
}
