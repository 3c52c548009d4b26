//! The state as one SQLite file: opening it safely, and the one connection that everything goes through.
//!
//! Write-ahead log with `synchronous = FULL`: a statement that returned is on disk. Every write is a single
//! statement, so each one is its own immediate transaction: SQLite takes the write lock at its start, waits
//! for other processes up to the busy timeout, and a dropped future can never leave a transaction open.

mod failure;
mod place;
mod schema;

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::query::Query;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteQueryResult, SqliteRow, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Executor, Sqlite};
use tokio::sync::Mutex;

use crate::problem::Result;

use schema::{Content, Look};

pub(super) use failure::{is_contradiction, is_missing_reference};

/// How long a statement waits for another process: far longer than any transaction of ours takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A statement that owns what is bound to it.
pub(super) type Statement = Query<'static, Sqlite, SqliteArguments>;

#[derive(Debug)]
pub(super) struct StateFile {
    connection: Mutex<SqliteConnection>,
    /// How the state is named in sentences.
    label: String,
}

impl StateFile {
    fn new(connection: SqliteConnection, label: String) -> Self {
        Self { connection: Mutex::new(connection), label }
    }

    /// Runs one statement; the caller may look at the error before it becomes a problem.
    pub(super) async fn try_execute(&self, statement: Statement) -> sqlx::Result<SqliteQueryResult> {
        let mut connection = self.connection.lock().await;
        connection.execute(statement).await
    }

    pub(super) async fn execute(&self, statement: Statement) -> Result<SqliteQueryResult> {
        self.try_execute(statement).await.map_err(|error| self.problem(&error))
    }

    pub(super) async fn rows(&self, statement: Statement) -> Result<Vec<SqliteRow>> {
        let mut connection = self.connection.lock().await;
        connection.fetch_all(statement).await.map_err(|error| self.problem(&error))
    }

    /// Runs a query and reads each row with `read`.
    pub(super) async fn read<T>(
        &self,
        statement: Statement,
        read: fn(&SqliteRow) -> sqlx::Result<T>,
    ) -> Result<Vec<T>> {
        let rows = self.rows(statement).await?;
        rows.iter().map(read).collect::<sqlx::Result<_>>().map_err(|error| self.problem(&error))
    }

    pub(super) fn problem(&self, error: &sqlx::Error) -> crate::problem::Problem {
        failure::explain(&self.label, error)
    }

    pub(super) fn label(&self) -> &str {
        &self.label
    }

    pub(super) async fn close(self) -> Result<()> {
        let Self { connection, label } = self;
        connection.into_inner().close().await.map_err(|error| failure::explain(&label, &error))
    }
}

pub(super) async fn open(path: &Path) -> Result<StateFile> {
    let path = place::checked(path)?;
    place::prepare(&path)?;
    let label = place::label(&path);
    let (mut connection, look) = or_explain(&label, peek(writing(&path)).await)?;
    if schema::judge(&look, &label)? != Content::UpToDate {
        or_explain(&label, enter_write_ahead_mode(&mut connection).await)?;
        schema::migrate(&mut connection, &label).await?;
    }
    Ok(StateFile::new(connection, label))
}

pub(super) async fn open_existing(path: &Path) -> Result<Option<StateFile>> {
    let path = place::checked(path)?;
    if !place::holds_something(&path)? {
        return Ok(None);
    }
    let label = place::label(&path);
    let (connection, look) = peek_carefully(&path, &label).await?;
    match schema::judge(&look, &label)? {
        Content::Nothing => Ok(None),
        Content::UpToDate => Ok(Some(StateFile::new(connection, label))),
        Content::Older => Err(failure::older(&label)),
    }
}

pub(super) async fn in_memory() -> Result<StateFile> {
    let label = "in memory".to_owned();
    let options = SqliteConnectOptions::new().in_memory(true);
    let (mut connection, _) = or_explain(&label, peek(options).await)?;
    schema::migrate(&mut connection, &label).await?;
    Ok(StateFile::new(connection, label))
}

/// Reads with SQLite's locks. Where the folder is read-only SQLite cannot keep its side files there, and the
/// file is read as one that nobody changes; that is only right while no write-ahead log lies beside it.
async fn peek_carefully(path: &Path, label: &str) -> Result<(SqliteConnection, Look)> {
    match peek(reading(path)).await {
        Err(error) if failure::is_without_side_files(&error) => {
            if place::has_write_ahead_log(path) {
                return Err(failure::unread_log(label, &error));
            }
            or_explain(label, peek(reading(path).read_only(true).immutable(true)).await)
        }
        answer => or_explain(label, answer),
    }
}

async fn peek(options: SqliteConnectOptions) -> sqlx::Result<(SqliteConnection, Look)> {
    let mut connection = options.disable_statement_logging().connect().await?;
    let look = schema::look(&mut connection).await?;
    Ok((connection, look))
}

fn or_explain<T>(label: &str, answer: sqlx::Result<T>) -> Result<T> {
    answer.map_err(|error| failure::explain(label, &error))
}

fn writing(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(PATIENCE)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
}

/// Not opened read-only: such a connection would leave SQLite's side files behind when it ends.
fn reading(path: &Path) -> SqliteConnectOptions {
    writing(path).pragma("query_only", "ON")
}

/// The change of mode does not wait for locks by itself; the mode then stays with the file.
async fn enter_write_ahead_mode(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let changed = sqlx::raw_sql("PRAGMA journal_mode = WAL").execute(&mut *connection).await;
        match changed {
            Err(error) if failure::is_locked(&error) && Instant::now() < give_up => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            finished => return finished.map(|_| ()),
        }
    }
}
