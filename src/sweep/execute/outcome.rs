//! What an answer of the store means for the chunks of a batch, and how each chunk ends.
//!
//! Invariant: outcomes are journaled before they are counted, and every chunk ends exactly once.

use std::time::{Duration, Instant};

use crate::problem::{Kind, Problem, Result};
use crate::report::{ItemOutcome, ItemReport};
use crate::retention::facts::Blocker;
use crate::retention::model::ChunkPart;
use crate::state::{IntentId, Outcome};
use crate::store::{Change, DropFailure, Dropped, Dropper};

use super::Execution;
use crate::sweep::gather::our_now;
use crate::sweep::queue::{Batch, Item};

/// How long an ending run asks who is in the way of its last chunks.
const LAST_LOOK: Duration = Duration::from_secs(5);

impl Execution {
    pub(super) async fn handle(
        &self,
        tried: Batch,
        answer: std::result::Result<Dropped, DropFailure>,
        dropper: &mut Option<Box<dyn Dropper>>,
    ) -> Result<()> {
        let Batch { lane, mut items } = tried;
        match answer {
            Ok(done) => {
                let stayed = items.split_off(done.chunks.min(items.len()));
                self.queue().went_well(lane, done, stayed);
                self.finish_all(lane, items, |_| ItemOutcome::Dropped).await
            }
            Err(DropFailure::Waited(why)) => self.handle_wait(lane, items, &why).await,
            Err(DropFailure::Changed(changes)) => self.handle_changes(lane, items, changes).await,
            Err(DropFailure::Permanent { .. }) if items.len() > 1 => {
                self.queue().try_alone(lane, items);
                Ok(())
            }
            Err(DropFailure::Permanent { message, hint }) => {
                self.queue().ended(lane);
                self.finish_all(lane, items, |_| ItemOutcome::Failed {
                    message: message.clone(),
                    hint: hint.clone(),
                })
                .await
            }
            Err(DropFailure::Unknown(why)) => {
                *dropper = None;
                self.settle_unknown(lane, items, &why).await
            }
        }
    }

    /// The store waited for the first chunk only, so it is the one that somebody is in the way of.
    async fn handle_wait(&self, lane: usize, mut items: Vec<Item>, why: &str) -> Result<()> {
        if let Some(first) = items.first_mut()
            && let Err(problem) = self.deal_with_blockers(lane, first).await
        {
            self.queue().try_again(lane, items);
            return Err(problem);
        }
        if let Some(first) = items.first_mut() {
            first.waited = Some(why.to_owned());
        }
        let given_up = self.queue().had_to_wait(lane, items, Instant::now());
        self.report_blocked(lane, given_up, why).await
    }

