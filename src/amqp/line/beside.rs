//! Whether an orchestrator of the other kind is at work, whose place we would take.
//!
//! It has one queue for itself as long as it is connected, and nobody else declares that one. Invariant:
//! looking changes nothing on the broker.

use crate::amqp::broker;
use crate::amqp::declared::look_at_queue;
use crate::config::BrokerSettings;
use crate::config::queues::REQUEST_KEY;
use crate::problem::{Problem, Result};

pub async fn refuse_an_orchestrator(clients: &BrokerSettings) -> Result<()> {
    let (connection, place) = broker::connect(clients).await?;
    let looked = match connection.create_channel().await {
        Ok(channel) => look_at_queue(&channel, REQUEST_KEY).await.map(|_| ()),
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
