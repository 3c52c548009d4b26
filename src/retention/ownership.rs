//! Who may keep a dataset alive: claims, deletions and marks as one value, and what each event does to it.
//!
//! A dataset is owned while a claim of a job that was not deleted exists. The row that other programs see
//! is derived from the ledger in the same step, never the other way round. Every event is idempotent.
//! Invariant: no event drops anything; it can only let go, and `check` decides later, from state alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use claims::Claims;

pub mod adopt;
#[cfg(test)]
mod adoption;
pub mod check;
pub mod claims;
pub mod event;
#[cfg(test)]
mod interleavings;
pub mod live;
pub mod sighting;
#[cfg(test)]
mod tests;

/// The job that data belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub Uuid);

/// What a job owns: an InfluxDB database or a schema, by its name in the store. A copy shares its text: a check
/// of 100,000 datasets has each name in a dozen places.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnedName(pub Arc<str>);

/// All that is remembered. Instants are microseconds since 1970 UTC.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Who reported success with which dataset, and when. Never forgotten while the job is not deleted.
    pub claims: Claims,
    /// Deleted or timed out. Lasting, so that a result that comes late meets its deletion.
    pub deleted_jobs: BTreeMap<JobId, i64>,
    pub jobs: BTreeMap<JobId, SeenJob>,
    pub datasets: BTreeMap<OwnedName, SeenDataset>,
    /// At most one row for a dataset, and tombstones beside them.
    pub rows: BTreeMap<OwnedName, Row>,
    pub tombstones: BTreeMap<JobId, i64>,
    /// Pins with their end; `None` lasts until a person removes it.
    pub holds: BTreeMap<OwnedName, Option<i64>>,
    /// Those of them that an unreadable success set: they are for orphans, and end with a claim.
    pub unread_holds: BTreeSet<OwnedName>,
    /// When the last complete check began; 1970 before the first.
    pub checked_at: i64,
    /// Successes that nobody can read, until a check has looked for what they wrote.
    pub unread: BTreeMap<JobId, UnreadResult>,
}

/// A job succeeded, and nobody can read with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnreadResult {
    /// When the job was first seen live; zero where nobody saw it.
    pub since: i64,
    /// When the result came.
    pub at: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenJob {
    /// The earliest that it can have written.
    pub first_seen: i64,
    /// The latest that it can have begun: its age counts from here.
    pub age_from: i64,
    /// By a result, a deletion or the stated maximum age; never because its row is missing.
    pub ended: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenDataset {
    pub first_seen: i64,
    /// The last write that the store has shown, or the look that found a change.
    pub last_change: Option<i64>,
    /// What the store said of its writes at the last look (`sighting.rs`).
    pub change_token: Option<Arc<str>>,
    /// The first of the complete checks in a row that did not find it.
    pub absent_since: Option<i64>,
}

/// The row of `esdl_time_series_info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub job: Option<JobId>,
    pub mark: Option<Mark>,
}

/// "Let go at", and how far it has come since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub at: i64,
    /// The first and the last check that saw it.
    pub seen: Option<(i64, i64)>,
    /// It stood in a report.
    pub announced: bool,
}

impl Mark {
    fn new(at: i64) -> Self {
        Self { at, seen: None, announced: false }
    }
}

impl Ledger {
    /// The job reported success with this dataset: a claim, whatever mark the dataset had.
    pub fn succeeded(&mut self, job: JobId, dataset: &OwnedName, now: i64) {
        self.end(job, now);
        self.claim(dataset, job, now);
        self.tombstones.remove(&job);
        self.derive_row(dataset, now);
    }

    /// The job reported success, and nobody can read with what: its orphans wait for a person.
    pub fn succeeded_with_an_unknown_dataset(&mut self, job: JobId, now: i64) {
        let seen = self.jobs.get(&job);
        // One that comes again must not hold what a person let go.
        let is_new = seen.is_none_or(|seen| seen.ended.is_none());
        let since = seen.map_or(0, |seen| seen.first_seen);
        let until = seen.and_then(|seen| seen.ended).unwrap_or(now);
        self.hold_orphans(|epoch| since <= epoch && epoch <= until);
        if is_new {
            self.unread.insert(job, UnreadResult { since, at: now });
        }
        self.end(job, now);
    }

    /// The job failed or was cancelled. What data there is has no owner.
    pub fn failed(&mut self, job: JobId, now: i64) {
        self.end(job, now);
    }

    /// The job was deleted or timed out. What it alone owned is let go; a result may still come.
    pub fn deleted(&mut self, job: JobId, now: i64) {
        self.end(job, now);
        self.deleted_jobs.entry(job).or_insert(now);
        let claimed: Vec<OwnedName> = self.claims.by(job).cloned().collect();
        if claimed.is_empty() {
            self.tombstones.entry(job).or_insert(now);
        }
        for dataset in claimed {
            self.derive_row(&dataset, now);
        }
    }

