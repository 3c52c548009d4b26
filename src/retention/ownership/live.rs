//! Jobs at work: since when they may have written, and when they have ended without a word.
//!
//! A job ends by a result, by a deletion or by its age; a list that leaves it out proves nothing. Invariant:
//! it may have written from the earliest instant that anybody can name, and its age counts from the latest.

use super::{JobId, Ledger, SeenJob};

/// By how much the clock of an orchestrator and that of a store may differ.
const CLOCKS_APART: i64 = 5 * 60 * 1_000_000;

/// A job that is at work, as a list of running jobs has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveJob {
    pub job: JobId,
    /// When it began, by the clock of whoever keeps the list.
    pub since: Option<i64>,
}

impl From<JobId> for LiveJob {
    fn from(job: JobId) -> Self {
        Self { job, since: None }
    }
}

impl Ledger {
    /// A job is at work. Where nobody says since when, it began after the last check, which would have seen it.
    pub fn job_is_live(&mut self, live: LiveJob, now: i64) {
        let earliest =
            live.since.map_or(self.checked_at, |since| since.saturating_sub(CLOCKS_APART)).min(now);
        let age_from = live.since.unwrap_or(now).min(now);
        let new = SeenJob { first_seen: earliest, age_from, ended: None };
        let seen = self.jobs.entry(live.job).or_insert(new);
        seen.first_seen = seen.first_seen.min(earliest);
    }

    /// Who has been at work for longer than any job may has ended, and nobody told us.
    pub(super) fn end_old_jobs(&mut self, longest: i64, now: i64) -> Vec<JobId> {
        let too_old = |job: &SeenJob| job.ended.is_none() && now.saturating_sub(job.age_from) > longest;
        let old = self.jobs.iter_mut().filter(|(_, job)| too_old(job));
        let end = |(job, seen): (&JobId, &mut SeenJob)| {
            seen.ended = Some(now);
            *job
        };
        old.map(end).collect()
    }
}
