//! What clients are told of their jobs.
//!
//! Invariant: texts that programs may compare are exactly those that OMOTES' own orchestrator sends.

use prost::Message;

use super::letter::{Content, Letter};
use crate::amqp::wire::job_result::ResultType;
use crate::amqp::wire::job_status_update::JobStatus;
use crate::amqp::wire::{JobProgressUpdate, JobResult, JobStatusUpdate, TaskResult};
use crate::retention::ownership::JobId;

pub(super) const RETRIED_TOO_OFTEN: &str =
    "Job cannot be processed due to being retried the maximum number of times.";

pub(super) fn unknown_workflow(workflow: &str) -> String {
    format!("Workflow type {workflow} is unknown by orchestrator at the time this submission was received.")
}

pub(super) fn status(job: JobId, status: JobStatus) -> Letter {
    let update = JobStatusUpdate { uuid: job.0.to_string(), status: status.into() };
    Letter { job, content: Content::Status(update.encode_to_vec()) }
}

pub(super) fn progress(job: JobId, progress: f64, message: &str) -> Letter {
    let update = JobProgressUpdate { uuid: job.0.to_string(), progress, message: message.to_owned() };
    Letter { job, content: Content::Progress(update.encode_to_vec()) }
}

/// A result that no worker gave.
pub(super) fn result(job: JobId, result_type: ResultType, logs: &str) -> Letter {
    let result = JobResult {
        uuid: job.0.to_string(),
        result_type: result_type.into(),
        logs: logs.to_owned(),
        ..JobResult::default()
    };
    Letter { job, content: Content::Result(result.encode_to_vec()) }
}

/// A worker's result as its client gets it.
pub(super) fn result_of_task(job: JobId, result_type: ResultType, task: &TaskResult) -> Letter {
    let result = JobResult {
        uuid: job.0.to_string(),
        result_type: result_type.into(),
        output_esdl: task.output_esdl.clone(),
        logs: task.logs.clone(),
        esdl_messages: task.esdl_messages.clone(),
    };
    Letter { job, content: Content::Result(result.encode_to_vec()) }
}
