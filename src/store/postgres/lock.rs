//! One runner per database: an advisory lock in a session of its own (`session/lock.rs`).
//!
//! Behind a pooler that hands out server sessions per transaction the lock protects nothing, so a run is refused
//! there. Invariant: who has the lock has asked whether there is one.

use async_trait::async_trait;
use sqlx::postgres::PgConnection;

use super::idle::Idle;
use super::{Server, read_failed};
use crate::problem::{Problem, Result};
use crate::session::lock::{self, Key, SessionLock, Taken};
use crate::session::pooler::{self, Way};
use crate::store::RunnerLock;

/// "time", "swee" as two 32-bit numbers: the key of every timesweep run on a database.
pub const KEY: Key = (0x7469_6d65, 0x7377_6565);

/// Takes the lock, or ends as busy with the holder's name.
pub async fn take(server: &Server, idle: &Idle, run: &str) -> Result<SessionLock> {
    let mut session = server.connect(run).await?;
    way(idle, &mut session).await?.refuse("in between", "two runs could drop at the same time")?;
    let taken = lock::take(session, KEY, "the runner's lock", server.limits().verify).await;
    match taken.map_err(|error| read_failed("take the runner's lock", &error))? {
        Taken::Ours(lock) => Ok(lock),
        Taken::ByAnother(mut session) => Err(held_by_another(&mut session).await),
    }
}

async fn held_by_another(session: &mut PgConnection) -> Problem {
    let sentence = holder(session).await;
    Problem::busy(sentence.unwrap_or_else(|| "another run holds the lock on this database".into()))
        .hint("try again when it has ended")
}

/// Who holds the lock, as a sentence, where somebody does.
pub async fn holder(session: &mut PgConnection) -> Option<String> {
    let holder = lock::holder(session, KEY).await?;
    Some(format!("another run holds the lock on this database: {holder}"))
}

#[async_trait]
impl RunnerLock for SessionLock {
    async fn verify(&mut self) -> Result<()> {
        self.still_holds().await
    }
}

/// After anything but a plain answer our session may not be used again.
pub async fn way(idle: &Idle, ours: &mut PgConnection) -> Result<Way> {
    let mut other = idle.take("reader").await?;
    let way =
        pooler::way(ours, &mut other).await.map_err(|error| read_failed("look for a pooler", &error))?;
    if way != Way::Silent {
        super::rollback(&mut other).await;
        idle.give_back(other);
    }
    Ok(way)
}
