//! Every statement of a registry, once for each kind of database.
//!
//! A list goes into a statement as one JSON text, so that a batch of any length is one prepared statement
//! and no name is ever put into a statement. Invariant: a statement that changes a row of
//! `esdl_time_series_info` names the content it was decided on, and changes nothing when that is gone.

mod postgres;
mod sqlite;

pub(super) use postgres::POSTGRES;
pub(super) use sqlite::SQLITE;

/// `_of` takes JSON lists of what it is asked for, `all_` everything.
#[derive(Debug)]
pub(super) struct Statements {
    /// row, dataset, job, mark, first look, first check
    pub all_kept: &'static str,
    pub kept_of_datasets: &'static str,
    /// Of datasets, and tombstones of jobs.
    pub kept_of: &'static str,
    /// row, dataset, job, mark, registered: what is not as we left it; or, without these, a row that is there no
    /// more: its id, and its job if it was a tombstone. Both at once, so that each table is read once.
    pub differing: &'static str,
    /// Of datasets, and of row ids. The first keeps others from changing them until we commit.
    pub theirs_locked: &'static str,
    pub theirs_of: &'static str,
    /// dataset, job, instant
    pub all_claims: &'static str,
    /// Of datasets that have a row.
    pub claims_with_rows: &'static str,
    pub claims_of: &'static str,
    /// Datasets that jobs claimed.
    pub claimed_by: &'static str,
    /// Datasets with a mark and without a job.
    pub orphans: &'static str,
    /// job, instant, adopted
    pub all_deleted: &'static str,
    /// Of jobs that claimed a dataset which has a row.
    pub deleted_with_rows: &'static str,
    pub deleted_of: &'static str,
    /// job, first seen, age from, ended
    pub all_jobs: &'static str,
    pub jobs_of: &'static str,
    pub running_jobs: &'static str,
    /// One job that was known before it ended, if there is any.
    pub listed_job: &'static str,
    /// dataset, first seen, last change, change token, absent since
    pub all_datasets: &'static str,
    pub datasets_of: &'static str,
    /// dataset, until, reason
    pub all_holds: &'static str,
    pub holds_of: &'static str,
    /// job, since, instant
    pub all_unread: &'static str,
    /// The next names of a list, from a text on, at most so many: a superset of what the list holds.
    pub known_from: &'static str,
    pub marked_from: &'static str,
    /// What others changed may be held from now on.
    pub held_from: &'static str,
    /// job, instant: from the text of an id on, and of jobs
    pub tombstones_from: &'static str,
    pub tombstones_of: &'static str,
    /// Datasets whose row names one of these jobs: there is no index for that.
    pub registered_by: &'static str,
    /// number, instant, announced
    pub last_check: &'static str,
    /// Tables called `job`.
    pub has_job_table: &'static str,
    /// job, registered
    pub live_jobs: &'static str,
    /// Of one job.
    pub job_status: &'static str,

    pub add_claims: &'static str,
    pub put_deleted: &'static str,
    pub remove_deleted: &'static str,
    pub put_jobs: &'static str,
    pub put_datasets: &'static str,
    pub remove_datasets: &'static str,
    pub put_holds: &'static str,
    pub remove_holds: &'static str,
    pub put_unread: &'static str,
    pub remove_unread: &'static str,
    pub put_kept: &'static str,
    pub remove_kept: &'static str,
    pub insert_theirs: &'static str,
    pub update_theirs: &'static str,
    pub delete_theirs: &'static str,
    pub put_check: &'static str,
    pub announce: &'static str,
}
