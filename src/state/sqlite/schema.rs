//! The tables of the state file and their versions.
//!
//! A file is only changed when it is empty or a timesweep state: the SQLite database of another program is
//! refused untouched. All steps to the newest version are one transaction, so that two processes that start
//! at once, or one that is killed, never leave half of them.

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, SqlSafeStr};

use crate::problem::{Problem, Result};

use super::failure;

/// `PRAGMA application_id` of 0001_initial.sql.
const APPLICATION_ID: i64 = 1_953_724_261;

const INITIAL: &str = include_str!("../migrations/0001_initial.sql");

/// The newest version in [`migrator`].
const NEWEST: i64 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// No tables at all.
    Nothing,
    /// A state whose tables lack something that this program needs.
    Older,
    UpToDate,
}

/// What a database says about itself.
#[derive(Debug)]
pub(super) struct Look {
    application: i64,
    tables: i64,
    /// The newest version among our tables; 0 for none.
    version: i64,
}

/// Looks without changing anything.
pub(super) async fn look(connection: &mut SqliteConnection) -> sqlx::Result<Look> {
    let (application, tables) = sqlx::query_as(
        "SELECT application_id, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id",
    )
    .fetch_one(&mut *connection)
    .await?;
    if application != APPLICATION_ID {
        return Ok(Look { application, tables, version: 0 });
    }
    let version = sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations");
    Ok(Look { application, tables, version: version.fetch_one(connection).await? })
}

/// Refuses a database of another program and one of a newer timesweep.
pub(super) fn judge(look: &Look, label: &str) -> Result<Content> {
    match look {
        Look { application: 0, tables: 0, .. } => Ok(Content::Nothing),
        Look { application: APPLICATION_ID, version: NEWEST, .. } => Ok(Content::UpToDate),
        Look { application: APPLICATION_ID, version, .. } if *version > NEWEST => {
            Err(failure::newer(label, *version, NEWEST))
        }
        Look { application: APPLICATION_ID, .. } => Ok(Content::Older),
        _ => Err(failure::foreign(label)),
    }
}

/// Brings the tables to the newest version.
pub(super) async fn migrate(connection: &mut SqliteConnection, label: &str) -> Result<()> {
    let mut transaction =
        connection.begin_with("BEGIN IMMEDIATE").await.map_err(|error| failure::explain(label, &error))?;
    // Not `run`: its future cannot be shown to be `Send` for every lifetime, and then no task could open a state.
    let migrated = migrator().run_direct(None, &mut *transaction, false).await;
    migrated.map_err(|error| explain(label, error))?;
    transaction.commit().await.map_err(|error| failure::explain(label, &error))
}

fn migrator() -> Migrator {
    let initial = Migration::new(1, "initial".into(), MigrationType::Simple, INITIAL.into_sql_str(), false);
    Migrator::with_migrations(vec![initial])
}

fn explain(label: &str, error: MigrateError) -> Problem {
    match error {
        MigrateError::VersionMissing(version) => failure::newer(label, version, NEWEST),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            failure::explain(label, &error)
        }
        other => failure::altered(label, &other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_the_last_migration() {
        assert_eq!(migrator().iter().last().map(|migration| migration.version), Some(NEWEST));
    }

    #[test]
    fn the_first_migration_sets_our_application_id() {
        assert!(INITIAL.contains(&format!("PRAGMA application_id = {APPLICATION_ID};")));
    }
}
