//! A registry in which one rule is switched off: the tests have to find out.

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::problem::Result;
use crate::registry::beside::Beside;
use crate::registry::memory::Memory;
use crate::registry::pages::{Listed, Page};
use crate::registry::{Adopts, Checked, Reasons, Registry, RunnerLock, SeenRow};
use crate::retention::ownership::check::{Decision, Implausible, Inventory, Settings, Wait};
use crate::retention::ownership::claims::Claim;
use crate::retention::ownership::event::{Event, Met};
use crate::retention::ownership::live::LiveJob;
use crate::retention::ownership::sighting::Sighting;
use crate::retention::ownership::{JobId, Ledger, Mark, OwnedName};

/// A rule that keeps somebody's data, or lets nobody's go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    AClaimClearsAnOrphanMark,
    ADeletionIsRemembered,
    AllOwnersMustBeGone,
    TheEpochRule,
    TheLastChangeCounts,
    WhatWasClaimedIsRecovered,
    OnlyTheSameRowIsSettled,
    AnEmptyListIsRefused,
}

#[derive(Clone)]
pub struct Bent {
    pub memory: Memory,
    /// The rule that does not hold here.
    pub without: Option<Rule>,
}

impl Bent {
    fn lacks(&self, rule: Rule) -> bool {
        self.without == Some(rule)
    }

    /// What an event does to a ledger that lacks the rule.
    pub fn apply(without: Option<Rule>, ledger: &mut Ledger, event: &Event, now: i64) -> Met {
        match (without, event) {
            (Some(Rule::AClaimClearsAnOrphanMark), Event::Succeeded { job, dataset })
                if ledger.rows.get(dataset).is_some_and(|row| row.mark.is_some() && row.job.is_none()) =>
            {
                ledger.failed(*job, now);
                return Met::default();
            }
            (Some(Rule::ADeletionIsRemembered), Event::Deleted(job))
                if ledger.claims.by(*job).next().is_none() =>
            {
                ledger.failed(*job, now);
                return Met::default();
            }
            (Some(Rule::AllOwnersMustBeGone), Event::Deleted(job)) => {
                let shared: BTreeSet<OwnedName> = ledger.claims.by(*job).cloned().collect();
                keep_claims(ledger, |name, claim| !shared.contains(name) || claim.job == *job);
            }
            _ => {}
        }
        ledger.apply(event, now)
    }

    fn prepare(&self, inventory: &Inventory) -> Inventory {
        let mut inventory = inventory.clone();
        if self.lacks(Rule::TheLastChangeCounts) {
            inventory.datasets.iter_mut().for_each(without_change);
        }
        if self.lacks(Rule::WhatWasClaimedIsRecovered) {
            self.memory.change(|ledger| {
                let rows: BTreeSet<OwnedName> = ledger.rows.keys().cloned().collect();
                keep_claims(ledger, |dataset, _| rows.contains(dataset));
            });
        }
        if self.lacks(Rule::AnEmptyListIsRefused) && inventory.datasets.is_empty() {
            // As if nothing had ever been expected: every row is taken for absent.
            self.memory.change(|ledger| {
                for seen in ledger.datasets.values_mut() {
                    seen.absent_since.get_or_insert(0);
                }
            });
        }
        inventory
    }

    fn bend(&self, decision: Decision) -> Decision {
        match decision {
            Decision::Wait(Wait::LiveJobs(_)) if self.lacks(Rule::TheEpochRule) => Decision::Drop,
            other => other,
        }
    }

    /// The row as a `SeenRow` of now, whatever was seen before.
    fn any_row(&self, dataset: &OwnedName) -> bool {
        self.lacks(Rule::OnlyTheSameRowIsSettled)
            && self.memory.change(|ledger| ledger.rows.contains_key(dataset))
    }
}

#[async_trait]
impl Registry for Bent {
    async fn now(&self) -> Result<i64> {
        self.memory.now().await
    }

    async fn record(&self, events: &[Event], now: i64) -> Result<Vec<Met>> {
        let apply = |ledger: &mut Ledger| {
            events.iter().map(|event| Self::apply(self.without, ledger, event, now)).collect()
        };
        Ok(self.memory.change(apply))
    }

    async fn live_jobs(&self) -> Result<Vec<LiveJob>> {
        self.memory.live_jobs().await
    }

