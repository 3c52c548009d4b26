//! A worker says how a task ended.
//!
//! Invariants: the registration of a success, the end of its job's row and the letter to its client are one
//! transaction; a success is registered also where the row is gone, and counts also where time itself had ended
//! the job; and a run that does not count changes nothing.

use prost::Message;

use super::desk::Desk;
use super::told::What;
use super::{answer, reading};
use crate::amqp::esdl;
use crate::amqp::wire::TaskResult;
use crate::amqp::wire::job_result::ResultType;
use crate::amqp::wire::task_result;
use crate::retention::ownership::JobId;
use crate::retention::ownership::event::Event;

#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub job: JobId,
    celery_id: Option<String>,
    result_type: ResultType,
    event: Event,
    message: TaskResult,
}

impl Outcome {
    pub(super) fn read(body: &[u8]) -> Result<Self, &'static str> {
        let message = TaskResult::decode(body).map_err(|_| "this is no TaskResult message")?;
        let job = reading::job(&message.job_id)?;
        let (result_type, event) = match task_result::ResultType::try_from(message.result_type) {
            Ok(task_result::ResultType::Succeeded) => {
                (ResultType::Succeeded, esdl::event_of_success(job, message.output_esdl.as_deref()))
            }
            Ok(task_result::ResultType::Error) => (ResultType::Error, Event::Failed(job)),
            Err(_) => return Err("its result type is not known"),
        };
        let celery_id = reading::celery_id(&message.celery_task_id);
        Ok(Self { job, celery_id, result_type, event, message })
    }

    pub(super) fn decide(&self, desk: &mut Desk) {
        let is_known = desk.jobs.contains_key(&self.job);
        if desk.running_as(self.job, self.celery_id.as_deref()).is_some() {
            desk.tell(self.job, self.what());
            desk.end(self.job);
            desk.send(answer::result_of_task(self.job, self.result_type, &self.message));
            // It was at work: where no check has seen it, it began after the last one, and wrote nothing before.
            desk.happened(Event::JobIsLive(self.job));
            desk.happened(self.event.clone());
        } else if !is_known && self.result_type == ResultType::Succeeded {
            if desk.ended_by_time.contains(&self.job) {
                desk.happened(Event::CancelTombstone(self.job));
            }
            // What it wrote is owned, whoever was told. A failure of who knows which run ends nothing.
            desk.tell(self.job, What::SucceededWithoutRow);
            desk.happened(self.event.clone());
        } else {
            desk.tell(self.job, if is_known { What::ResultOfOtherRun } else { What::FailedWithoutRow });
        }
    }

    fn what(&self) -> What {
        match self.event {
            Event::Succeeded { .. } => What::Succeeded,
            Event::SucceededWithAnUnknownDataset(_) => What::SucceededUnreadably,
            _ => What::Failed,
        }
    }
}
