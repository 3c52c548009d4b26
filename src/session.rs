//! Sessions of PostgreSQL for whoever keeps one: connecting, a lock that lives as long as the session, and whether
//! there is one session at all.
//!
//! Stores and registries use it, each with its own words for people. Invariant: nothing here waits for ever.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection as _, Executor as _, Row as _};

pub mod lock;
pub mod pooler;

/// Why there is no session.
#[derive(Debug)]
pub enum NotConnected {
    Failed(sqlx::Error),
    Late,
    /// The task that tried has ended without an answer.
    GivenUp(String),
}

pub async fn connect(options: PgConnectOptions, limit: Duration) -> Result<PgConnection, NotConnected> {
    // In a task of its own: an attempt that is given up must run to its end somewhere.
    let attempt = tokio::spawn(async move { PgConnection::connect_with(&options).await });
    match tokio::time::timeout(limit, attempt).await {
        Ok(Ok(connected)) => connected.map_err(NotConnected::Failed),
        Ok(Err(join)) => Err(NotConnected::GivenUp(join.to_string())),
        Err(_) => Err(NotConnected::Late),
    }
}

/// What happened, without the library's name for it and the place in the server's source.
pub fn in_plain_words(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(inner) => inner.message().to_owned(),
        sqlx::Error::Io(inner) => inner.to_string(),
        sqlx::Error::Configuration(inner) | sqlx::Error::Tls(inner) => inner.to_string(),
        other => other.to_string(),
    }
}

/// Which of the server's processes serves this session.
async fn backend(session: &mut PgConnection) -> sqlx::Result<i32> {
    // The simple protocol: a pooler would not know a prepared statement.
    session.fetch_one(sqlx::raw_sql("SELECT pg_catalog.pg_backend_pid()")).await?.try_get(0)
}
