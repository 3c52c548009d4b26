//! One connection to either kind of database, and how rows are read from it.
//!
//! A connection belongs to one unit of work. Invariant: it is given back for the next one only after its
//! transaction has ended; a future that is dropped half way takes its connection, and with it the
//! transaction, along.

use futures_util::TryStreamExt;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnection, SqliteRow};

#[derive(Debug)]
pub(super) enum Connection {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

/// A row of an answer: every column is text or a whole number.
pub(super) trait Columns {
    fn text(&self, column: usize) -> sqlx::Result<Option<String>>;
    fn number(&self, column: usize) -> sqlx::Result<Option<i64>>;
}

impl Columns for PgRow {
    fn text(&self, column: usize) -> sqlx::Result<Option<String>> {
        self.try_get(column)
    }

    fn number(&self, column: usize) -> sqlx::Result<Option<i64>> {
        self.try_get(column)
    }
}

impl Columns for SqliteRow {
    fn text(&self, column: usize) -> sqlx::Result<Option<String>> {
        self.try_get(column)
    }

    fn number(&self, column: usize) -> sqlx::Result<Option<i64>> {
        self.try_get(column)
    }
}

impl Connection {
    /// Reads every row of an answer as it comes, so that a large one is never held twice.
    pub(super) async fn read<T: Send>(
        &mut self,
        statement: &'static str,
        given: &[&str],
        read: fn(&dyn Columns) -> sqlx::Result<T>,
    ) -> sqlx::Result<Vec<T>> {
        let mut found = Vec::new();
        match self {
            Self::Postgres(connection) => {
                let query = sqlx::query(statement);
                let query = given.iter().fold(query, |query, text| query.bind((*text).to_owned()));
                let mut rows = query.fetch(connection);
                while let Some(row) = rows.try_next().await? {
                    found.push(read(&row)?);
                }
            }
            Self::Sqlite(connection) => {
                let query = sqlx::query(statement);
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
                sqlx::query(statement).bind(given).execute(connection).await?.rows_affected()
            }
            Self::Sqlite(connection) => {
                sqlx::query(statement).bind(given).execute(connection).await?.rows_affected()
            }
        })
    }

    /// Runs statements that take nothing.
    pub(super) async fn run(&mut self, statements: &'static str) -> sqlx::Result<()> {
        match self {
            Self::Postgres(connection) => sqlx::raw_sql(statements).execute(connection).await.map(|_| ()),
            Self::Sqlite(connection) => sqlx::raw_sql(statements).execute(connection).await.map(|_| ()),
        }
    }
}
