//! One runner at a time on every host that uses a registry: an advisory lock in a session of its own
//! (`session/lock.rs`).
//!
//! Behind a pooler that hands out server sessions per transaction it would protect nothing, so that is refused.
//! Invariant: who has the lock has asked whether there is one.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgConnection;
use tokio::time::timeout;

use super::{Place, Postgres};
use crate::problem::{Problem, Result};
use crate::registry::RunnerLock;
use crate::session::lock::{self, Key, SessionLock, Taken};
use crate::session::pooler::{self, Way};

const VERIFY_LIMIT: Duration = Duration::from_secs(30);
/// Where a pooler would be.
pub(super) const PLACE: &str = "in front of the registry";

/// "time", "runn" as two numbers.
const KEY: Key = (0x7469_6d65, 0x7275_6e6e);

pub(super) async fn take(place: &Postgres, run: &str) -> Result<SessionLock> {
    let failed = |error: sqlx::Error| place.problem("take the runner's lock", &error);
    let mut session = place.session(run).await?;
    way(place, &mut session).await?.refuse(PLACE, "two runners could drop at the same time")?;
    let taken = lock::take(session, KEY, "the runner's lock on the registry", VERIFY_LIMIT);
    let taken = timeout(VERIFY_LIMIT, taken).await.map_err(|_| no_answer(place))?;
    match taken.map_err(failed)? {
        Taken::Ours(lock) => Ok(lock),
        Taken::ByAnother(mut session) => Err(held_by_another(&mut session).await),
    }
}

fn no_answer(place: &Postgres) -> Problem {
    let doing = format!("take the runner's lock on the registry {}", place.address());
    Problem::unreachable(format!("cannot {doing}: no answer within {} s", VERIFY_LIMIT.as_secs()))
        .hint("check host, port and firewall; nothing was done")
}

async fn held_by_another(session: &mut PgConnection) -> Problem {
    let holder = timeout(VERIFY_LIMIT, lock::holder(session, KEY)).await;
    let who = holder.ok().flatten().unwrap_or_else(|| "another runner".into());
    Problem::busy(format!("{who} is at work on this registry")).hint("try again when it has ended")
}

/// After anything but a plain answer our session may not be used again.
pub(super) async fn way(place: &Postgres, ours: &mut PgConnection) -> Result<Way> {
    let mut other = place.session("registry").await?;
    pooler::way(ours, &mut other).await.map_err(|error| place.problem("look for a pooler", &error))
}

#[async_trait]
impl RunnerLock for SessionLock {
    async fn verify(&mut self) -> Result<()> {
        self.still_holds().await
    }
}
