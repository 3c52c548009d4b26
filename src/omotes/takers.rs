//! What becomes of the messages of each queue: read, decided together, committed.
//!
//! Invariant: one message that cannot be read keeps none of the others from being taken.

use std::sync::Arc;

use async_trait::async_trait;

use super::Orchestrator;
use super::deletion::Deletion;
use super::outcome::Outcome;
use super::progress::Progress;
use super::reading::Message;
use super::rows::Need;
use super::submission::Submission;
use crate::amqp::taker::{Delivered, Taker};
use crate::problem::Result;

/// Submissions and results hold a whole ESDL each, the others a few bytes. The broker sends twice as many before any
/// of them is done with, by their number and whatever their sizes are: somebody may send large ones.
const LARGE_AT_ONCE: u16 = 20;
const SMALL_AT_ONCE: u16 = 100;

/// `job_submissions`
pub struct Submissions(pub Arc<Orchestrator>);
/// `job_deletions`, and the queue that it was called before.
pub struct Deletions(pub Arc<Orchestrator>);
/// `omotes_task_progress_events`
pub struct TaskProgress(pub Arc<Orchestrator>);
/// `omotes_task_result_events`
pub struct TaskResults(pub Arc<Orchestrator>);

type Reasons = Vec<Option<&'static str>>;

async fn take<'a>(
    orchestrator: &Orchestrator,
    need: Need,
    read: impl Iterator<Item = Result<Message, &'static str>> + 'a,
) -> Result<Reasons> {
    let (mut messages, mut reasons) = (Vec::new(), Vec::new());
    for message in read {
        reasons.push(message.as_ref().err().copied());
        messages.extend(message);
    }
    orchestrator.carry_out(need, &messages).await?;
    Ok(reasons)
}

#[async_trait]
impl Taker for Submissions {
    fn at_once(&self) -> u16 {
        LARGE_AT_ONCE
    }

    async fn take(&self, bodies: &[&[u8]]) -> Result<Reasons> {
        let read = |body: &&[u8]| Submission::read(body).map(|it| Message::Submission(Box::new(it)));
        let messages: Vec<_> = bodies.iter().map(read).collect();
        take(&self.0, Need::Submissions, messages.into_iter()).await
    }
}

#[async_trait]
impl Taker for Deletions {
    fn at_once(&self) -> u16 {
        SMALL_AT_ONCE
    }

    async fn take(&self, bodies: &[&[u8]]) -> Result<Reasons> {
        let messages: Vec<_> =
            bodies.iter().map(|body| Deletion::read(body).map(Message::Deletion)).collect();
        take(&self.0, Need::Deletions, messages.into_iter()).await
    }
}

#[async_trait]
impl Taker for TaskProgress {
    fn at_once(&self) -> u16 {
        SMALL_AT_ONCE
    }

    async fn take(&self, bodies: &[&[u8]]) -> Result<Reasons> {
        self.take_delivered(bodies, &vec![Delivered::default(); bodies.len()]).await
    }

    async fn take_delivered(&self, bodies: &[&[u8]], delivered: &[Delivered]) -> Result<Reasons> {
        let read = |(body, how): (&&[u8], &Delivered)| Progress::read(body, how).map(Message::Progress);
        let messages: Vec<_> = bodies.iter().zip(delivered).map(read).collect();
        take(&self.0, Need::Runs, messages.into_iter()).await
    }
}

#[async_trait]
impl Taker for TaskResults {
    fn at_once(&self) -> u16 {
        LARGE_AT_ONCE
    }

    async fn take(&self, bodies: &[&[u8]]) -> Result<Reasons> {
        let read = |body: &&[u8]| Outcome::read(body).map(|it| Message::Outcome(Box::new(it)));
        let messages: Vec<_> = bodies.iter().map(read).collect();
        take(&self.0, Need::Runs, messages.into_iter()).await
    }
}
