//! A queue that was called otherwise once: its messages are taken like those of the new one, then it goes.
//!
//! Invariant: it is removed only if it is empty and nobody uses it, and each message is acknowledged after
//! its commit. The name leads to the new queue before, so that a client that still publishes under it to the
//! clients' exchange loses nothing.

use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicGetOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;

use super::session::Session;
use crate::amqp::broker;
use crate::problem::Result;

/// On a channel of its own: the broker closes it where there is no such queue.
pub(super) async fn empty(session: &Session<'_>, name: &str) -> Result<()> {
    let doing = format!("empty the old queue `{name}`");
    let failed = |error: lapin::Error| session.place.failed(&doing, &error);
    let channel = session.connection.create_channel().await.map_err(failed)?;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    match channel.queue_declare(name.into(), passive, FieldTable::default()).await {
        Ok(_) => {}
        Err(error) if broker::is_missing(&error) => return Ok(()),
        // Somebody has it for himself: it is in use.
        Err(error) if broker::is_locked(&error) => return Ok(()),
        Err(error) => return Err(failed(error)),
    }
    let mut taken = 0_u64;
    while let Some(message) =
        channel.basic_get(name.into(), BasicGetOptions::default()).await.map_err(failed)?
    {
        session.take_in(name, std::slice::from_ref(&message.delivery)).await?;
        let tag = message.delivery.delivery_tag;
        channel.basic_ack(tag, BasicAckOptions::default()).await.map_err(failed)?;
        taken += 1;
    }
    remove(&channel, name).await;
    if taken > 0 {
        tracing::info!(queue = name, "{taken} messages of the old queue are taken");
    }
    let _ = channel.close(200, "done".into()).await;
    Ok(())
}

/// The broker refuses it where there is a consumer or a message; then it stays for the next start.
async fn remove(channel: &Channel, name: &str) {
    let idle = QueueDeleteOptions { if_unused: true, if_empty: true, ..QueueDeleteOptions::default() };
    match channel.queue_delete(name.into(), idle).await {
        Ok(_) => tracing::info!(queue = name, "the old queue is removed"),
        Err(error) => tracing::warn!(queue = name, "the old queue stays: {error}"),
    }
}
