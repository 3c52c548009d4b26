//! Orders that no broker carries out: who lacks the right for one is told so before the broker reads the rest of it.
//!
//! Invariant: each has something in it that makes no sense whatever is there, so that it changes nothing even where
//! queues come and go meanwhile.

use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel};
use uuid::Uuid;

use crate::amqp::declared::DeclaredExchange;

/// What is there of an exchange, without making it.
pub(super) async fn look_at_exchange(
    channel: &Channel,
    exchange: &DeclaredExchange<'_>,
) -> lapin::Result<()> {
    let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
    let (name, kind) = (exchange.name.into(), exchange.kind.clone());
    channel.exchange_declare(name, kind, passive, FieldTable::default()).await
}

/// *configure* on an exchange that is not there. The one for what it cannot route has a name, never a number.
pub(super) async fn declare_no_exchange(
    channel: &Channel,
    exchange: &DeclaredExchange<'_>,
) -> lapin::Result<()> {
    let (name, kind) = (exchange.name.into(), exchange.kind.clone());
    let nonsense = with("alternate-exchange", AMQPValue::LongInt(7));
    channel.exchange_declare(name, kind, ExchangeDeclareOptions::default(), nonsense).await
}

/// *write* on an exchange. A time to live is a number.
pub(super) async fn send_nothing(channel: &Channel, exchange: &str) -> lapin::Result<()> {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let nonsense = BasicProperties::default().with_expiration("never".into());
    let (nowhere, options) = (Uuid::now_v7().to_string(), BasicPublishOptions::default());
    channel.basic_publish(exchange.into(), nowhere.into(), options, b"", nonsense).await?.await.map(|_| ())
}

/// *configure* on a queue that is not there. Its longest length is a number.
pub(super) async fn declare_no_queue(channel: &Channel, queue: &str) -> lapin::Result<()> {
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let nonsense = with("x-max-length", AMQPValue::LongString("none".into()));
    channel.queue_declare(queue.into(), durable, nonsense).await.map(|_| ())
}

/// *read* on a queue. A consumer's priority is a number.
pub(super) async fn take_nothing(channel: &Channel, queue: &str) -> lapin::Result<()> {
    let nonsense = with("x-priority", AMQPValue::LongString("none".into()));
    let options = BasicConsumeOptions::default();
    channel.basic_consume(queue.into(), "timesweep looks".into(), options, nonsense).await.map(|_| ())
}

/// *write* on a queue and *read* on an exchange, as for binding them. Nobody has ever bound anything by this key.
pub(super) async fn unbind_nothing(channel: &Channel, queue: &str, exchange: &str) -> lapin::Result<()> {
    let key = Uuid::now_v7().to_string();
    channel.queue_unbind(queue.into(), exchange.into(), key.into(), FieldTable::default()).await
}

fn with(name: &str, value: AMQPValue) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert(name.into(), value);
    arguments
}
