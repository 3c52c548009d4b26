//! One connection to one queue: declared, taken, read in batches.
//!
//! Invariant: of a batch first what can be read is committed, then the rest is confirmed among the dead letters,
//! then all of it is acknowledged. Whatever fails in between ends the connection, and the broker delivers the
//! batch again.

use std::time::Duration;

use futures_util::{FutureExt, Stream, StreamExt};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, ConfirmSelectOptions, QueueBindOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Consumer};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{Line, Reached, Taken, old_queue};
use crate::amqp::broker::{self, Place};
use crate::amqp::dead_letters::DeadLetters;
use crate::amqp::declared::{CLIENTS_EXCHANGE, DeclaredExchange, DeclaredQueue, look_at_queue};
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
        self.tell_listening();
        loop {
            let first = tokio::select! {
                biased;
                () = cancel.cancelled() => return Ok(()),
                first = self.next(&mut consumer) => first?,
            };
            let began = Instant::now();
            // Nothing here is dropped half way: the batch in hand is finished, whoever waits.
            let (batch, has_ended) = gather(first, &mut consumer, self.line.taker.at_once());
            self.take_in(self.line.queue.name, &batch)
                .await
                .inspect_err(|_| self.line.counters.took(false))?;
            let last = batch.last().map_or(0, |delivery| delivery.delivery_tag);
            let acknowledged = self.channel.basic_ack(last, BasicAckOptions { multiple: true }).await;
            acknowledged.map_err(|error| self.place.failed("acknowledge messages", &error))?;
            *reached = Reached::Working;
            if batch.len() >= usize::from(self.line.taker.at_once()) || began.elapsed() > SLOW {
                self.line.counters.fell_behind();
            }
            self.tell_taken();
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
        let looked = look_at_queue(&self.channel, name).await;
        let queue = looked.map_err(|error| self.place.failed(&format!("look at `{name}`"), &error))?;
        Ok(queue.message_count() == 0)
    }

    /// Where what was in hand could not be committed, only the next batch shows whether anything is better.
    fn tell_listening(&self) {
        let (queue, counters) = (self.line.queue.name, self.line.counters);
        if counters.cannot_take() {
            tracing::debug!(queue, "listening on {}", self.place);
        } else {
            counters.troubles.works(queue);
            tracing::info!(queue, "listening on {}", self.place);
        }
    }

    fn tell_taken(&self) {
        let (queue, counters) = (self.line.queue.name, self.line.counters);
        if counters.cannot_take() {
            counters.took(true);
            counters.troubles.works(queue);
            tracing::info!(queue, "messages are taken again");
        }
    }

    /// Exactly as the other programs declare it; other arguments would close the channel.
    async fn declare(&self) -> Result<()> {
        let (name, letters) = (self.line.queue.name, self.line.queue.dead_letters);
        let doing = format!("declare the queue `{letters}`");
        self.declare_queue(letters).await.map_err(|error| self.place.failed(&doing, &error))?;
        let doing = format!("declare the queue `{name}`");
        let queue = self.declare_queue(name).await.map_err(|error| self.place.failed(&doing, &error))?;
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

    async fn declare_queue(&self, name: &str) -> lapin::Result<lapin::Queue> {
        DeclaredQueue::plain(name).declare(&self.channel).await
    }

    async fn bind(&self, key: &str) -> lapin::Result<()> {
        DeclaredExchange::of_clients().declare(&self.channel).await?;
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

/// What is there already goes into one transaction, up to a size; nobody waits for more. Says whether the
/// delivery has ended behind it: a queue that was deleted says so once, and its channel stays open.
fn gather(
    first: Delivery,
    more: &mut (impl Stream<Item = lapin::Result<Delivery>> + Unpin),
    at_once: u16,
) -> (Vec<Delivery>, bool) {
    let mut bytes = first.data.len();
    let mut batch = vec![first];
    while batch.len() < usize::from(at_once) && bytes < BYTES_AT_ONCE {
        match more.next().now_or_never() {
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

fn delivered(delivery: &Delivery) -> Delivered {
    let id = delivery.properties.message_id().as_ref().map(ToString::to_string);
    Delivered { again: delivery.redelivered, id }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::{iter, pending};

    use super::*;

    /// Deliveries of these sizes, the first of them taken out already.
    fn gathered(sizes: &[usize], has_ended: bool, at_once: u16) -> (usize, bool) {
        let delivery = |size: &usize| Delivery::mock(1, "".into(), "".into(), false, vec![0; *size]);
        let (first, more) = sizes.split_first().expect("a first one");
        let more = iter(more.iter().map(|size| Ok(delivery(size))).collect::<Vec<_>>());
        let (batch, has_ended) = if has_ended {
            gather(delivery(first), &mut more.boxed(), at_once)
        } else {
            gather(delivery(first), &mut more.chain(pending()).boxed(), at_once)
        };
        (batch.len(), has_ended)
    }

    #[test]
    fn a_batch_is_no_larger_than_a_transaction_bears() {
        assert_eq!(gathered(&[1, 1, 1], false, 5), (3, false), "nobody waits for more");
        assert_eq!(gathered(&[1, 1, 1], false, 2), (2, false));
        let half = BYTES_AT_ONCE / 2;
        assert_eq!(gathered(&[half - 1, half, 1, 1], false, 5), (3, false));
        assert_eq!(gathered(&[half, half, 1, 1], false, 5), (2, false));
        assert_eq!(gathered(&[3 * half, 1], false, 5), (1, false), "one goes, however large");
    }

    #[test]
    fn the_end_of_a_delivery_behind_a_batch_is_seen() {
        assert_eq!(gathered(&[1, 1], true, 5), (2, true));
        assert_eq!(gathered(&[1], true, 5), (1, true));
        assert_eq!(gathered(&[1, 1], true, 2), (2, false), "it comes next");
    }
}
