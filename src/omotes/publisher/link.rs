//! One connection that letters leave over, with everything declared that they need.
//!
//! Invariant: what is declared is declared exactly as clients and Celery declare it, and every message is
//! confirmed or an error.

use std::collections::BTreeSet;
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, PublisherConfirm};
use tokio::time::timeout;
use uuid::Uuid;

use super::confirmed::Confirmed;
use crate::amqp::broker::{self, Place};
use crate::amqp::declared::{CLIENTS_EXCHANGE, DeclaredExchange, look_at_queue};
use crate::config::BrokerSettings;
use crate::omotes::celery;
use crate::omotes::workflows::Workflows;
use crate::problem::{Problem, Result};

/// A broker that is short of memory or space confirms nothing; it gets no more from us meanwhile.
pub const CONFIRMING: Duration = Duration::from_secs(30);

pub struct Link {
    connection: Connection,
    channel: Channel,
    pub place: Place,
    /// Workflows whose queues are there.
    declared: BTreeSet<String>,
}

/// Whether tasks of a workflow can be given to workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueIs {
    There,
    /// Declared in another way, which no waiting mends.
    Otherwise,
    /// Refused to our user, or another connection has it for itself, in the broker's words. That may pass.
    Closed(String),
}

impl Link {
    pub async fn to_clients(settings: &BrokerSettings) -> Result<Self> {
        let link = Self::open(settings).await?;
        let declared = DeclaredExchange::of_clients().declare(&link.channel).await;
        declared.map_err(|error| link.failed("declare the exchange of the clients", &error))?;
        Ok(link)
    }

    pub async fn to_tasks(settings: &BrokerSettings, workflows: &Workflows) -> Result<Self> {
        let mut link = Self::open(settings).await?;
        let declared = celery::exchange_of_orders().declare(&link.channel).await;
        declared.map_err(|error| link.failed("declare the exchange of Celery's orders", &error))?;
        for workflow in workflows.names() {
            match link.declare_workflow(workflow).await? {
                QueueIs::There => {}
                QueueIs::Otherwise => {
                    tracing::warn!(workflow, "its queue is declared in another way: its jobs will fail");
                }
                QueueIs::Closed(why) => tracing::warn!(workflow, "its queue cannot be used now: {why}"),
            }
        }
        Ok(link)
    }

    pub async fn open(settings: &BrokerSettings) -> Result<Self> {
        let (connection, place) = broker::connect(settings).await?;
        let channel = channel_of(&connection, &place).await?;
        Ok(Self { connection, channel, place, declared: BTreeSet::new() })
    }

    /// After a message that the broker did not want: it has closed the channel.
    pub async fn reopen(&mut self) -> Result<()> {
        self.channel = channel_of(&self.connection, &self.place).await?;
        Ok(())
    }

    pub fn failed(&self, doing: &str, error: &lapin::Error) -> Problem {
        self.place.failed(doing, error)
    }

    /// A connection that is gone is seen before somebody waits for an answer.
    pub fn verify(&self) -> Result<()> {
        if self.connection.status().connected() && self.channel.status().connected() {
            return Ok(());
        }
        Err(Problem::unreachable(format!("the broker {} has ended the connection", self.place)))
    }

    pub async fn say_goodbye(self) {
        broker::say_goodbye(self.connection).await;
    }

    /// Queue, exchange and binding of one name, as a worker makes them. The broker closes a channel over a queue
    /// that cannot be used, so this one is for nothing else.
    pub async fn declare_workflow(&mut self, workflow: &str) -> Result<QueueIs> {
        if self.declared.contains(workflow) {
            return Ok(QueueIs::There);
        }
        let doing = format!("declare the queue of the workflow `{workflow}`");
        let channel = channel_of(&self.connection, &self.place).await?;
        match declare_three(&channel, workflow).await {
            Ok(()) => {
                let _ = channel.close(200, "declared".into()).await;
                self.declared.insert(workflow.to_owned());
                Ok(QueueIs::There)
            }
            Err(error) if broker::is_precondition(&error) => Ok(QueueIs::Otherwise),
            Err(error) if broker::is_refused(&error) || broker::is_locked(&error) => {
                Ok(QueueIs::Closed(error.to_string()))
            }
            Err(error) => Err(self.failed(&doing, &error)),
        }
    }

    /// To whoever listens to a key of the clients' exchange.
    pub async fn to_key(&self, key: &str, body: &[u8]) -> lapin::Result<PublisherConfirm> {
        publish_on(&self.channel, CLIENTS_EXCHANGE, key, true, body, plain()).await
    }

