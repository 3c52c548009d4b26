//! A registry in memory: the ledger itself behind a lock. What the databases are compared with.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::beside::{Beside, not_here};
use super::pages::{self, Listed, Page};
use super::{Adopts, Checked, Reasons, Registry, RunnerLock, SeenRow};
use crate::problem::{Problem, Result};
use crate::retention::ownership::check::{Decision, Implausible, Inventory, Settings};
use crate::retention::ownership::event::{Event, Met};
use crate::retention::ownership::live::LiveJob;
use crate::retention::ownership::sighting::Sighting;
use crate::retention::ownership::{JobId, Ledger, Mark, OwnedName};

/// A registry whose contents the test holds as well.
#[derive(Clone, Default)]
pub struct Memory {
    ledger: Arc<Mutex<Ledger>>,
    live: Arc<Mutex<Option<Vec<LiveJob>>>>,
    clock: Arc<Mutex<i64>>,
    runner: Arc<Mutex<Option<String>>>,
}

impl Memory {
    /// Sets the clock, microseconds since 1970 UTC.
    pub fn set_now(&self, now: i64) {
        *held(&self.clock) = now;
    }

    /// Sets what an orchestrator would list as being at work.
    pub fn set_live_jobs<J: Into<LiveJob>>(&self, jobs: Vec<J>) {
        *held(&self.live) = Some(jobs.into_iter().map(Into::into).collect());
    }

    /// Changes the ledger, as another process would.
    pub fn change<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        change(&mut held(&self.ledger))
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a check comes to, without the ledger as it is afterwards.
#[derive(Debug)]
pub struct Decided {
    /// One for everything that is listed or registered.
    pub decisions: Vec<(OwnedName, Decision)>,
    /// Jobs that have ended by their age.
    pub too_old: Vec<JobId>,
}

impl Decided {
    pub fn with(self, ledger: Ledger) -> Checked {
        Checked { decisions: self.decisions, too_old: self.too_old, ledger }
    }
}

/// One check on a ledger: what every registry does between loading and writing. More rows without a dataset
/// than the cap allows wait for the next check.
pub fn check_ledger(
    ledger: &mut Ledger,
    inventory: &Inventory,
    settings: &Settings,
    adopts: &Adopts,
    now: i64,
) -> std::result::Result<Decided, Implausible> {
    let too_old = ledger.observe(inventory, settings, now)?;
    let mut names: Vec<OwnedName> = inventory.datasets.iter().map(|sighting| sighting.name.clone()).collect();
    names.sort_unstable();
    names.extend(ledger.rows.keys().cloned());
    // Two runs in order: this sort only merges them.
    names.sort();
    names.dedup();
    let mut may_forget = settings.cap(ledger.rows.len());
    let decide = |name: OwnedName| {
        let mut decision = ledger.decide(&name, adopts(&name), settings, now);
        if decision == Decision::Forget {
            match may_forget.checked_sub(1) {
                Some(left) => may_forget = left,
                None => decision = Decision::Absent,
            }
        }
        ledger.settle(&name, &decision, now);
        (name, decision)
    };
    let decisions = names.into_iter().map(decide).collect();
    ledger.conclude(now);
    Ok(Decided { decisions, too_old })
}

/// Whether the row of a dataset is still the one that was seen.
pub fn same_row(ledger: &Ledger, dataset: &OwnedName, seen: &SeenRow) -> bool {
    ledger.rows.get(dataset).is_some_and(|row| {
        row.job == seen.job && row.mark.as_ref().is_some_and(|mark| mark.at == seen.marked_at)
    })
}

#[async_trait]
impl Registry for Memory {
    async fn now(&self) -> Result<i64> {
        Ok(*held(&self.clock))
    }

    async fn record(&self, events: &[Event], now: i64) -> Result<Vec<Met>> {
        let mut ledger = held(&self.ledger);
        Ok(events.iter().map(|event| ledger.apply(event, now)).collect())
    }

    async fn record_beside(&self, _: &mut dyn Beside) -> Result<Vec<Met>> {
        Err(not_here())
    }

