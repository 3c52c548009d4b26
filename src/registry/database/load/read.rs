//! Rows of an answer as values, and values as the lists that a statement takes.
//!
//! Invariant: a value that is missing or cannot be read is an error of the whole unit; nothing is guessed.

use uuid::Uuid;

use super::{KeptRow, LastCheck, TheirRow};
use crate::registry::database::connection::Columns;
use crate::retention::ownership::adopt::FoundRow;
use crate::retention::ownership::claims::Claim;
use crate::retention::ownership::live::LiveJob;
use crate::retention::ownership::{JobId, OwnedName, SeenDataset, SeenJob, UnreadResult};

/// A JSON list of ids.
pub(in crate::registry::database) fn ids(all: impl IntoIterator<Item = JobId>) -> String {
    let texts: Vec<String> = all.into_iter().map(|job| job.0.to_string()).collect();
    list(&texts)
}

pub(in crate::registry::database) fn list<T: serde::Serialize>(all: &[T]) -> String {
    serde_json::json!(all).to_string()
}

fn unreadable(what: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}

fn required<T>(value: Option<T>) -> sqlx::Result<T> {
    value.ok_or_else(|| unreadable("a value is missing"))
}

fn job(row: &dyn Columns, column: usize) -> sqlx::Result<JobId> {
    Ok(JobId(required(row.id(column)?)?))
}

fn name(row: &dyn Columns, column: usize) -> sqlx::Result<OwnedName> {
    Ok(OwnedName(required(row.text(column)?)?.into()))
}

fn number(row: &dyn Columns, column: usize) -> sqlx::Result<i64> {
    required(row.number(column)?)
}

#[expect(clippy::unnecessary_wraps, reason = "as every function that reads a row")]
pub(in crate::registry::database) fn some(_: &dyn Columns) -> sqlx::Result<()> {
    Ok(())
}

pub(in crate::registry::database) fn live_job(row: &dyn Columns) -> sqlx::Result<LiveJob> {
    let text = required(row.text(0)?)?;
    let job = text.parse().map_err(|_| unreadable("a job has no id"))?;
    Ok(LiveJob { job: JobId(job), since: row.number(1)? })
}

pub(in crate::registry::database) fn only_name(row: &dyn Columns) -> sqlx::Result<OwnedName> {
    name(row, 0)
}

fn row_id(row: &dyn Columns) -> sqlx::Result<Uuid> {
    required(row.id(0)?)
}

pub(super) fn kept_row(row: &dyn Columns) -> sqlx::Result<KeptRow> {
    Ok(KeptRow {
        row_id: row_id(row)?,
        dataset: row.text(1)?.map(|name| OwnedName(name.into())),
        job: row.id(2)?.map(JobId),
        marked_at: row.number(3)?,
        first_look: row.number(4)?,
        first_check: row.number(5)?,
    })
}

/// What a comparison of their table with ours brings.
pub(super) enum Differing {
    Changed(TheirRow),
    Vanished { row_id: Uuid, tombstone_of: Option<JobId> },
}

pub(super) fn their_row(row: &dyn Columns) -> sqlx::Result<TheirRow> {
    their_row_of(row_id(row)?, row)
}

fn their_row_of(row_id: Uuid, row: &dyn Columns) -> sqlx::Result<TheirRow> {
    let found = FoundRow {
        dataset: row.text(1)?.map(|name| OwnedName(name.into())),
        job: row.id(2)?.map(JobId),
        marked_at: row.number(3)?,
        registered_at: row.number(4)?.unwrap_or(i64::MAX),
    };
    Ok(TheirRow { row_id, row: found })
}

/// Their row and ours beside each other: theirs is not as we left it, or is there no more.
pub(super) fn differing(row: &dyn Columns) -> sqlx::Result<Differing> {
    if let Some(row_id) = row.id(0)? {
        return their_row_of(row_id, row).map(Differing::Changed);
    }
    Ok(Differing::Vanished { row_id: required(row.id(5)?)?, tombstone_of: row.id(6)?.map(JobId) })
}

pub(super) fn claim(row: &dyn Columns) -> sqlx::Result<(OwnedName, Claim)> {
    Ok((name(row, 0)?, Claim { job: job(row, 1)?, at: number(row, 2)? }))
}

pub(super) fn deleted(row: &dyn Columns) -> sqlx::Result<(JobId, i64, bool)> {
    Ok((job(row, 0)?, number(row, 1)?, number(row, 2)? != 0))
}

pub(in crate::registry::database) fn tombstone(row: &dyn Columns) -> sqlx::Result<(JobId, i64)> {
    Ok((job(row, 0)?, number(row, 1)?))
}

pub(super) fn seen_job(row: &dyn Columns) -> sqlx::Result<(JobId, SeenJob)> {
    Ok((
        job(row, 0)?,
        SeenJob { first_seen: number(row, 1)?, age_from: number(row, 2)?, ended: row.number(3)? },
    ))
}

pub(super) fn seen_dataset(row: &dyn Columns) -> sqlx::Result<(OwnedName, SeenDataset)> {
    let seen = SeenDataset {
        first_seen: number(row, 1)?,
        last_change: row.number(2)?,
        change_token: row.text(3)?.map(Into::into),
        absent_since: row.number(4)?,
    };
    Ok((name(row, 0)?, seen))
}

pub(super) fn hold(row: &dyn Columns) -> sqlx::Result<(OwnedName, Option<i64>, Option<String>)> {
    Ok((name(row, 0)?, row.number(1)?, row.text(2)?.map(str::to_owned)))
}

pub(super) fn unread(row: &dyn Columns) -> sqlx::Result<(JobId, UnreadResult)> {
    Ok((job(row, 0)?, UnreadResult { since: number(row, 1)?, at: number(row, 2)? }))
}

pub(super) fn last_check(row: &dyn Columns) -> sqlx::Result<LastCheck> {
    Ok(LastCheck { number: number(row, 0)?, at: number(row, 1)?, announced: number(row, 2)? })
}
