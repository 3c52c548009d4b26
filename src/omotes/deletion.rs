//! A job is to be no more: deleted by a person, out of time, or without a word for too long.
//!
//! Invariant: the registry hears of every deletion, also of jobs that nobody knows; and a row that goes because
//! it is stale says nothing about its job, which may still be writing.

use prost::Message;

use super::desk::Desk;
use super::told::What;
use super::{answer, reading};
use crate::amqp::wire::JobDelete;
use crate::amqp::wire::job_result::ResultType;
use crate::amqp::wire::job_status_update::JobStatus;
use crate::retention::ownership::JobId;
use crate::retention::ownership::event::Event;

#[derive(Debug, Clone, Copy)]
pub(super) struct Deletion {
    pub job: JobId,
}

impl Deletion {
    pub(super) fn read(body: &[u8]) -> Result<Self, &'static str> {
        let message = JobDelete::decode(body).map_err(|_| "this is no JobDelete message")?;
        Ok(Self { job: reading::job(&message.uuid)? })
    }

    pub(super) fn decide(self, desk: &mut Desk) {
        desk.follows.deleted.insert(self.job);
        let has_row = desk.jobs.contains_key(&self.job);
        self.cancel(desk, if has_row { What::Deleted } else { What::DeletedWithoutRow });
    }

    fn cancel(self, desk: &mut Desk, what: What) {
        desk.tell(self.job, what);
        desk.happened(Event::Deleted(self.job));
        let Some(row) = desk.end(self.job) else { return };
        if row.celery_id.is_some_and(|id| !desk.revoke(self.job, &id)) {
            desk.tell(self.job, What::CannotBeRevoked);
        }
        desk.send(answer::status(self.job, JobStatus::Cancelled));
        desk.send(answer::result(self.job, ResultType::Cancelled, ""));
    }
}

/// Nobody asked for it: should the job have succeeded in time after all, that goes before.
pub(super) fn time_out(job: JobId, desk: &mut Desk) {
    if desk.jobs.get(&job).is_some_and(|row| row.overdue) {
        desk.follows.ended_by_time.insert(job);
        Deletion { job }.cancel(desk, What::OutOfTime);
    }
}

/// The job may have begun since the last check, so that no list has shown it yet.
pub(super) fn forget_stale(job: JobId, desk: &mut Desk) {
    if desk.jobs.get(&job).is_some_and(|row| row.stale) {
        desk.tell(job, What::Stale);
        desk.remove(job);
        desk.happened(Event::JobIsLive(job));
    }
}
