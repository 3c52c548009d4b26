//! Queues and exchanges exactly as the platform's other programs declare them; anything else closes the channel.
//!
//! Invariant: whoever listens, sends or only looks declares by this code, so that all of them mean the same.

use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, ExchangeKind};

/// Where clients publish, and bind queues of their own.
pub const CLIENTS_EXCHANGE: &str = "omotes_exchange";

/// Durable, as every queue that we share with others is.
#[derive(Debug, Clone)]
pub struct DeclaredQueue<'a> {
    pub name: &'a str,
    pub arguments: FieldTable,
}

impl<'a> DeclaredQueue<'a> {
    pub fn plain(name: &'a str) -> Self {
        Self { name, arguments: FieldTable::default() }
    }

    pub async fn declare(&self, channel: &Channel) -> lapin::Result<lapin::Queue> {
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(self.name.into(), durable, self.arguments.clone()).await
    }
}

#[derive(Debug, Clone)]
pub struct DeclaredExchange<'a> {
    pub name: &'a str,
    pub kind: ExchangeKind,
    pub durable: bool,
}

impl DeclaredExchange<'_> {
    pub fn of_clients() -> Self {
        Self { name: CLIENTS_EXCHANGE, kind: ExchangeKind::Direct, durable: false }
    }

    pub async fn declare(&self, channel: &Channel) -> lapin::Result<()> {
        let options = ExchangeDeclareOptions { durable: self.durable, ..ExchangeDeclareOptions::default() };
        channel.exchange_declare(self.name.into(), self.kind.clone(), options, FieldTable::default()).await
    }
}

/// What is there of a queue, without making it.
pub async fn look_at_queue(channel: &Channel, name: &str) -> lapin::Result<lapin::Queue> {
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), passive, FieldTable::default()).await
}