    async fn job_status(&self, _: JobId) -> Result<Option<String>> {
        Ok(None)
    }

    async fn live_jobs(&self) -> Result<Vec<LiveJob>> {
        Ok(held(&self.live).clone().unwrap_or_default())
    }

    async fn has_job_list(&self) -> Result<bool> {
        Ok(held(&self.live).is_some())
    }

    async fn check(
        &self,
        inventory: &Inventory,
        settings: &Settings,
        adopts: &Adopts,
        now: i64,
    ) -> Result<std::result::Result<Checked, Implausible>> {
        let mut ledger = held(&self.ledger);
        let checked = check_ledger(&mut ledger, inventory, settings, adopts, now);
        Ok(checked.map(|decided| decided.with(ledger.clone())))
    }

    async fn preview(
        &self,
        inventory: &Inventory,
        settings: &Settings,
        adopts: &Adopts,
        now: i64,
    ) -> Result<std::result::Result<Checked, Implausible>> {
        let mut ledger = held(&self.ledger).clone();
        let checked = check_ledger(&mut ledger, inventory, settings, adopts, now);
        Ok(checked.map(|decided| decided.with(ledger)))
    }

    async fn announce(&self) -> Result<()> {
        held(&self.ledger).announce();
        Ok(())
    }

    async fn marked_row(&self, dataset: &OwnedName) -> Result<Option<SeenRow>> {
        let ledger = held(&self.ledger);
        let row = ledger.rows.get(dataset);
        Ok(row.and_then(|row| Some(SeenRow { job: row.job, marked_at: row.mark.as_ref()?.at })))
    }

    async fn decide_again(
        &self,
        sighting: &Sighting,
        live_jobs: &[LiveJob],
        settings: &Settings,
        adopts: &Adopts,
        now: i64,
    ) -> Result<Decision> {
        Ok(held(&self.ledger).decide_again(sighting, live_jobs, adopts(&sighting.name), settings, now))
    }

    async fn dropped(&self, dataset: &OwnedName, row: &SeenRow) -> Result<bool> {
        let mut ledger = held(&self.ledger);
        let same = same_row(&ledger, dataset, row);
        if same {
            ledger.dropped(dataset);
        }
        Ok(same)
    }

    async fn restart_grace(&self, dataset: &OwnedName, row: &SeenRow, now: i64) -> Result<bool> {
        let mut ledger = held(&self.ledger);
        let same = same_row(&ledger, dataset, row);
        if let (true, Some(row)) = (same, ledger.rows.get_mut(dataset)) {
            row.mark = Some(Mark { at: now, seen: None, announced: false });
        }
        Ok(same)
    }

    async fn ledger(&self) -> Result<Ledger> {
        Ok(held(&self.ledger).clone())
    }

    async fn about(&self, datasets: &[OwnedName], jobs: &[JobId]) -> Result<Ledger> {
        Ok(pages::about(&held(&self.ledger), datasets, jobs))
    }

    async fn page(&self, listed: Listed, after: Option<&str>, limit: usize, now: i64) -> Result<Page> {
        Ok(pages::page(&held(&self.ledger), listed, after, limit, now))
    }

    async fn reasons(&self, _held: &[OwnedName]) -> Result<Reasons> {
        Ok(Reasons::new())
    }

    async fn tombstones(&self, after: Option<&str>, limit: usize) -> Result<Vec<(JobId, i64)>> {
        Ok(pages::tombstones(&held(&self.ledger), after, limit))
    }

    async fn lock_runner(&self, run: &str) -> Result<Box<dyn RunnerLock>> {
        let mut runner = held(&self.runner);
        if let Some(other) = runner.as_ref() {
            return Err(Problem::busy(format!("{other} is at work on this registry")));
        }
        *runner = Some(run.to_owned());
        Ok(Box::new(Lock(Arc::clone(&self.runner))))
    }

    async fn advice(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

struct Lock(Arc<Mutex<Option<String>>>);

#[async_trait]
impl RunnerLock for Lock {
    async fn verify(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        *held(&self.0) = None;
    }
}
