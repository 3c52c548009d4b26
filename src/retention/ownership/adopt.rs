//! Rows that others wrote enter the ledger: today's orchestrator, a person with SQL, an older installation.
//!
//! Such a row can lie (a mark that a success left standing, a deletion that came before its result), so it
//! may add claims and deletions, and what it leaves in doubt gets a hold without end. Invariant: what is
//! taken in makes no drop easier than the same events would; data whose row is in doubt waits for a person.

use super::{JobId, Ledger, Mark, OwnedName, Row};

/// A row of `esdl_time_series_info` that is not as we left it. Instants are microseconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRow {
    pub dataset: Option<OwnedName>,
    pub job: Option<JobId>,
    pub marked_at: Option<i64>,
    pub registered_at: i64,
}

/// A row was marked with both ids before we knew it: a deletion, or a success that met a mark.
pub const MARKED_BEFORE: &str = "its row was marked by another program: the job was deleted, or it succeeded and the mark was left standing";
/// Another program let an active registration go.
pub const MARKED_BY_OTHERS: &str = "another program marked its active row";
/// Registered, not marked, and without a job.
pub const WITHOUT_JOB: &str = "its row is active and names no job";

impl Ledger {
    /// Takes one row in. `told`: we ourselves were told that this job is deleted. Answers with the reason
    /// where the dataset has to wait for a person from now on.
    pub fn take_in(
        &mut self,
        found: &FoundRow,
        told: &dyn Fn(JobId) -> bool,
        now: i64,
    ) -> Option<&'static str> {
        let FoundRow { dataset, job, marked_at, registered_at } = found;
        match (dataset, *job, *marked_at) {
            (Some(dataset), Some(job), None) => {
                let at = if self.rows.contains_key(dataset) { now } else { (*registered_at).min(now) };
                self.take_in_active(dataset, job, at, told(job), now);
                None
            }
            (Some(dataset), Some(job), Some(at)) => self.take_in_marked(dataset, job, at, now),
            (Some(dataset), None, Some(at)) => {
                let mark = self.mark_of_others(dataset, at);
                self.rows.insert(dataset.clone(), Row { job: None, mark: Some(mark) });
                None
            }
            (Some(dataset), None, None) => {
                self.rows.insert(dataset.clone(), Row { job: None, mark: None });
                Some(self.quarantine(dataset, WITHOUT_JOB))
            }
            (None, Some(job), Some(at)) => {
                self.take_in_deletion(job, at, now);
                self.tombstones.entry(job).and_modify(|first| *first = at.min(*first)).or_insert(at);
                None
            }
            // It protects nothing and lets nothing go.
            (None, ..) => None,
        }
    }

    /// Somebody removed the row of a dataset. Claims and deletions stay.
    pub fn row_vanished(&mut self, dataset: &OwnedName) {
        self.dropped(dataset);
    }

    /// A registration is a success, and it stays as it was found: a deletion that is known from a row alone
    /// lets nothing go. Only one that we were told does, as it would have in the other order.
    fn take_in_active(&mut self, dataset: &OwnedName, job: JobId, at: i64, told: bool, now: i64) {
        let is_new = !self.claims.of(dataset).iter().any(|claim| claim.job == job);
        if let Some(seen) = self.jobs.get_mut(&job) {
            seen.ended.get_or_insert(now);
        }
        self.claim(dataset, job, at);
        if told && is_new {
            self.tombstones.remove(&job);
            self.derive_row(dataset, now);
        } else {
            self.rows.insert(dataset.clone(), Row { job: Some(job), mark: None });
        }
    }

    fn take_in_marked(&mut self, dataset: &OwnedName, job: JobId, at: i64, now: i64) -> Option<&'static str> {
        let row = self.rows.get(dataset);
        let mark = row.and_then(|row| row.mark.as_ref());
        let same_job = row.is_some_and(|row| row.job == Some(job));
        let known = row.is_some();
        if same_job && mark.is_some() {
            let mark = self.mark_of_others(dataset, at);
            self.rows.insert(dataset.clone(), Row { job: Some(job), mark: Some(mark) });
            return None;
        }
        if mark.is_some_and(|mark| mark.at == at) && !self.deleted_jobs.contains_key(&job) {
            // The success of another job came over a mark, which was left standing.
            self.succeeded(job, dataset, now);
            return None;
        }
        if known {
            self.claims.insert(dataset, job, now);
            self.take_in_deletion(job, at, now);
        }
        self.rows.insert(dataset.clone(), Row { job: Some(job), mark: Some(Mark::new(at)) });
        Some(self.quarantine(dataset, if known { MARKED_BY_OTHERS } else { MARKED_BEFORE }))
    }

    fn take_in_deletion(&mut self, job: JobId, at: i64, now: i64) {
        self.deleted_jobs.entry(job).or_insert(at);
        if let Some(seen) = self.jobs.get_mut(&job) {
            seen.ended.get_or_insert(now);
        }
    }

    /// A mark that others moved counts from the later instant, and has to be seen anew.
    fn mark_of_others(&self, dataset: &OwnedName, at: i64) -> Mark {
        match self.rows.get(dataset).and_then(|row| row.mark.as_ref()) {
            Some(mark) if mark.at == at => mark.clone(),
            Some(mark) => Mark::new(mark.at.max(at)),
            None => Mark::new(at),
        }
    }

    fn quarantine(&mut self, dataset: &OwnedName, reason: &'static str) -> &'static str {
        self.unread_holds.remove(dataset);
        self.holds.insert(dataset.clone(), None);
        reason
    }

    /// Active rows that nobody owns: a job's deletion is known from elsewhere, and its data stayed.
    pub fn probable_leaks(&self) -> impl Iterator<Item = &OwnedName> {
        let active = self.rows.iter().filter(|(_, row)| row.mark.is_none() && row.job.is_some());
        active.filter(|(name, _)| self.owner(name).is_none()).map(|(name, _)| name)
    }
}
