//! A client wants a job done.
//!
//! Invariants: a job begins once, however often its submission comes; one that was deleted or had its result
//! already never begins; and every submission that is turned away gets its result.

use prost::Message;
use prost_types::Struct;
use uuid::Uuid;

use super::desk::{Desk, NewJob, Status};
use super::letter::{Content, Letter};
use super::told::What;
use super::{Rules, answer, reading, task};
use crate::amqp::wire::JobSubmission;
use crate::amqp::wire::job_result::ResultType;
use crate::amqp::wire::job_status_update::JobStatus;
use crate::amqp::wire::job_submission::JobPriority;
use crate::retention::ownership::JobId;
use crate::retention::ownership::event::Event;

#[derive(Debug, Clone)]
pub(super) struct Submission {
    pub job: JobId,
    timeout_ms: Option<u32>,
    workflow: String,
    esdl: String,
    parameters: Struct,
    reference: Option<String>,
    priority: u8,
}

impl Submission {
    pub(super) fn read(body: &[u8]) -> Result<Self, &'static str> {
        let message = JobSubmission::decode(body).map_err(|_| "this is no JobSubmission message")?;
        Ok(Self {
            job: reading::job(&message.uuid)?,
            timeout_ms: message.timeout_ms,
            priority: priority(message.job_priority),
            workflow: message.workflow_type,
            esdl: message.esdl,
            parameters: message.params_dict.unwrap_or_default(),
            reference: message.job_reference,
        })
    }

    pub(super) fn decide(&self, desk: &mut Desk, rules: &Rules, new_id: fn() -> Uuid) {
        if desk.over.contains(&self.job) {
            desk.tell_of(self.job, &self.workflow, What::CameAgain);
            return;
        }
        let is_unknown = !rules.workflows.contains(&self.workflow);
        if let Some(row) = desk.jobs.get(&self.job) {
            let is_without_a_task = row.status == Status::Registered && row.celery_id.is_none();
            if is_without_a_task && is_unknown {
                desk.tell_of(self.job, &self.workflow, What::UnknownWorkflow);
                desk.end(self.job);
                desk.happened(Event::Failed(self.job));
                let logs = answer::unknown_workflow(&self.workflow);
                desk.send(answer::result(self.job, ResultType::Error, &logs));
            } else if is_without_a_task {
                self.give_a_task(desk, new_id());
            } else {
                desk.tell_of(self.job, &self.workflow, What::CameAgain);
            }
        } else if desk.deleted.contains(&self.job) {
            desk.send(answer::status(self.job, JobStatus::Cancelled));
            self.turn_away(desk, What::DeletedBefore, ResultType::Cancelled, "");
        } else if is_unknown {
            let logs = answer::unknown_workflow(&self.workflow);
            self.turn_away(desk, What::UnknownWorkflow, ResultType::Error, &logs);
        } else if self.reference.as_ref().is_some_and(|reference| reference.contains('\0')) {
            self.turn_away(
                desk,
                What::UnusableReference,
                ResultType::Error,
                "The job reference has a character that cannot be stored.",
            );
        } else {
            self.register(desk, new_id());
        }
    }

    /// Another program stored it and never sent its task.
    fn give_a_task(&self, desk: &mut Desk, celery_id: Uuid) {
        desk.change(self.job, |row| row.celery_id = Some(celery_id.to_string()));
        desk.tell_of(self.job, &self.workflow, What::GetsItsTask);
        desk.send(self.task(celery_id));
    }

    fn turn_away(&self, desk: &mut Desk, what: What, result: ResultType, logs: &str) {
        desk.tell_of(self.job, &self.workflow, what);
        desk.turn_away(self.job);
        desk.send(answer::result(self.job, result, logs));
    }

    fn register(&self, desk: &mut Desk, celery_id: Uuid) {
        let new = NewJob {
            celery_id,
            workflow: self.workflow.clone(),
            // The column is smaller than the message: so long a job has no time-out.
            timeout_ms: self.timeout_ms.and_then(|timeout| i32::try_from(timeout).ok()),
            reference: self.reference.clone().unwrap_or_default(),
        };
        desk.tell_of(self.job, &self.workflow, What::Submitted);
        desk.register(self.job, new);
        desk.send(self.task(celery_id));
    }

    fn task(&self, celery_id: Uuid) -> Letter {
        let body = task::body(self.job, self.reference.as_deref(), &self.esdl, &self.parameters);
        let (workflow, priority) = (self.workflow.clone(), self.priority);
        Letter { job: self.job, content: Content::Task { celery_id, workflow, priority, body } }
    }
}

fn priority(given: Option<i32>) -> u8 {
    match given.and_then(|given| JobPriority::try_from(given).ok()) {
        Some(JobPriority::Low) => 2,
        Some(JobPriority::High) => 6,
        Some(JobPriority::Medium) | None => 4,
    }
}
