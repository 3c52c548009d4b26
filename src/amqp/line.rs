//! One queue that is listened to: declared, taken by us alone, read in batches, taken up again when it
//! breaks off.
//!
//! Invariant: of a batch first the events are committed, then its dead letters confirmed, then all of it is
//! acknowledged. Whatever fails in between ends the connection, and the broker delivers the batch again.

use std::time::Duration;

use crate::wake::Wake;
use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, Consumer, ExchangeKind};
use tokio_util::sync::CancellationToken;

use super::broker::{self, Place};
use super::counters::LineCounters;
use super::dead_letters::DeadLetters;
use super::reading::Kind;
use crate::config::BrokerSettings;
use crate::crash_point;
use crate::problem::{Problem, Result};
use crate::registry::Registry;

const CLIENTS_EXCHANGE: &str = "omotes_exchange";
/// How many messages one transaction takes in. A result holds a whole ESDL, a deletion a few bytes.
const DELETIONS_AT_ONCE: u16 = 500;
const RESULTS_AT_ONCE: u16 = 20;

pub(super) struct Line<'a> {
    pub kind: Kind,
    pub broker: &'a BrokerSettings,
    pub queue: &'a str,
    pub dead_letters: &'a str,
    pub registry: &'a dyn Registry,
    pub wake: &'a Wake,
    pub counters: &'a LineCounters,
}

/// How far a session came before it ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    #[default]
    Nothing,
    Listening,
    /// At least one batch was done.
    Working,
}

fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(30))
        .without_max_times()
        .build()
}

impl Line<'_> {
    /// Ends when it is told to, or where the very first session could not even listen.
    pub(super) async fn listen(&self, cancel: &CancellationToken) -> Result<()> {
        let mut has_listened = false;
        let mut pauses_left = pauses();
        loop {
            let mut reached = Reached::default();
            let ended = self.session(cancel, &mut reached).await;
            self.counters.ended();
            has_listened |= reached >= Reached::Listening;
            let problem = match ended {
                Ok(()) => return Ok(()),
                Err(problem) if has_listened => problem,
                Err(problem) => {
                    cancel.cancel();
                    return Err(problem);
                }
            };
            if reached == Reached::Working {
                pauses_left = pauses();
            }
            let pause = pauses_left.next().unwrap_or_default();
            self.counters.interrupted(&problem.to_string());
            tracing::warn!(queue = self.queue, "listening broke off, again in {pause:.1?}: {problem}");
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One connection, from its first packet to its last.
    async fn session(&self, cancel: &CancellationToken, reached: &mut Reached) -> Result<()> {
        let connected = tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            connected = broker::connect(self.broker) => connected,
        };
        let (connection, place) = connected.inspect_err(|_| self.counters.standing_by(false))?;
        let ended = match connection.create_channel().await {
            Ok(channel) => Session { line: self, channel, place }.run(cancel, reached).await,
            Err(error) => Err(broker::failed("open a channel", &place, &error)),
        };
        if let Err(problem) = &ended {
            let is_taken = problem.kind == crate::problem::Kind::Refused;
            self.counters.standing_by(is_taken && self.is_one_alone_there(&connection).await);
        }
        broker::say_goodbye(connection).await;
        ended
    }

    /// Whether somebody takes all messages alone, as another replica of ours does: whoever shares them, as
    /// others do, would let us in. We come last, and whatever we were given would go back.
    async fn is_one_alone_there(&self, connection: &Connection) -> bool {
        let Ok(channel) = connection.create_channel().await else { return false };
        let mut last = FieldTable::default();
        last.insert("x-priority".into(), AMQPValue::LongInt(-1_000_000));
        let shared = BasicConsumeOptions::default();
        let asked = channel.basic_consume(self.queue.into(), "timesweep looks".into(), shared, last);
        asked.await.is_err_and(|error| broker::is_in_exclusive_use(&error))
    }

    fn at_once(&self) -> u16 {
        match self.kind {
            Kind::Deletions => DELETIONS_AT_ONCE,
            Kind::Results => RESULTS_AT_ONCE,
        }
    }
}

struct Session<'a> {
    line: &'a Line<'a>,
    channel: Channel,
    place: Place,
}

