//! Whether an orchestrator of the other kind is at work, whose place we would take.
//!
//! It has one queue for itself as long as it is connected, and nobody else declares that one. Invariant:
//! looking changes nothing on the broker.

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;

use crate::amqp::broker;
use crate::config::BrokerSettings;
use crate::problem::{Problem, Result};

/// What clients ask for the workflows with: a key, and the orchestrator's own queue.
const REQUESTS: &str = "request_available_workflows";

pub(super) async fn refuse_an_orchestrator(clients: &BrokerSettings) -> Result<()> {
    let (connection, place) = broker::connect(clients).await?;
    let looked = match connection.create_channel().await {
        Ok(channel) => {
            let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            channel.queue_declare(REQUESTS.into(), passive, FieldTable::default()).await.map(|_| ())
        }
        Err(error) => Err(error),
    };
    broker::say_goodbye(connection).await;
    match looked {
        Ok(()) => Ok(()),
        Err(error) if broker::is_missing(&error) => Ok(()),
        Err(error) if broker::is_locked(&error) => Err(Problem::refused(format!(
            "another orchestrator is at work on {place}, and timesweep waits until it is stopped"
        ))
        .hint("stop it; timesweep takes its place by itself within half a minute")),
        Err(error) => Err(place.failed("look for another orchestrator", &error)),
    }
}
