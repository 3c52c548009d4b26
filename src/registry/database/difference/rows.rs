//! Rows to write, as the JSON lists that the statements take.
//!
//! Each row is text from the moment it is known: as values, 100,000 of them would take ten times the memory
//! and the time. Invariant: the fields are named as the statements name them.

use serde::Serialize;
use uuid::Uuid;

/// Rows for one statement.
#[derive(Debug, Default)]
pub(in crate::registry::database) struct Rows(pub Vec<Batch>);

/// One call of a statement.
#[derive(Debug)]
pub(in crate::registry::database) struct Batch {
    pub list: String,
    pub rows: u64,
}

const ROWS_IN_A_BATCH: u64 = 10_000;

impl Rows {
    pub fn push(&mut self, row: impl Serialize) {
        // It cannot fail; a row that were missing would make the list unreadable, and the statement an error.
        let row = serde_json::to_string(&row).unwrap_or_default();
        match self.0.last_mut().filter(|batch| batch.rows < ROWS_IN_A_BATCH) {
            Some(batch) => {
                batch.list.pop();
                batch.list.push(',');
                batch.list.push_str(&row);
                batch.list.push(']');
                batch.rows += 1;
            }
            None => self.0.push(Batch { list: format!("[{row}]"), rows: 1 }),
        }
    }
}

impl<T: Serialize> Extend<T> for Rows {
    fn extend<I: IntoIterator<Item = T>>(&mut self, rows: I) {
        rows.into_iter().for_each(|row| self.push(row));
    }
}

impl<T: Serialize> FromIterator<T> for Rows {
    fn from_iter<I: IntoIterator<Item = T>>(given: I) -> Self {
        let mut rows = Self::default();
        rows.extend(given);
        rows
    }
}

#[derive(Debug, Serialize)]
pub(super) struct NewClaim<'a> {
    pub dataset: &'a str,
    pub job: Uuid,
    pub at: i64,
}

#[derive(Debug, Serialize)]
pub(super) struct DeletedJob {
    pub job: Uuid,
    pub at: i64,
    pub adopted: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct KnownJob {
    pub job: Uuid,
    pub first_seen: i64,
    pub age_from: i64,
    pub ended: Option<i64>,
}

#[derive(Debug, Serialize)]
pub(super) struct KnownDataset<'a> {
    pub dataset: &'a str,
    pub first_seen: i64,
    pub last_change: Option<i64>,
    pub change_token: Option<&'a str>,
    pub absent_since: Option<i64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Hold<'a> {
    pub dataset: &'a str,
    pub until: Option<i64>,
    pub reason: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Unread {
    pub job: Uuid,
    pub since: i64,
    pub at: i64,
}

/// What we remember of a row of theirs; a tombstone without a dataset.
#[derive(Debug, Serialize)]
pub(super) struct Kept<'a> {
    pub row_id: Uuid,
    pub dataset: Option<&'a str>,
    pub job: Option<Uuid>,
    pub marked_at: Option<i64>,
    pub first_look: Option<i64>,
    pub first_check: Option<i64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Insert<'a> {
    pub row_id: Uuid,
    pub dataset: Option<&'a str>,
    pub now: i64,
    pub marked_at: Option<i64>,
    pub job: Option<Uuid>,
}

#[derive(Debug, Serialize)]
pub(super) struct Update<'a> {
    pub dataset: Option<&'a str>,
    pub marked_at: Option<i64>,
    pub job: Option<Uuid>,
    #[serde(flatten)]
    pub old: Expected<'a>,
}

/// The content that a change was decided on.
#[derive(Debug, Serialize)]
pub(super) struct Expected<'a> {
    pub row_id: Uuid,
    pub old_dataset: Option<&'a str>,
    pub old_marked_at: Option<i64>,
    pub old_job: Option<Uuid>,
}