    /// A person wants the dataset back. The hold outlives a deletion that is delivered once more.
    pub fn cancel_mark(&mut self, dataset: &OwnedName, hold_until: i64, now: i64) {
        self.believe_the_row(dataset, now);
        self.unread_holds.remove(dataset);
        let claimants: BTreeSet<JobId> = self.claimants(dataset).collect();
        self.deleted_jobs.retain(|job, _| !claimants.contains(job));
        let hold = self.holds.entry(dataset.clone()).or_insert(Some(hold_until));
        *hold = hold.map(|until| until.max(hold_until));
        // A registration of others that names no job has no mark to cancel, and gets none by that.
        if self.rows.get(dataset) != Some(&Row { job: None, mark: None }) {
            self.derive_row(dataset, now);
        }
    }

    /// A person wants the result of a deleted job to count when it comes.
    pub fn cancel_tombstone(&mut self, job: JobId) {
        self.deleted_jobs.remove(&job);
        self.tombstones.remove(&job);
    }

    /// The dataset is gone and verified to be gone.
    pub fn dropped(&mut self, dataset: &OwnedName) {
        self.rows.remove(dataset);
        self.datasets.remove(dataset);
    }

    /// Claimants that were not deleted, the newest last.
    pub fn owners(&self, dataset: &OwnedName) -> Vec<JobId> {
        self.claimants(dataset).filter(|job| !self.deleted_jobs.contains_key(job)).collect()
    }

    /// The newest claimant that was not deleted.
    fn owner(&self, dataset: &OwnedName) -> Option<JobId> {
        self.claimants(dataset).rfind(|job| !self.deleted_jobs.contains_key(job))
    }

    /// Everybody who claimed it, in the order of their claims.
    fn claimants(&self, dataset: &OwnedName) -> impl DoubleEndedIterator<Item = JobId> {
        self.claims.of(dataset).iter().map(|claim| claim.job)
    }

    /// A row that others wrote may name a job whose claim was never heard of: a person's word makes it one.
    fn believe_the_row(&mut self, dataset: &OwnedName, now: i64) {
        let named = self.rows.get(dataset).and_then(|row| row.job);
        if let (Some(job), false) = (named, self.claims.contains(dataset)) {
            self.claims.insert(dataset, job, now);
        }
    }

    fn end(&mut self, job: JobId, now: i64) {
        let seen = self.jobs.entry(job).or_insert(SeenJob { first_seen: now, age_from: now, ended: None });
        seen.ended.get_or_insert(now);
    }

    /// The moment of which the epoch rule asks: whoever wrote last was live then.
    fn epoch(&self, dataset: &OwnedName) -> Option<i64> {
        let seen = self.datasets.get(dataset)?;
        Some(seen.last_change.unwrap_or(seen.first_seen))
    }

    /// Until a person removes it.
    fn hold_orphans(&mut self, is_meant: impl Fn(i64) -> bool) {
        let orphans = self.rows.iter().filter(|(_, row)| row.mark.is_some() && row.job.is_none());
        let meant = orphans.map(|(name, _)| name).filter(|name| self.epoch(name).is_some_and(&is_meant));
        let meant: Vec<OwnedName> = meant.cloned().collect();
        for name in meant {
            // What a person holds already stays his.
            if self.holds.insert(name.clone(), None).is_none() {
                self.unread_holds.insert(name);
            }
        }
    }

    /// Whose it is, is known: it is not what nobody could read, and in the other order it was never held. And a
    /// new claim is a new registration: that its dataset was missed before says nothing about it.
    fn claim(&mut self, dataset: &OwnedName, job: JobId, at: i64) {
        let is_absent = self.datasets.get(dataset).is_some_and(|seen| seen.absent_since.is_some());
        if self.claims.insert(dataset, job, at) && is_absent {
            self.datasets.remove(dataset);
        }
        if self.unread_holds.remove(dataset) {
            self.holds.remove(dataset);
        }
    }

    /// What other programs see follows from claims and deletions. A mark that stays keeps its instant.
    fn derive_row(&mut self, dataset: &OwnedName, now: i64) {
        let owner = self.owner(dataset);
        let job = owner.or_else(|| self.claimants(dataset).last());
        let row = self.rows.entry(dataset.clone()).or_insert(Row { job, mark: None });
        row.job = job;
        row.mark = match (owner, row.mark.take()) {
            (Some(_), _) => None,
            (None, mark) => mark.or_else(|| Some(Mark::new(now))),
        };
    }
}
