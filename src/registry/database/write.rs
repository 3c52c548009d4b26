//! Writes what a unit of work changed, in the order in which the tables allow it.
//!
//! Invariant: when a row of `esdl_time_series_info` is no longer what the unit decided on, nothing of the
//! unit is kept: the caller rolls back and starts it again on what is there now.

use super::connection::Connection;
use super::difference::{Changes, Rows};
use super::statements::Statements;

/// Whether everything was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    All,
    /// Another program was in between.
    Conflict,
}

pub(super) async fn write(
    connection: &mut Connection,
    statements: &'static Statements,
    changes: Changes,
) -> sqlx::Result<Written> {
    if let Some(at) = changes.checked_at {
        connection.execute(statements.put_check, at.to_string()).await?;
    }
    for (statement, rows) in [
        (statements.add_claims, changes.claims),
        (statements.remove_deleted, changes.undeleted),
        (statements.put_deleted, changes.deleted),
        (statements.put_jobs, changes.jobs),
        (statements.remove_datasets, changes.datasets_gone),
        (statements.put_datasets, changes.datasets),
        (statements.remove_holds, changes.holds_gone),
        (statements.put_holds, changes.holds),
        (statements.remove_unread, changes.unread_gone),
        (statements.put_unread, changes.unread),
        (statements.remove_kept, changes.kept_gone),
        (statements.put_kept, changes.kept),
        (statements.delete_theirs, changes.tombstones_removed),
    ] {
        execute_all(connection, statement, rows).await?;
    }
    for (statement, rows) in [
        (statements.delete_theirs, changes.removed),
        (statements.update_theirs, changes.updated),
        (statements.insert_theirs, changes.inserted),
    ] {
        if !execute_exactly(connection, statement, rows).await? {
            return Ok(Written::Conflict);
        }
    }
    Ok(Written::All)
}

async fn execute_all(connection: &mut Connection, statement: &'static str, rows: Rows) -> sqlx::Result<()> {
    for batch in rows.0 {
        connection.execute(statement, batch.list).await?;
    }
    Ok(())
}

async fn execute_exactly(
    connection: &mut Connection,
    statement: &'static str,
    rows: Rows,
) -> sqlx::Result<bool> {
    for batch in rows.0 {
        if connection.execute(statement, batch.list).await? != batch.rows {
            return Ok(false);
        }
    }
    Ok(true)
}
