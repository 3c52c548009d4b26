//! A registry in one SQLite file: for one host, without a server.
//!
//! Write-ahead log with `synchronous = FULL`; every unit of work is a `BEGIN IMMEDIATE`, which waits for
//! other processes. The file is made with mode 0600 before SQLite sees it. Invariant: the database of
//! another program is refused untouched.

mod lock;

use std::fs::{DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};

use super::Place;
use super::connection::Connection;
use super::schema::Schema;
use super::statements::{SQLITE, Statements};
use crate::problem::{Kind, Problem, Result};
use crate::registry::RunnerLock;

/// How long a unit waits for another process: longer than any check takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// `PRAGMA application_id` of sqlite_0001.sql.
const APPLICATION_ID: i64 = 1_953_723_975;

const BUSY: i32 = 5;
const LOCKED: i32 = 6;

static SCHEMA: Schema = Schema {
    has_versions: "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'timesweep_registry_version'",
    version: "SELECT max(version) FROM timesweep_registry_version",
    create_versions: "CREATE TABLE timesweep_registry_version (version INTEGER PRIMARY KEY) STRICT",
    add_version: "INSERT INTO timesweep_registry_version (version) VALUES (CAST($1 AS INTEGER))",
    steps: &[include_str!("../migrations/sqlite_0001.sql")],
    their_columns: "SELECT name, type FROM pragma_table_info('esdl_time_series_info')",
    needed_columns: &[
        ("row_id", &["TEXT"]),
        ("esdl_id", &["TEXT"]),
        ("registered_at", &["INTEGER"]),
        ("deactivated_at", &["INTEGER"]),
        ("job_id", &["TEXT"]),
        ("job_reference", &["TEXT"]),
    ],
};

#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    label: String,
}

impl File {
    pub(super) fn new(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path).map_err(|error| {
            Problem::usage("the path of the registry is empty").because(&error).hint(HINT)
        })?;
        let label = path.display().to_string();
        if path.metadata().is_ok_and(|found| !found.is_file()) {
            return Err(Problem::usage(format!("the registry {label} is not an ordinary file")).hint(HINT));
        }
        Ok(Self { path, label })
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.path)
            .busy_timeout(PATIENCE)
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Full)
            .disable_statement_logging()
    }

    /// Makes the folder and an empty file where they are missing.
    fn prepare(&self) -> Result<()> {
        let failed = |error: &std::io::Error| {
            Problem::usage(format!("the registry {} cannot be made", self.label)).because(error).hint(HINT)
        };
        if let Some(folder) = self.path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| failed(&error))?;
        }
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(failed(&error)),
            _ => Ok(()),
        }
    }

    async fn refuse_foreign(&self, connection: &mut Connection) -> Result<()> {
        let look = "SELECT application_id, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id";
        let found = connection.read(look, &[], |row| Ok((row.number(0)?, row.number(1)?))).await;
        match found.map_err(|error| self.problem("open the registry", &error))?.first() {
            Some((Some(0), Some(0)) | (Some(APPLICATION_ID), _)) => Ok(()),
            _ => Err(Problem::unreachable(format!(
                "{} is no registry of timesweep: it is the database of another program",
                self.label
            ))
            .hint(HINT)),
        }
    }

    /// The change of mode does not wait for locks by itself; the mode then stays with the file.
    async fn enter_write_ahead_mode(&self, connection: &mut Connection) -> Result<()> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            match connection.run("PRAGMA journal_mode = WAL").await {
                Err(error) if is_locked(&error) && Instant::now() < give_up => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                finished => return finished.map_err(|error| self.problem("open the registry", &error)),
            }
        }
    }
}

const HINT: &str =
    "name a file in a folder of its own in [ownership], such as /var/lib/timesweep/registry.db";

#[async_trait]
impl Place for File {
    fn statements(&self) -> &'static Statements {
        &SQLITE
    }

    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    async fn connect(&self) -> Result<Connection> {
        self.prepare()?;
        let connected = self.options().connect().await;
        let mut connection =
            Connection::Sqlite(connected.map_err(|error| self.problem("open the registry", &error))?);
        self.refuse_foreign(&mut connection).await?;
        self.enter_write_ahead_mode(&mut connection).await?;
        Ok(connection)
    }

    async fn begin_exclusive(&self, connection: &mut Connection) -> sqlx::Result<()> {
        connection.run("BEGIN IMMEDIATE").await
    }

    /// `BEGIN IMMEDIATE` has done it.
    async fn keep_others_out(&self, _: &mut Connection) -> sqlx::Result<()> {
        Ok(())
    }

    async fn begin_snapshot(&self, connection: &mut Connection) -> sqlx::Result<()> {
        connection.run("BEGIN").await
    }

    async fn now(&self, _: &mut Connection) -> sqlx::Result<i64> {
        Ok(jiff::Timestamp::now().as_microsecond())
    }

    async fn lock_runner(&self, run: &str) -> Result<Box<dyn RunnerLock>> {
        lock::take(&self.path, run).map(|lock| Box::new(lock) as Box<dyn RunnerLock>)
    }

    fn is_conflict(&self, _: &sqlx::Error) -> bool {
        false
    }

    fn problem(&self, doing: &str, error: &sqlx::Error) -> Problem {
        let (kind, hint) = if is_locked(error) {
            (Kind::Busy, "another program holds the file; try again when it has finished")
        } else {
            (Kind::Unreachable, "look at the file's rights, the disk and its free space")
        };
        Problem::new(kind, format!("cannot {doing}: the registry {} does not do it", self.label))
            .because(error)
            .hint(hint)
    }

    async fn reach(&self) -> Result<String> {
        Ok("the registry is a SQLite file: one runner at a time on this host, and no other host may use it"
            .into())
    }
}

fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|inner| inner.code()?.parse::<i32>().ok());
    matches!(code.map(|code| code & 0xff), Some(BUSY | LOCKED))
}