impl Session<'_> {
    async fn run(&self, cancel: &CancellationToken, reached: &mut Reached) -> Result<()> {
        self.declare().await?;
        let mut consumer = self.take_the_queue().await?;
        *reached = Reached::Listening;
        self.line.counters.begun();
        tracing::info!(queue = self.line.queue, "listening on {}", self.place);
        loop {
            let next = tokio::select! {
                biased;
                () = cancel.cancelled() => return Ok(()),
                next = consumer.next() => next,
            };
            let first = match next {
                Some(Ok(delivery)) => delivery,
                Some(Err(error)) => return Err(self.failed("listen", &error)),
                None => return Err(Problem::unreachable(format!("{} ended the delivery", self.place))),
            };
            // Nothing here is dropped half way: the batch in hand is finished, whoever waits.
            self.take_in(&self.gather(first, &mut consumer)).await?;
            *reached = Reached::Working;
        }
    }

    /// Exactly as the other programs declare it; other arguments would close the channel.
    async fn declare(&self) -> Result<()> {
        let doing = format!("declare the queue `{}`", self.line.dead_letters);
        let letters = self.durable_queue(self.line.dead_letters);
        letters.await.map_err(|error| self.failed(&doing, &error))?;
        let doing = format!("declare the queue `{}`", self.line.queue);
        let queue = self.durable_queue(self.line.queue).await.map_err(|error| self.failed(&doing, &error))?;
        if queue.consumer_count() > 0 {
            return Err(self.somebody_else(&format!("{} of them", queue.consumer_count())));
        }
        if self.line.kind == Kind::Deletions {
            self.bind_to_the_clients().await.map_err(|error| self.failed("bind the queue", &error))?;
        }
        let prepared = async {
            self.channel.basic_qos(self.line.at_once(), BasicQosOptions::default()).await?;
            self.channel.confirm_select(ConfirmSelectOptions::default()).await
        };
        prepared.await.map_err(|error| self.failed("prepare a channel", &error))
    }

    async fn durable_queue(&self, name: &str) -> lapin::Result<lapin::Queue> {
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        self.channel.queue_declare(name.into(), durable, FieldTable::default()).await
    }

    async fn bind_to_the_clients(&self) -> lapin::Result<()> {
        let (queue, exchange) = (self.line.queue, CLIENTS_EXCHANGE);
        let plain = ExchangeDeclareOptions::default();
        self.channel
            .exchange_declare(exchange.into(), ExchangeKind::Direct, plain, FieldTable::default())
            .await?;
        let options = QueueBindOptions::default();
        self.channel
            .queue_bind(queue.into(), exchange.into(), queue.into(), options, FieldTable::default())
            .await
    }

    /// Exclusively: who comes later is told, instead of getting every other message.
    async fn take_the_queue(&self) -> Result<Consumer> {
        let alone = BasicConsumeOptions { exclusive: true, ..BasicConsumeOptions::default() };
        let taken = self.channel.basic_consume(
            self.line.queue.into(),
            "timesweep".into(),
            alone,
            FieldTable::default(),
        );
        taken.await.map_err(|error| {
            if broker::is_refused(&error) {
                return self.somebody_else("one of them").because(&error);
            }
            self.failed(&format!("listen to `{}`", self.line.queue), &error)
        })
    }

    fn somebody_else(&self, how_many: &str) -> Problem {
        Problem::refused(format!(
            "somebody else takes messages from `{}` on {} ({how_many}), and each of us would miss some",
            self.line.queue, self.place
        ))
        .hint("stop the other consumer (an orchestrator, another timesweep), or leave this queue to it")
    }

    /// What is there already goes into one transaction; nobody waits for more.
    fn gather(&self, first: Delivery, consumer: &mut Consumer) -> Vec<Delivery> {
        let mut batch = vec![first];
        while batch.len() < usize::from(self.line.at_once()) {
            // An error comes again where the batch is acknowledged.
            let Some(Some(Ok(next))) = consumer.next().now_or_never() else { break };
            batch.push(next);
        }
        batch
    }

    async fn take_in(&self, batch: &[Delivery]) -> Result<()> {
        let Some(last) = batch.last() else { return Ok(()) };
        let (mut events, mut unreadable) = (Vec::new(), Vec::new());
        for delivery in batch {
            match self.line.kind.read(&delivery.data) {
                Ok(event) => events.push(event),
                Err(reason) => unreadable.push((delivery, reason)),
            }
        }
        if !events.is_empty() {
            let now = self.line.registry.now().await?;
            self.line.registry.record(&events, now).await?;
            crash_point::reach("amqp-recorded");
            self.line.wake.wake();
        }
        self.keep_dead_letters(&unreadable).await?;
        let all = BasicAckOptions { multiple: true };
        let acknowledged = self.channel.basic_ack(last.delivery_tag, all).await;
        acknowledged.map_err(|error| self.failed("acknowledge messages", &error))?;
        self.line.counters.batch_done(events.len(), unreadable.len());
        Ok(())
    }

    async fn keep_dead_letters(&self, unreadable: &[(&Delivery, &'static str)]) -> Result<()> {
        if unreadable.is_empty() {
            return Ok(());
        }
        let (queue, from) = (self.line.dead_letters, self.line.queue);
        for (_, reason) in unreadable {
            tracing::warn!(queue = from, "a message goes to `{queue}`: {reason}");
        }
        DeadLetters { channel: &self.channel, place: &self.place, queue, from }.keep(unreadable).await
    }

    fn failed(&self, doing: &str, error: &lapin::Error) -> Problem {
        broker::failed(doing, &self.place, error)
    }
}
