//! How long a server may leave a transaction of jobs without an answer: a network that forgot a connection keeps
//! nobody for ever.
//!
//! The server gives up its own statements first. Invariant: a session whose answer was given up is never used again.

use std::time::Duration;

/// Longer than any statement may take on the server.
pub(super) const WORK: Duration = Duration::from_mins(6);
/// The first answer of a session that has waited for work; saying goodbye.
pub(super) const SHORT: Duration = Duration::from_secs(10);

pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(no_answer(limit)))
}

fn no_answer(limit: Duration) -> sqlx::Error {
    let text = format!("the server has not answered for {} s", limit.as_secs());
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, text))
}