    async fn handle_changes(
        &self,
        lane: usize,
        items: Vec<Item>,
        changes: Vec<(usize, Change)>,
    ) -> Result<()> {
        let mut companions = Vec::new();
        let mut ended = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            match changes.iter().find(|(changed, _)| *changed == index) {
                Some((_, Change::Gone)) => ended.push((item, ItemOutcome::Gone)),
                Some((_, Change::Differs(what))) => {
                    ended.push((item, ItemOutcome::Changed { what: what.clone() }));
                }
                None => companions.push(item),
            }
        }
        if ended.is_empty() {
            return self.handle_unnamed_change(lane, companions).await;
        }
        self.queue().try_again(lane, companions);
        self.finish_with(lane, ended).await
    }

    /// Something differs and the driver does not say what: each chunk is tried alone, then left alone.
    async fn handle_unnamed_change(&self, lane: usize, items: Vec<Item>) -> Result<()> {
        if items.len() > 1 {
            self.queue().try_alone(lane, items);
            return Ok(());
        }
        self.queue().ended(lane);
        let what = "the store's answer differs from the plan";
        self.finish_all(lane, items, |_| ItemOutcome::Changed { what: what.into() }).await
    }

    /// The session broke and nobody knows whether the transaction was committed: the store is asked. If it
    /// cannot be asked, the intents stay open for the next run.
    async fn settle_unknown(&self, lane: usize, items: Vec<Item>, why: &str) -> Result<()> {
        let broken = || Problem::new(Kind::Partial, "the connection to the store broke").cause(why);
        let parts: Vec<ChunkPart> = items.iter().flat_map(|item| item.plan.chunk.parts.clone()).collect();
        let there = match self.driver.still_there(&parts).await {
            Ok(there) => there,
            Err(problem) => {
                self.queue().ended(lane);
                let unknown = "the connection broke; the next run finds out whether it was dropped";
                self.record(lane, items, |_| ItemOutcome::NotTried { why: unknown.into() });
                return Err(broken().cause(problem.sentence).hint("run again when the store is back"));
            }
        };
        let mut there = there.into_iter();
        let (mut left, gone): (Vec<Item>, Vec<Item>) = items.into_iter().partition(|item| {
            there.by_ref().take(item.plan.chunk.parts.len()).filter(|there| *there).count() > 0
        });
        for item in &mut left {
            item.waited = None;
        }
        // A chunk that breaks every session must not be tried for ever: each break is one of its tries.
        let given_up = self.queue().had_to_wait(lane, left, Instant::now());
        self.finish_all(lane, gone, |_| ItemOutcome::Dropped).await?;
        let failed = ItemOutcome::Failed {
            message: format!("the connection broke at every try: {why}"),
            hint: Some("see the server's log".into()),
        };
        self.finish_all(lane, given_up, |_| failed.clone()).await?;
        // The runner's lock decides whether the run may go on: it lives in a session of its own.
        self.lock.lock().await.verify().await.map_err(|problem| broken().cause(problem.sentence))
    }

    /// What the run did not come to. An intent that was written is closed: the chunk was not dropped. A chunk that was
    /// tried and waited in vain stays blocked, whatever ended the run.
    pub(super) async fn report_rest(&self) {
        let why = if self.stop.is_cancelled() { "the run was interrupted" } else { "the run stopped before" };
        let asked_until = Instant::now() + LAST_LOOK;
        // Not in the loop's head: that would keep the queue locked.
        let rest = self.queue().take_rest();
        for (lane, item) in rest {
            let outcome = match item.waited.clone() {
                Some(waited) => {
                    let blockers = self.blockers(lane, &item, asked_until).await;
                    ItemOutcome::Blocked { tries: item.tries, why: format!("{waited}; {why}"), blockers }
                }
                None => ItemOutcome::NotTried { why: why.into() },
            };
            if let Err(problem) = self.finish(lane, item, outcome).await {
                self.give_up(problem);
            }
        }
    }

    /// Who is in the way, as far as the store says it by then: a run that is to end waits for no more.
    async fn blockers(&self, lane: usize, item: &Item, until: Instant) -> Vec<Blocker> {
        let dataset = self.queue().lane(lane).dataset.clone();
        let asking = self.driver.blockers(&dataset, &item.plan.chunk.parts);
        let answer = tokio::time::timeout_at(until.into(), asking).await;
        answer.ok().and_then(Result::ok).unwrap_or_default()
    }

    async fn report_blocked(&self, lane: usize, given_up: Vec<Item>, why: &str) -> Result<()> {
        let dataset = self.queue().lane(lane).dataset.clone();
        for item in given_up {
            // Who is in the way is only for the report; without an answer the run goes on.
            let blockers = self.driver.blockers(&dataset, &item.plan.chunk.parts).await.unwrap_or_default();
            let outcome = ItemOutcome::Blocked { tries: item.tries, why: why.to_owned(), blockers };
            self.finish(lane, item, outcome).await?;
        }
        Ok(())
    }

    pub(super) async fn finish(&self, lane: usize, item: Item, outcome: ItemOutcome) -> Result<()> {
        self.finish_with(lane, vec![(item, outcome)]).await
    }

    async fn finish_all(
        &self,
        lane: usize,
        items: Vec<Item>,
        outcome: impl Fn(&Item) -> ItemOutcome,
    ) -> Result<()> {
        let ended = items.into_iter().map(|item| {
            let outcome = outcome(&item);
            (item, outcome)
        });
        self.finish_with(lane, ended.collect()).await
    }

    /// Journals outcomes first, then counts them.
    async fn finish_with(&self, lane: usize, ended: Vec<(Item, ItemOutcome)>) -> Result<()> {
        let journaled: Vec<(IntentId, Outcome)> = ended
            .iter()
            .filter_map(|(item, outcome)| Some((item.intent?, for_journal(item, outcome))))
            .collect();
        let written = self.state.write_outcomes(&journaled, our_now(), None).await;
        for (item, outcome) in ended {
            self.record(lane, vec![item], |_| outcome.clone());
        }
        written
    }

    fn record(&self, lane: usize, items: Vec<Item>, outcome: impl Fn(&Item) -> ItemOutcome) {
        let (_, axis) = self.names(lane);
        for item in items {
            let chunk = &item.plan.chunk;
            let report = ItemReport {
                chunk: chunk.label(),
                range: chunk.range,
                shown_range: axis.show_range(chunk.range),
                bytes: chunk.bytes(),
                outcome: outcome(&item),
            };
            self.progress.chunk_ended(&report);
            self.add_result(lane, report);
        }
    }
}

fn for_journal(item: &Item, outcome: &ItemOutcome) -> Outcome {
    let why = match outcome {
        ItemOutcome::Dropped => return Outcome::Dropped { bytes: item.plan.chunk.bytes() },
        ItemOutcome::Gone => return Outcome::Gone,
        ItemOutcome::Changed { what } => what.clone(),
        ItemOutcome::Blocked { why, .. } | ItemOutcome::NotTried { why } => why.clone(),
        ItemOutcome::Failed { message, .. } => message.clone(),
    };
    Outcome::NotDropped { why }
}
