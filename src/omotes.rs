//! The place of the orchestrator in an OMOTES installation: jobs are taken from clients, given to Celery
//! workers, and their results handed back; a deletion cancels the job and lets go of its data.
//!
//! What follows from a message is one transaction: rows of `job`, events of the registry, and letters to be
//! sent, which leave from the outbox afterwards. Invariant: no letter is sent for what is not committed, and
//! none that is committed is forgotten.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::config::RegistrySettings;
use crate::problem::Result;
use crate::registry::Registry;
use crate::registry::beside::Neighbour;
use crate::retention::ownership::event::Met;
use crate::wake::Wake;
use batch::{Alone, Batch, Found};
use reading::Message;
use rows::Need;
use told::Told;

pub use with_jobs::with_jobs;

pub mod announcer;
mod answer;
mod batch;
pub mod brokers;
pub mod celery;
mod deletion;
mod desk;
pub mod letter;
pub mod outbox;
mod outcome;
mod patience;
mod progress;
pub mod publisher;
mod reading;
pub mod role;
mod rows;
mod submission;
pub mod tables;
pub mod takers;
pub mod task;
mod tidy;
mod told;
mod with_jobs;
pub mod workflows;

/// What an installation sets.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The types of workflow that clients may submit.
    pub workflows: BTreeSet<String>,
    /// How often a task may begin.
    pub delivery_limit: i64,
    /// After so long without a word a job's row is stale.
    pub retention: Duration,
    /// Nothing is timed out before everything of the workers was heard at once for so long, and so long after its time.
    pub start_buffer: Duration,
    /// How often time-outs are looked for.
    pub rerun: Duration,
}

impl Rules {
    /// How long after its time a job still runs: its result may be in the hands of another replica.
    fn patience_ms(&self) -> i64 {
        i64::try_from(self.start_buffer.as_millis()).unwrap_or(i64::MAX)
    }
}

/// The life cycle of jobs, for any number of replicas on one database.
pub struct Orchestrator {
    registry: Arc<dyn Registry>,
    alone: Alone,
    rules: Rules,
    wake: Wake,
}

impl Orchestrator {
    /// `registry` is the one of these settings; [`tables::prepare`] comes before.
    pub fn open(
        settings: &RegistrySettings,
        registry: Arc<dyn Registry>,
        rules: Rules,
        wake: Wake,
    ) -> Result<Self> {
        Ok(Self { registry, alone: Alone::on(Neighbour::of(settings)?), rules, wake })
    }

    /// Commits what the messages say, in their order.
    async fn carry_out(&self, need: Need, messages: &[Message]) -> Result<Vec<Met>> {
        self.carry_out_while(&|| true, need, messages).await
    }

    async fn carry_out_while(
        &self,
        still: &(dyn Fn() -> bool + Sync),
        need: Need,
        messages: &[Message],
    ) -> Result<Vec<Met>> {
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        let mut batch = Batch { messages, need, rules: &self.rules, still, found: Found::default() };
        // What always comes with an event goes to the registry at once.
        let alone = match messages[0] {
            Message::Submission(_) | Message::Progress(_) => self.alone.try_to(&mut batch).await?,
            _ => false,
        };
        let mut met = if alone { Vec::new() } else { self.registry.record_beside(&mut batch).await? };
        // Of what is committed, and of nothing else.
        batch.found.told.iter().for_each(Told::tell);
        if batch.found.deletes {
            self.wake.wake();
        }
        // A deletion is one event; a job at work is known, also where no check has seen it yet.
        for (message, met) in messages.iter().zip(&mut met) {
            met.known |= need == Need::Deletions && batch.found.rows.contains(&message.job());
        }
        Ok(met)
    }
}
