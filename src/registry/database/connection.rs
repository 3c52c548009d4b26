//! One connection to either kind of database, and how rows are read from it.
//!
//! A connection belongs to one unit of work. Invariant: it is given back for the next one only after its
//! transaction has ended; a future that is dropped half way takes its connection, and with it the
//! transaction, along.

use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row, ValueRef};
use uuid::Uuid;

/// More than the server itself gives a statement: a server that says nothing for so long is gone, and no packet of
/// ours is on the way that would show it.
const LIMIT: Duration = Duration::from_mins(6);

/// A question that takes a server no time.
const PROBE_LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn within_limit<T>(answer: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    let gone = || sqlx::Error::Io(std::io::Error::from(std::io::ErrorKind::TimedOut));
    tokio::time::timeout(LIMIT, answer).await.unwrap_or_else(|_| Err(gone()))
}

#[derive(Debug)]
pub(super) enum Connection {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

/// A row of an answer: every column is text, a whole number or an id.
pub(super) trait Columns {
    fn text(&self, column: usize) -> sqlx::Result<Option<&str>>;
    fn number(&self, column: usize) -> sqlx::Result<Option<i64>>;
    fn id(&self, column: usize) -> sqlx::Result<Option<Uuid>>;
}

impl Columns for PgRow {
    fn text(&self, column: usize) -> sqlx::Result<Option<&str>> {
        self.try_get(column)
    }

    fn number(&self, column: usize) -> sqlx::Result<Option<i64>> {
        self.try_get(column)
    }

    /// As its sixteen bytes: as text, every one of some hundred thousand would be written out and read again.
    fn id(&self, column: usize) -> sqlx::Result<Option<Uuid>> {
        let value = self.try_get_raw(column)?;
        if value.is_null() {
            return Ok(None);
        }
        let bytes = value.as_bytes().map_err(sqlx::Error::Decode)?;
        Uuid::from_slice(bytes).map(Some).map_err(|_| no_id())
    }
}

impl Columns for SqliteRow {
    fn text(&self, column: usize) -> sqlx::Result<Option<&str>> {
        self.try_get(column)
    }

    fn number(&self, column: usize) -> sqlx::Result<Option<i64>> {
        self.try_get(column)
    }

    fn id(&self, column: usize) -> sqlx::Result<Option<Uuid>> {
        let text = self.text(column)?;
        text.map(|text| text.parse().map_err(|_| no_id())).transpose()
    }
}

fn no_id() -> sqlx::Error {
    sqlx::Error::Decode("a value is no id".into())
}

impl Connection {
    /// Reads every row of an answer as it comes, so that a large one is never held twice. What takes nothing is
    /// planned each time: a server keeps the plan of a prepared statement, and tables grow after they were empty.
    pub(super) async fn read<T: Send>(
        &mut self,
        statement: &'static str,
        given: &[&str],
        read: impl FnMut(&dyn Columns) -> sqlx::Result<T> + Send,
    ) -> sqlx::Result<Vec<T>> {
        within_limit(self.read_all(statement, given, read)).await
    }

    async fn read_all<T: Send>(
        &mut self,
        statement: &'static str,
        given: &[&str],
        mut read: impl FnMut(&dyn Columns) -> sqlx::Result<T> + Send,
    ) -> sqlx::Result<Vec<T>> {
        let mut found = Vec::new();
        match self {
            Self::Postgres(connection) => {
                let query = sqlx::query(statement).persistent(!given.is_empty());
                let query = given.iter().fold(query, |query, text| query.bind((*text).to_owned()));
                let mut rows = query.fetch(connection);
                while let Some(row) = rows.try_next().await? {
                    found.push(read(&row)?);
                }
            }
            Self::Sqlite(connection) => {
                let query = sqlx::query(statement).persistent(!given.is_empty());
                let query = given.iter().fold(query, |query, text| query.bind((*text).to_owned()));
                let mut rows = query.fetch(connection);
                while let Some(row) = rows.try_next().await? {
                    found.push(read(&row)?);
                }
            }
        }
        Ok(found)
    }

    /// Runs one statement and says how many rows it changed.
    pub(super) async fn execute(&mut self, statement: &'static str, given: String) -> sqlx::Result<u64> {
        Ok(match self {
            Self::Postgres(connection) => {
                within_limit(sqlx::query(statement).bind(given).execute(connection)).await?.rows_affected()
            }
            Self::Sqlite(connection) => {
                sqlx::query(statement).bind(given).execute(connection).await?.rows_affected()
            }
        })
    }

    /// Whether anybody is at the other end; if not, it must not be used again.
    pub(super) async fn answers(&mut self) -> bool {
        let probe = tokio::time::timeout(PROBE_LIMIT, self.run("SELECT 1")).await;
        probe.is_ok_and(|answer| answer.is_ok())
    }

    /// Runs statements that take nothing.
    pub(super) async fn run(&mut self, statements: &'static str) -> sqlx::Result<()> {
        match self {
            Self::Postgres(connection) => {
                within_limit(sqlx::raw_sql(statements).execute(connection)).await.map(|_| ())
            }
            Self::Sqlite(connection) => sqlx::raw_sql(statements).execute(connection).await.map(|_| ()),
        }
    }
}
