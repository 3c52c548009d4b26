//! A worker says that a task began, or how far it is.
//!
//! Invariants: only the run of a job that counts changes anything, any other is revoked; and a job whose worker
//! dies again and again ends with an error instead of going round for ever.

use prost::Message;
use uuid::Uuid;

use super::desk::{Desk, Status};
use super::told::What;
use super::{answer, reading};
use crate::amqp::taker::Delivered;
use crate::amqp::wire::TaskProgressUpdate;
use crate::amqp::wire::job_result::ResultType;
use crate::amqp::wire::job_status_update::JobStatus;
use crate::amqp::wire::task_progress_update::{ProgressStatus, ProgressType};
use crate::retention::ownership::JobId;
use crate::retention::ownership::event::Event;

#[derive(Debug, Clone)]
pub(super) struct Progress {
    pub job: JobId,
    celery_id: Option<String>,
    step: Step,
}

#[derive(Debug, Clone)]
enum Step {
    Began {
        /// The broker delivered this message before.
        again: bool,
        /// What tells it from any other that says the same.
        message: Option<Uuid>,
    },
    Fraction {
        done: f64,
        message: String,
    },
}

impl Progress {
    pub(super) fn read(body: &[u8], delivered: &Delivered) -> Result<Self, &'static str> {
        let update = TaskProgressUpdate::decode(body).map_err(|_| "this is no TaskProgressUpdate message")?;
        let (job, celery_id) = (reading::job(&update.job_id)?, reading::celery_id(&update.celery_task_id));
        let step = match update.progress_type {
            Some(ProgressType::Status(status)) if status == i32::from(ProgressStatus::Start) => {
                // One that is called like its job or its run says nothing of its own.
                let message = delivered.id.as_deref().and_then(|id| Uuid::parse_str(id).ok());
                let message = message.filter(|id| *id != job.0 && celery_id != Some(id.to_string()));
                Step::Began { again: delivered.again, message }
            }
            Some(ProgressType::Status(_)) => return Err("its status is not known"),
            Some(ProgressType::Progress(done)) => Step::Fraction { done, message: update.message },
            None => return Err("it says neither that a task began nor how far it is"),
        };
        Ok(Self { job, celery_id, step })
    }

    pub(super) fn decide(&self, desk: &mut Desk, delivery_limit: i64) {
        let Some(row) = desk.running_as(self.job, self.celery_id.as_deref()) else {
            desk.tell(self.job, What::OtherRun);
            self.revoke(desk);
            return;
        };
        match &self.step {
            Step::Fraction { done, message } => {
                desk.tell(self.job, What::IsAt(*done));
                desk.send(answer::progress(self.job, *done, message));
            }
            // A worker that dies makes the broker deliver its task again, not this message.
            Step::Began { again: true, .. } if row.status == Status::Running => {}
            // Whoever was given it once more may have been faster than who had it first.
            Step::Began { message: Some(message), .. } if row.counted.contains(message) => {}
            Step::Began { .. } if row.starts >= delivery_limit => self.give_up(desk),
            Step::Began { message, .. } => {
                let is_first = row.starts == 0;
                self.begin(desk, *message, if is_first { What::Began } else { What::BeganAgain });
            }
        }
    }

    fn revoke(&self, desk: &mut Desk) -> bool {
        self.celery_id.as_deref().is_some_and(|id| desk.revoke(self.job, id))
    }

    fn begin(&self, desk: &mut Desk, message: Option<Uuid>, what: What) {
        desk.tell(self.job, what);
        desk.change(self.job, |row| {
            row.status = Status::Running;
            row.starts += 1;
            row.counted.extend(message);
        });
        desk.follows.started.push(self.job);
        desk.follows.counted.extend(message.map(|message| (self.job, message)));
        desk.send(answer::status(self.job, JobStatus::Running));
    }

    fn give_up(&self, desk: &mut Desk) {
        desk.tell(self.job, What::BeganTooOften);
        desk.end(self.job);
        if !self.revoke(desk) {
            desk.tell(self.job, What::CannotBeRevoked);
        }
        desk.send(answer::status(self.job, JobStatus::Cancelled));
        desk.send(answer::result(self.job, ResultType::Error, answer::RETRIED_TOO_OFTEN));
        desk.happened(Event::Failed(self.job));
    }
}
