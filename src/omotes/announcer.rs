//! Tells clients which workflows there are: when it begins to listen, and whenever one asks.
//!
//! Invariant: a question is acknowledged after the broker confirmed the answer. Nobody may be there to hear it,
//! which is fine.

use async_trait::async_trait;
use prost::Message;
use tokio::sync::Mutex;

use super::publisher::link::{CONFIRMING, Link};
use super::workflows::Workflows;
use crate::amqp::taker::Taker;
use crate::amqp::wire::RequestAvailableWorkflows;
use crate::config::BrokerSettings;
use crate::problem::Result;

/// Where every client listens.
const KEY: &str = "available_workflows";
/// Clients that ask at the same time get one answer.
const AT_ONCE: u16 = 100;

pub struct Announcer<'a> {
    clients: &'a BrokerSettings,
    body: Vec<u8>,
    link: Mutex<Option<Link>>,
}

impl<'a> Announcer<'a> {
    pub fn new(clients: &'a BrokerSettings, workflows: &Workflows) -> Self {
        Self { clients, body: workflows.encoded(), link: Mutex::default() }
    }

    async fn announce(&self) -> Result<()> {
        let mut kept = self.link.lock().await;
        let link = match kept.take() {
            Some(link) if link.verify().is_ok() => link,
            _ => Link::to_clients(self.clients).await?,
        };
        let published = link.to_key(KEY, &self.body).await;
        let confirm = published.map_err(|error| link.failed("announce the workflows", &error))?;
        // A queue that refused it is its client's own concern, and no reason to tell all others again.
        let told = link.confirmed_or_error(confirm, CONFIRMING).await?;
        told.map_err(|error| link.failed("announce the workflows", &error))?;
        // Only one that worked is used again.
        *kept = Some(link);
        Ok(())
    }
}

#[async_trait]
impl Taker for Announcer<'_> {
    fn at_once(&self) -> u16 {
        AT_ONCE
    }

    async fn begun(&self) -> Result<()> {
        self.announce().await
    }

    async fn take(&self, bodies: &[&[u8]]) -> Result<Vec<Option<&'static str>>> {
        let read = |body: &&[u8]| match RequestAvailableWorkflows::decode(*body) {
            Ok(_) => None,
            Err(_) => Some("this is no RequestAvailableWorkflows message"),
        };
        let answers: Vec<_> = bodies.iter().map(read).collect();
        if answers.contains(&None) {
            self.announce().await?;
        }
        Ok(answers)
    }
}