    /// How many messages lie in this queue, as far as we may look; `None`: there is none.
    pub async fn messages_in(&self, queue: &str) -> Result<Option<u32>> {
        // The broker closes a channel over a queue that is not there.
        let channel = channel_of(&self.connection, &self.place).await?;
        match look_at_queue(&channel, queue).await {
            Ok(queue) => {
                let _ = channel.close(200, "looked".into()).await;
                Ok(Some(queue.message_count()))
            }
            // The channel that closed over it was made for this only.
            Err(error) if broker::is_missing(&error) => Ok(None),
            // Whoever has it alone is not us.
            Err(error) if broker::is_locked(&error) => Ok(Some(0)),
            Err(error) => Err(self.failed(&format!("look at the queue `{queue}`"), &error)),
        }
    }

    /// Into a queue.
    pub async fn to_queue(
        &self,
        queue: &str,
        body: &[u8],
        properties: BasicProperties,
    ) -> lapin::Result<PublisherConfirm> {
        publish_on(&self.channel, "", queue, true, body, properties).await
    }

    /// Into queues themselves, past the exchange. On a channel of its own, which the broker closes where our user may
    /// not do that: the inner error.
    pub async fn past_exchange(&self, letters: &[(String, &[u8])]) -> Result<lapin::Result<Vec<Confirmed>>> {
        let channel = channel_of(&self.connection, &self.place).await?;
        let mut confirms = Vec::new();
        for (queue, body) in letters {
            confirms.push(publish_on(&channel, "", queue, true, body, plain()).await);
        }
        let mut answers = Vec::new();
        for confirm in confirms {
            let answer = match confirm {
                Ok(confirm) => self.confirmed_or_error(confirm, CONFIRMING).await?,
                Err(error) => Err(error),
            };
            match answer {
                Ok(confirmed) => answers.push(confirmed),
                Err(error) => return Ok(Err(error)),
            }
        }
        let _ = channel.close(200, "published".into()).await;
        Ok(Ok(answers))
    }

    /// To every worker there is, if any.
    pub async fn to_all_workers(
        &self,
        body: &[u8],
        properties: BasicProperties,
    ) -> lapin::Result<PublisherConfirm> {
        publish_on(&self.channel, celery::CONTROL_EXCHANGE, "", false, body, properties).await
    }

    pub async fn confirmed(&self, confirm: PublisherConfirm) -> Result<Confirmed> {
        match self.confirmed_or_error(confirm, CONFIRMING).await? {
            Ok(confirmed) if confirmed.is_refused => {
                Err(Problem::unreachable(format!("the broker {} refused a message", self.place)))
            }
            Ok(confirmed) => Ok(confirmed),
            Err(error) => Err(self.failed("publish a message", &error)),
        }
    }

    /// The inner error is the broker's.
    pub async fn confirmed_or_error(
        &self,
        confirm: PublisherConfirm,
        patience: Duration,
    ) -> Result<lapin::Result<Confirmed>> {
        let Ok(answer) = timeout(patience, confirm).await else {
            return Err(Problem::unreachable(format!(
                "the broker {} confirms nothing any more: it may be short of memory or space",
                self.place
            )));
        };
        Ok(answer.map(Confirmed::from))
    }
}

async fn publish_on(
    channel: &Channel,
    exchange: &str,
    key: &str,
    mandatory: bool,
    body: &[u8],
    properties: BasicProperties,
) -> lapin::Result<PublisherConfirm> {
    let options = BasicPublishOptions { mandatory, ..BasicPublishOptions::default() };
    let published = channel.basic_publish(exchange.into(), key.into(), options, body, properties);
    let late = || Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
    timeout(CONFIRMING, published).await.unwrap_or_else(|_| late())
}

async fn channel_of(connection: &Connection, place: &Place) -> Result<Channel> {
    let opened = async {
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(channel)
    };
    opened.await.map_err(|error| place.failed("open a channel", &error))
}

async fn declare_three(channel: &Channel, name: &str) -> lapin::Result<()> {
    celery::queue_of(name).declare(channel).await?;
    celery::exchange_of(name).declare(channel).await?;
    let (options, none) = (QueueBindOptions::default(), FieldTable::default());
    channel.queue_bind(name.into(), name.into(), name.into(), options, none).await
}

/// As the platform's own programs write the properties of a message.
pub fn plain() -> BasicProperties {
    BasicProperties::default()
        .with_delivery_mode(2)
        .with_priority(0)
        .with_message_id(Uuid::now_v7().simple().to_string().into())
        .with_headers(FieldTable::default())
}
