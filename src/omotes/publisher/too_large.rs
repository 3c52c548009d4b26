//! A letter that no broker takes: a submission fits into a message, and the task made of it may not.
//!
//! Invariant: a job whose task cannot be told ends with an error that its client gets; it never keeps the
//! letters behind it waiting.

use prost::Message;

use super::Places;
use super::link::{Confirmed, Link, plain};
use crate::amqp::wire::{TaskResult, task_result::ResultType};
use crate::omotes::letter::{Content, Letter};
use crate::problem::{Problem, Result};

/// For a task: what a worker would report that failed at it, through the workers' own queue.
pub(super) async fn answer(places: Places<'_>, letter: &Letter) -> Result<()> {
    let Content::Task { celery_id, workflow, body, .. } = &letter.content else {
        tracing::error!(job = %letter.job.0, "a message to a client is too large for the broker, and is lost");
        return Ok(());
    };
    tracing::error!(job = %letter.job.0, bytes = body.len(), "a task is too large for the broker: the job fails");
    let result = TaskResult {
        job_id: letter.job.0.to_string(),
        celery_task_id: celery_id.to_string(),
        celery_task_type: workflow.clone(),
        result_type: ResultType::Error.into(),
        logs: format!("The job is too large for the message broker: its task has {} bytes.", body.len()),
        ..TaskResult::default()
    };
    report(places, &result.encode_to_vec()).await
}

async fn report(places: Places<'_>, result: &[u8]) -> Result<()> {
    let (settings, queue) = places.events;
    let link = Link::open(settings).await?;
    let published = link.to_queue(queue, result, plain()).await;
    let confirm = published.map_err(|error| link.failed("publish a result", &error))?;
    let confirmed = link.confirmed(confirm).await;
    let place = link.place.clone();
    link.say_goodbye().await;
    match confirmed? {
        Confirmed::Taken => Ok(()),
        Confirmed::Unrouted => Err(Problem::unreachable(format!("there is no queue `{queue}` on {place}"))),
    }
}
