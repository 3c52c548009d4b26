//! Messages that nobody can read, kept for a person with the reason.
//!
//! Invariant: the bytes are those that came, and a message counts as kept only when the broker confirmed
//! that it lies in the queue.

use lapin::message::Delivery;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel};

use super::broker::Place;
use crate::problem::{Problem, Result};

const PERSISTENT: u8 = 2;

pub struct DeadLetters<'a> {
    pub channel: &'a Channel,
    pub place: &'a Place,
    /// Where they are kept.
    pub queue: &'a str,
    /// Where they came from.
    pub from: &'a str,
}

impl DeadLetters<'_> {
    /// All are on their way before the first is waited for.
    pub async fn keep(&self, unreadable: &[(&Delivery, &'static str)]) -> Result<()> {
        let mut confirmations = Vec::with_capacity(unreadable.len());
        for (delivery, reason) in unreadable {
            let published = self.channel.basic_publish(
                "".into(),
                self.queue.into(),
                BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() },
                &delivery.data,
                self.properties(delivery, reason),
            );
            confirmations.push(published.await.map_err(|error| self.failed(&error))?);
        }
        for confirmation in confirmations {
            let confirmed = confirmation.await.map_err(|error| self.failed(&error))?;
            // An acknowledgement that brings the message back: it went nowhere.
            if !confirmed.is_ack() || confirmed.take_message().is_some() {
                return Err(Problem::unreachable(format!(
                    "the broker {} did not take a dead letter into `{}`",
                    self.place, self.queue
                )));
            }
        }
        Ok(())
    }

    fn properties(&self, delivery: &Delivery, reason: &str) -> BasicProperties {
        let text = |text: &str| AMQPValue::LongString(text.into());
        // None of the original's: a `CC` among them would send the copy round and round, and large ones fit no frame.
        let mut headers = FieldTable::default();
        headers.insert("x-timesweep-reason".into(), text(reason));
        headers.insert("x-timesweep-queue".into(), text(self.from));
        // A time to live or a user of the original would make the broker drop or refuse it.
        let mut properties = BasicProperties::default().with_delivery_mode(PERSISTENT).with_headers(headers);
        if let Some(id) = delivery.properties.message_id() {
            properties = properties.with_message_id(id.clone());
        }
        properties
    }

    fn failed(&self, error: &lapin::Error) -> Problem {
        self.place.failed(&format!("put a dead letter into `{}`", self.queue), error)
    }
}
