//! What can happen to owned data from outside, as values: every way in (REST, AMQP, command line, the
//! orchestrator) says it with these, and every registry does with them what the ledger does here.
//!
//! Invariant: each may arrive twice, in any order, on any replica; doing it again changes nothing.

use super::{JobId, Ledger, OwnedName};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    JobIsLive(JobId),
    Succeeded {
        job: JobId,
        dataset: OwnedName,
    },
    /// The result has no ESDL, or one without a readable id.
    SucceededWithAnUnknownDataset(JobId),
    Failed(JobId),
    /// Deleted by a person, or timed out. A success after a time-out is told with `CancelTombstone` before it.
    Deleted(JobId),
    CancelMark {
        dataset: OwnedName,
        /// Microseconds since 1970 UTC.
        hold_until: i64,
    },
    CancelTombstone(JobId),
    Hold {
        dataset: OwnedName,
        /// `None` lasts until a person removes it.
        until: Option<i64>,
    },
    Unhold(OwnedName),
}

/// What an event met.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Met {
    /// The job, or the dataset, was known before.
    pub known: bool,
    /// The datasets that belong to nobody since.
    pub let_go: Vec<OwnedName>,
}

impl Ledger {
    pub fn apply(&mut self, event: &Event, now: i64) -> Met {
        let known = self.knows(event);
        match event {
            Event::JobIsLive(job) => self.job_is_live((*job).into(), now),
            Event::Succeeded { job, dataset } => self.succeeded(*job, dataset, now),
            Event::SucceededWithAnUnknownDataset(job) => self.succeeded_with_an_unknown_dataset(*job, now),
            Event::Failed(job) => self.failed(*job, now),
            Event::Deleted(job) => self.deleted(*job, now),
            Event::CancelMark { dataset, hold_until } => self.cancel_mark(dataset, *hold_until, now),
            Event::CancelTombstone(job) => self.cancel_tombstone(*job),
            Event::Hold { dataset, until } => self.hold(dataset, *until),
            Event::Unhold(dataset) => self.unhold(dataset),
        }
        Met { known, let_go: self.let_go_by(event) }
    }

    fn hold(&mut self, dataset: &OwnedName, until: Option<i64>) {
        self.unread_holds.remove(dataset);
        self.holds.insert(dataset.clone(), until);
    }

    fn unhold(&mut self, dataset: &OwnedName) {
        self.unread_holds.remove(dataset);
        self.holds.remove(dataset);
    }

    fn knows(&self, event: &Event) -> bool {
        match event {
            Event::JobIsLive(job)
            | Event::Succeeded { job, .. }
            | Event::SucceededWithAnUnknownDataset(job)
            | Event::Failed(job)
            | Event::Deleted(job)
            | Event::CancelTombstone(job) => {
                self.jobs.contains_key(job)
                    || self.deleted_jobs.contains_key(job)
                    || self.claims.by(*job).next().is_some()
            }
            Event::CancelMark { dataset, .. } => self.rows.contains_key(dataset),
            Event::Hold { dataset, .. } => self.datasets.contains_key(dataset),
            Event::Unhold(dataset) => self.holds.contains_key(dataset),
        }
    }

    fn let_go_by(&self, event: &Event) -> Vec<OwnedName> {
        let Event::Deleted(job) = event else { return Vec::new() };
        let unowned = |name: &&OwnedName| self.owner(name).is_none();
        self.claims.by(*job).filter(unowned).cloned().collect()
    }
}
