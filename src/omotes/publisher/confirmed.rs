//! What a broker said of a message.
//!
//! Invariant: which message came back is told by itself. The client library hands one that came back to whoever
//! is answered next, so it may be another one than the one that was asked about.

use lapin::Confirmation;
use lapin::message::BasicReturnMessage;
use uuid::Uuid;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confirmed {
    /// A queue did not want it: it may be full.
    pub is_refused: bool,
    /// A message for which there was no queue.
    pub came_back: Option<CameBack>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CameBack {
    /// Its Celery id, which a task has in its properties.
    Task(Uuid),
    /// The key of anything else.
    To(String),
}

impl From<Confirmation> for Confirmed {
    fn from(answer: Confirmation) -> Self {
        let is_refused = !answer.is_ack();
        Self { is_refused, came_back: answer.take_message().map(|message| CameBack::of(&message)) }
    }
}

impl CameBack {
    fn of(message: &BasicReturnMessage) -> Self {
        let task = message.properties.correlation_id().as_ref().and_then(|id| id.as_str().parse().ok());
        task.map_or_else(|| Self::To(message.routing_key.to_string()), Self::Task)
    }
}
