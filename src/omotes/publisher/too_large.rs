//! A letter that no broker takes: a submission fits into a message, and the task made of it may not; or the
//! workflow has no queue that can be used.
//!
//! Invariant: a job whose task cannot be told ends with an error that its client gets; it never keeps the
//! letters behind it waiting.

use prost::Message;

use super::confirmed::Confirmed;
use super::link::{CONFIRMING, Link, plain};
use super::round::key;
use super::{Places, unbound};
use crate::amqp::wire::job_result::ResultType as ResultOfJob;
use crate::amqp::wire::{TaskResult, task_result::ResultType};
use crate::omotes::answer;
use crate::omotes::letter::{Content, Letter};
use crate::problem::{Problem, Result};

pub(super) async fn answer(clients: &Link, places: Places<'_>, letter: &Letter) -> Result<Confirmed> {
    match &letter.content {
        Content::Task { body, .. } => {
            let bytes = body.len();
            let why = format!("The job is too large for the message broker: its task has {bytes} bytes.");
            fail_task(places, letter, why).await
        }
        Content::Result(body) => tell_client(clients, letter, body.len()).await,
        _ => {
            tracing::error!(job = %letter.job.0, "a message to a client is too large for the broker, and is lost");
            Ok(Confirmed::default())
        }
    }
}

/// A client waits for a result for ever.
async fn tell_client(clients: &Link, letter: &Letter, bytes: usize) -> Result<Confirmed> {
    tracing::error!(job = %letter.job.0, bytes, "a result is too large for the broker: its client is told so");
    let why = format!("The result of the job is too large for the message broker: it has {bytes} bytes.");
    let small = answer::result(letter.job, ResultOfJob::Error, &why);
    let Content::Result(body) = &small.content else { return Ok(Confirmed::default()) };
    let queue = key(letter, "result");
    let published = clients.to_key(&queue, body).await;
    let confirm = published.map_err(|error| clients.failed("publish a result", &error))?;
    let confirmed = clients.confirmed_or_error(confirm, CONFIRMING).await?;
    let confirmed = confirmed.map_err(|error| clients.failed("publish a result", &error))?;
    if confirmed.came_back.is_none() {
        return Ok(confirmed);
    }
    let mut answers = unbound::give(clients, &[(queue, body.as_slice())]).await?;
    answers.pop().unwrap_or_else(|| Ok(Confirmed::default()))
}

/// What a worker would report that failed at it, through the workers' own queue.
pub(super) async fn fail_task(places: Places<'_>, letter: &Letter, why: String) -> Result<Confirmed> {
    let Content::Task { celery_id, workflow, .. } = &letter.content else { return Ok(Confirmed::default()) };
    tracing::error!(job = %letter.job.0, "a task cannot be given to workers, and its job fails: {why}");
    let result = TaskResult {
        job_id: letter.job.0.to_string(),
        celery_task_id: celery_id.to_string(),
        celery_task_type: workflow.clone(),
        result_type: ResultType::Error.into(),
        logs: why,
        ..TaskResult::default()
    };
    report(places, &result.encode_to_vec()).await
}

async fn report(places: Places<'_>, result: &[u8]) -> Result<Confirmed> {
    let (settings, queue) = places.events;
    let link = Link::open(settings).await?;
    let published = link.to_queue(queue, result, plain()).await;
    let confirm = published.map_err(|error| link.failed("publish a result", &error))?;
    let confirmed = link.confirmed(confirm).await;
    let place = link.place.clone();
    link.say_goodbye().await;
    match confirmed?.came_back {
        None => Ok(Confirmed::default()),
        Some(_) => Err(Problem::unreachable(format!("there is no queue `{queue}` on {place}"))),
    }
}