    async fn check(
        &self,
        inventory: &Inventory,
        settings: &Settings,
        adopts: &Adopts,
        now: i64,
    ) -> Result<std::result::Result<Checked, Implausible>> {
        let inventory = self.prepare(inventory);
        let checked = self.memory.check(&inventory, settings, adopts, now).await?;
        Ok(checked.map(|checked| {
            let bend = |(name, decision)| (name, self.bend(decision));
            Checked { decisions: checked.decisions.into_iter().map(bend).collect(), ..checked }
        }))
    }

    async fn preview(
        &self,
        inventory: &Inventory,
        settings: &Settings,
        adopts: &Adopts,
        now: i64,
    ) -> Result<std::result::Result<Checked, Implausible>> {
        self.memory.preview(inventory, settings, adopts, now).await
    }

    async fn announce(&self) -> Result<()> {
        self.memory.announce().await
    }

    async fn marked_row(&self, dataset: &OwnedName) -> Result<Option<SeenRow>> {
        self.memory.marked_row(dataset).await
    }

    async fn decide_again(
        &self,
        sighting: &Sighting,
        live_jobs: &[LiveJob],
        settings: &Settings,
        adopts: &Adopts,
        now: i64,
    ) -> Result<Decision> {
        let mut sighting = sighting.clone();
        if self.lacks(Rule::TheLastChangeCounts) {
            without_change(&mut sighting);
        }
        let decision = self.memory.decide_again(&sighting, live_jobs, settings, adopts, now).await?;
        Ok(self.bend(decision))
    }

    async fn dropped(&self, dataset: &OwnedName, row: &SeenRow) -> Result<bool> {
        if self.any_row(dataset) {
            self.memory.change(|ledger| ledger.dropped(dataset));
            return Ok(true);
        }
        self.memory.dropped(dataset, row).await
    }

    async fn restart_grace(&self, dataset: &OwnedName, row: &SeenRow, now: i64) -> Result<bool> {
        if self.any_row(dataset) {
            let mark = Some(Mark { at: now, seen: None, announced: false });
            self.memory.change(|ledger| ledger.rows.get_mut(dataset).map(|row| row.mark = mark));
            return Ok(true);
        }
        self.memory.restart_grace(dataset, row, now).await
    }

    async fn ledger(&self) -> Result<Ledger> {
        self.memory.ledger().await
    }

    async fn record_beside(&self, work: &mut dyn Beside) -> Result<Vec<Met>> {
        self.memory.record_beside(work).await
    }

    async fn job_status(&self, job: JobId) -> Result<Option<String>> {
        self.memory.job_status(job).await
    }

    async fn has_job_list(&self) -> Result<bool> {
        self.memory.has_job_list().await
    }

    async fn about(&self, datasets: &[OwnedName], jobs: &[JobId]) -> Result<Ledger> {
        self.memory.about(datasets, jobs).await
    }

    async fn page(&self, listed: Listed, after: Option<&str>, limit: usize, now: i64) -> Result<Page> {
        self.memory.page(listed, after, limit, now).await
    }

    async fn reasons(&self, held: &[OwnedName]) -> Result<Reasons> {
        self.memory.reasons(held).await
    }

    async fn tombstones(&self, after: Option<&str>, limit: usize) -> Result<Vec<(JobId, i64)>> {
        self.memory.tombstones(after, limit).await
    }

    async fn lock_runner(&self, run: &str) -> Result<Box<dyn RunnerLock>> {
        self.memory.lock_runner(run).await
    }

    async fn advice(&self) -> Result<Vec<String>> {
        self.memory.advice().await
    }
}

/// As if the store told nothing of its writes.
fn without_change(sighting: &mut Sighting) {
    sighting.last_change = None;
    sighting.change_token = None;
}

/// Claims are only ever added, so the others are left out of a new set.
fn keep_claims(ledger: &mut Ledger, keep: impl Fn(&OwnedName, &Claim) -> bool) {
    let all = ledger.claims.iter().flat_map(|(name, claims)| claims.iter().map(move |claim| (name, claim)));
    let kept = all.filter(|(name, claim)| keep(name, claim)).map(|(name, claim)| (name.clone(), *claim));
    ledger.claims = kept.collect::<Vec<_>>().into_iter().collect();
}
