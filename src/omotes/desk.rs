//! What a batch of messages finds, and what follows from it.
//!
//! Deciding is pure: messages are decided one after the other on what the ones before them left here, and all
//! that follows is written at the end. Invariant: a job leaves the desk once, and only with its last letter
//! or as a stale row.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::letter::{Content, Letter};
use super::told::{Told, What};
use crate::retention::ownership::JobId;
use crate::retention::ownership::event::Event;

/// A row of `job`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Job {
    /// `None`: its task has not been given an id. Ours are UUIDs; other programs may give others.
    pub celery_id: Option<String>,
    pub workflow: Option<String>,
    pub status: Status,
    /// How often its task began.
    pub starts: i64,
    /// The messages that said so, where they can be told apart.
    pub counted: BTreeSet<Uuid>,
    /// Running for longer than it may.
    pub overdue: bool,
    /// Nothing was heard of it for so long that its row goes.
    pub stale: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Status {
    #[default]
    Registered,
    Submitted,
    Running,
}

/// A row that is to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewJob {
    pub celery_id: Uuid,
    pub workflow: String,
    pub timeout_ms: Option<i32>,
    pub reference: String,
}

#[derive(Debug, Default)]
pub(super) struct Desk {
    pub jobs: BTreeMap<JobId, Job>,
    /// Their last letter is written.
    pub over: BTreeSet<JobId>,
    /// Deleted, as the registry has it.
    pub deleted: BTreeSet<JobId>,
    /// Ended by time itself, and by nobody since.
    pub ended_by_time: BTreeSet<JobId>,
    pub follows: Follows,
    /// What the log is to say, in this order.
    pub told: Vec<Told>,
}

/// All that is to be written.
#[derive(Debug, Default)]
pub(super) struct Follows {
    pub registered: BTreeMap<JobId, NewJob>,
    /// Their rows have another status or Celery id.
    pub changed: BTreeSet<JobId>,
    /// One for each time that a task began.
    pub started: Vec<JobId>,
    /// The messages that said so.
    pub counted: Vec<(JobId, Uuid)>,
    pub removed: BTreeSet<JobId>,
    /// Over, and they never had a row.
    pub turned_away: BTreeSet<JobId>,
    /// Over, with the end of their rows.
    pub ended: BTreeSet<JobId>,
    /// Of these, whoever ended because time was up.
    pub ended_by_time: BTreeSet<JobId>,
    /// Somebody wants them deleted.
    pub deleted: BTreeSet<JobId>,
    pub letters: Vec<Letter>,
    pub events: Vec<Event>,
}

impl Desk {
    /// The job where this is a run of it that counts.
    pub(super) fn running_as(&self, job: JobId, celery_id: Option<&str>) -> Option<&Job> {
        self.jobs.get(&job).filter(|row| celery_id.is_some() && row.celery_id.as_deref() == celery_id)
    }

    pub(super) fn register(&mut self, job: JobId, new: NewJob) {
        let row = Job {
            celery_id: Some(new.celery_id.to_string()),
            workflow: Some(new.workflow.clone()),
            ..Job::default()
        };
        self.jobs.insert(job, row);
        self.follows.registered.insert(job, new);
    }

    pub(super) fn change(&mut self, job: JobId, change: impl FnOnce(&mut Job)) {
        if let Some(row) = self.jobs.get_mut(&job) {
            change(row);
            self.follows.changed.insert(job);
        }
    }

    /// Its row goes; the last letter is the caller's.
    pub(super) fn end(&mut self, job: JobId) -> Option<Job> {
        let row = self.remove(job)?;
        self.over.insert(job);
        self.follows.ended.insert(job);
        Some(row)
    }

    /// Its row goes without a word.
    pub(super) fn remove(&mut self, job: JobId) -> Option<Job> {
        let row = self.jobs.remove(&job)?;
        self.follows.changed.remove(&job);
        self.follows.removed.insert(job);
        Some(row)
    }

    /// It never gets a row.
    pub(super) fn turn_away(&mut self, job: JobId) {
        self.over.insert(job);
        self.follows.turned_away.insert(job);
    }

    pub(super) fn send(&mut self, letter: Letter) {
        self.follows.letters.push(letter);
    }

    /// Says whether a task of this id can be told to end: letters know none but UUIDs.
    pub(super) fn revoke(&mut self, job: JobId, celery_id: &str) -> bool {
        let id = Uuid::parse_str(celery_id);
        if let Ok(celery_id) = id {
            self.send(Letter { job, content: Content::Revoke { celery_id } });
        }
        id.is_ok()
    }

    /// Of a job with its row, or of one that nobody knows.
    pub(super) fn tell(&mut self, job: JobId, what: What) {
        let workflow = self.jobs.get(&job).and_then(|row| row.workflow.clone());
        self.told.push(Told { job, workflow, what });
    }

    /// Of a job as its message has it.
    pub(super) fn tell_of(&mut self, job: JobId, workflow: &str, what: What) {
        self.told.push(Told { job, workflow: Some(workflow.to_owned()), what });
    }

    pub(super) fn happened(&mut self, event: Event) {
        self.follows.events.push(event);
    }
}
