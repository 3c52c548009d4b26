//! Whether a transaction pooler is between us and the server, so that a session's lock would protect nothing.
//!
//! Invariant: a session that is moved to another process of the server is seen; silence is never taken for a no.

use std::time::Duration;

use sqlx::Executor as _;
use sqlx::postgres::PgConnection;

use super::backend;
use crate::problem::{Problem, Result};

/// After this long without an answer a pooler is probably keeping a session back.
const LIMIT: Duration = Duration::from_secs(10);
const WAY_OUT: &str = "connect to the server directly, or through the pooler in session mode";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Direct,
    /// Two transactions of one session reached two processes of the server.
    Pooler,
    /// A second session got no answer.
    Silent,
}

/// The `other` session is left in a transaction; after `Silent` or an error neither may be used again.
pub async fn way(ours: &mut PgConnection, other: &mut PgConnection) -> sqlx::Result<Way> {
    match tokio::time::timeout(LIMIT, is_moved_by(other, ours)).await {
        Ok(moved) => Ok(if moved? { Way::Pooler } else { Way::Direct }),
        Err(_) => Ok(Way::Silent),
    }
}

/// A pooler hands out the server session that was freed last, so another client's open transaction
/// takes the one we had, and our next transaction gets another.
async fn is_moved_by(other: &mut PgConnection, ours: &mut PgConnection) -> sqlx::Result<bool> {
    let before = backend(ours).await?;
    other.execute(sqlx::raw_sql("BEGIN")).await?;
    backend(other).await?;
    Ok(backend(ours).await? != before)
}

impl Way {
    /// `place` is where a pooler would be, as in "in between"; `danger` is what a lock would have kept from happening.
    pub fn refuse(self, place: &str, danger: &str) -> Result<()> {
        let sentence = match self {
            Self::Direct => return Ok(()),
            Self::Pooler => format!("a transaction pooler is {place}, so {danger}"),
            Self::Silent => format!(
                "a transaction pooler is probably {place}: a second session got no answer within {} s",
                LIMIT.as_secs()
            ),
        };
        Err(Problem::refused(sentence).hint(WAY_OUT))
    }
}
