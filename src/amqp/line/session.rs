//! One connection to one queue: declared, taken, read in batches.
//!
//! Invariant: of a batch first what can be read is committed, then the rest is confirmed among the dead letters,
//! then all of it is acknowledged. Whatever fails in between ends the connection, and the broker delivers the
//! batch again.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Consumer, ExchangeKind};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{CLIENTS_EXCHANGE, Line, Reached, Taken, old_queue};
use crate::amqp::broker::{self, Place};
use crate::amqp::dead_letters::DeadLetters;
use crate::amqp::taker::Delivered;
use crate::problem::{Problem, Result};

/// A transaction holds its messages several times over.
const BYTES_AT_ONCE: usize = 16 << 20;
/// A batch that took longer kept others waiting.
const SLOW: Duration = Duration::from_secs(5);
/// How often a queue that nothing comes from is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

pub(super) struct Session<'a> {
    pub line: &'a Line<'a>,
    pub connection: &'a Connection,
    pub channel: Channel,
    pub place: Place,
}

impl Session<'_> {
    pub(super) async fn run(&self, cancel: &CancellationToken, reached: &mut Reached) -> Result<()> {
        self.declare().await?;
        if let Some(old) = self.line.queue.old_name {
            // First, and also where it is gone already: who still publishes under that name is heard here from now on.
            self.bind(old).await.map_err(|error| self.place.failed("bind the queue", &error))?;
            old_queue::empty(self, old).await?;
        }
        let mut consumer = self.take_the_queue().await?;
        self.line.taker.begun().await?;
        *reached = Reached::Listening;
        self.line.counters.begun();
        tracing::info!(queue = self.line.queue.name, "listening on {}", self.place);
        loop {
            let first = tokio::select! {
                biased;
                () = cancel.cancelled() => return Ok(()),
                first = self.next(&mut consumer) => first?,
            };
            let began = Instant::now();
            // Nothing here is dropped half way: the batch in hand is finished, whoever waits.
            let (batch, has_ended) = self.gather(first, &mut consumer);
            self.take_in(self.line.queue.name, &batch).await?;
            let last = batch.last().map_or(0, |delivery| delivery.delivery_tag);
            let acknowledged = self.channel.basic_ack(last, BasicAckOptions { multiple: true }).await;
            acknowledged.map_err(|error| self.place.failed("acknowledge messages", &error))?;
            *reached = Reached::Working;
            if batch.len() >= usize::from(self.line.taker.at_once()) || began.elapsed() > SLOW {
                self.line.counters.fell_behind();
            }
            if has_ended {
                return Err(Problem::unreachable(format!("{} ended the delivery", self.place)));
            }
        }
    }

    /// Waits for a message, and says meanwhile that none was there.
    async fn next(&self, consumer: &mut Consumer) -> Result<Delivery> {
        loop {
            let mut there = consumer.next().now_or_never();
            if there.is_none() && self.is_empty().await? {
                // The broker sends what it gave us before it answers.
                there = consumer.next().now_or_never();
                if there.is_none() {
                    self.line.counters.seen_empty();
                }
            }
            let next = match there {
                Some(next) => next,
                None => match timeout(LOOK_AGAIN, consumer.next()).await {
                    Ok(next) => next,
                    Err(_) => continue,
                },
            };
            self.line.counters.in_hand();
            return match next {
                Some(Ok(delivery)) => Ok(delivery),
                Some(Err(error)) => Err(self.place.failed("listen", &error)),
                None => Err(Problem::unreachable(format!("{} ended the delivery", self.place))),
            };
        }
    }

    /// Whether no message waits to be given to anybody.
    async fn is_empty(&self) -> Result<bool> {
        let name = self.line.queue.name;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let looked = self.channel.queue_declare(name.into(), passive, FieldTable::default()).await;
        let queue = looked.map_err(|error| self.place.failed(&format!("look at `{name}`"), &error))?;
        Ok(queue.message_count() == 0)
    }

    /// Exactly as the other programs declare it; other arguments would close the channel.
    async fn declare(&self) -> Result<()> {
        let (name, letters) = (self.line.queue.name, self.line.queue.dead_letters);
        let doing = format!("declare the queue `{letters}`");
        self.durable_queue(letters).await.map_err(|error| self.place.failed(&doing, &error))?;
        let doing = format!("declare the queue `{name}`");
        let queue = self.durable_queue(name).await.map_err(|error| self.place.failed(&doing, &error))?;
        if matches!(self.line.queue.taken, Taken::Alone) && queue.consumer_count() > 0 {
            return Err(self.somebody_else(&format!("{} of them", queue.consumer_count())));
        }
        if let Some(key) = self.line.queue.bound_to {
            self.bind(key).await.map_err(|error| self.place.failed("bind the queue", &error))?;
        }
        let prepared = async {
            // The next batch comes while this one is committed.
            self.channel.basic_qos(self.line.taker.at_once() * 2, BasicQosOptions::default()).await?;
            self.channel.confirm_select(ConfirmSelectOptions::default()).await
        };
        prepared.await.map_err(|error| self.place.failed("prepare a channel", &error))
    }

    async fn durable_queue(&self, name: &str) -> lapin::Result<lapin::Queue> {
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        self.channel.queue_declare(name.into(), durable, FieldTable::default()).await
    }

    async fn bind(&self, key: &str) -> lapin::Result<()> {
        declare_clients_exchange(&self.channel).await?;
        let (queue, options) = (self.line.queue.name, QueueBindOptions::default());
        self.channel
            .queue_bind(queue.into(), CLIENTS_EXCHANGE.into(), key.into(), options, FieldTable::default())
            .await
    }

    async fn take_the_queue(&self) -> Result<Consumer> {
        let exclusive = matches!(self.line.queue.taken, Taken::Alone);
        let options = BasicConsumeOptions { exclusive, ..BasicConsumeOptions::default() };
        let name = self.line.queue.name;
        let taken =
            self.channel.basic_consume(name.into(), "timesweep".into(), options, FieldTable::default());
        taken.await.map_err(|error| {
            if broker::is_refused(&error) {
                return self.somebody_else("one of them").because(&error);
            }
            self.place.failed(&format!("listen to `{name}`"), &error)
        })
    }

    fn somebody_else(&self, how_many: &str) -> Problem {
        Problem::refused(format!(
            "somebody else takes messages from `{}` on {} ({how_many}), and each of us would miss some",
            self.line.queue.name, self.place
        ))
        .hint("stop the other consumer (an orchestrator, another timesweep), or leave this queue to it")
    }

    /// What is there already goes into one transaction, up to a size; nobody waits for more. Says whether the
    /// delivery has ended behind it: a queue that was deleted says so once, and its channel stays open.
    fn gather(&self, first: Delivery, consumer: &mut Consumer) -> (Vec<Delivery>, bool) {
        let mut bytes = first.data.len();
        let mut batch = vec![first];
        while batch.len() < usize::from(self.line.taker.at_once()) && bytes < BYTES_AT_ONCE {
            match consumer.next().now_or_never() {
                None => break,
                Some(Some(Ok(next))) => {
                    bytes += next.data.len();
                    batch.push(next);
                }
                Some(Some(Err(_)) | None) => return (batch, true),
            }
        }
        (batch, false)
    }

    /// When it answers, all of the batch may be acknowledged.
    pub(super) async fn take_in(&self, from: &str, batch: &[Delivery]) -> Result<()> {
        let bodies: Vec<&[u8]> = batch.iter().map(|delivery| delivery.data.as_slice()).collect();
        let delivered: Vec<Delivered> = batch.iter().map(delivered).collect();
        let answers = self.line.taker.take_delivered(&bodies, &delivered).await?;
        let unreadable: Vec<_> =
            batch.iter().zip(answers).filter_map(|(delivery, why)| why.map(|why| (delivery, why))).collect();
        self.keep_dead_letters(from, &unreadable).await?;
        self.line.counters.batch_done(batch.len() - unreadable.len(), unreadable.len());
        Ok(())
    }

    async fn keep_dead_letters(&self, from: &str, unreadable: &[(&Delivery, &'static str)]) -> Result<()> {
        if unreadable.is_empty() {
            return Ok(());
        }
        let queue = self.line.queue.dead_letters;
        for (_, reason) in unreadable {
            tracing::warn!(queue = from, "a message goes to `{queue}`: {reason}");
        }
        DeadLetters { channel: &self.channel, place: &self.place, queue, from }.keep(unreadable).await
    }
}

fn delivered(delivery: &Delivery) -> Delivered {
    let id = delivery.properties.message_id().as_ref().map(ToString::to_string);
    Delivered { again: delivery.redelivered, id }
}

/// As every client declares it.
pub async fn declare_clients_exchange(channel: &Channel) -> lapin::Result<()> {
    let plain = ExchangeDeclareOptions::default();
    channel
        .exchange_declare(CLIENTS_EXCHANGE.into(), ExchangeKind::Direct, plain, FieldTable::default())
        .await
}
