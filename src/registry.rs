//! Who owns what, kept where several processes can see it: the ledger of `retention/ownership.rs` in a
//! database, with the table `esdl_time_series_info` as its face.
//!
//! A registry decides nothing: it loads what an event or a check concerns, lets the ledger do it, and
//! writes the difference. Invariant: what it holds afterwards equals the ledger after the same events.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use self::beside::Beside;
use crate::config::RegistrySettings;
use crate::problem::Result;
use crate::retention::ownership::check::{Decision, Implausible, Inventory, Settings};
use crate::retention::ownership::event::{Event, Met};
use crate::retention::ownership::live::LiveJob;
use crate::retention::ownership::sighting::Sighting;
use crate::retention::ownership::{JobId, Ledger, OwnedName};

use pages::{Listed, Page};

pub mod beside;
mod database;
pub mod memory;
pub mod pages;

/// Opens a registry in PostgreSQL or in a SQLite file, and makes its tables where they are missing.
pub async fn open(settings: &RegistrySettings) -> Result<Arc<dyn Registry>> {
    Ok(Arc::new(database::open(settings).await?))
}

/// A row as a check saw it: the same dataset with another of these is another row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRow {
    pub job: Option<JobId>,
    /// Microseconds since 1970 UTC.
    pub marked_at: i64,
}

/// Of holds that nobody asked for.
pub type Reasons = BTreeMap<OwnedName, String>;

/// Which names are ours, beside those that were ever registered or claimed.
pub type Adopts = dyn Fn(&OwnedName) -> bool + Send + Sync;

/// What a complete check found; one decision for everything that is listed or registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    pub decisions: Vec<(OwnedName, Decision)>,
    /// Jobs that have ended by their age.
    pub too_old: Vec<JobId>,
    /// As it is after the check: every row, every dataset and every hold, every job that runs, and what belongs to
    /// those.
    pub ledger: Ledger,
}

/// No method has a default: whoever wraps a registry would answer with it instead of asking.
#[async_trait]
pub trait Registry: Send + Sync {
    /// The registry's own clock, microseconds since 1970 UTC.
    async fn now(&self) -> Result<i64>;

    /// Every event in this order, in one transaction; one answer for each.
    async fn record(&self, events: &[Event], now: i64) -> Result<Vec<Met>>;

    /// Work on tables beside the registry and the events that follow from it, in one transaction. PostgreSQL only.
    async fn record_beside(&self, work: &mut dyn Beside) -> Result<Vec<Met>>;

    /// Jobs that an orchestrator beside us has at work; empty where nobody keeps such a list.
    async fn live_jobs(&self) -> Result<Vec<LiveJob>>;

    /// What an orchestrator beside us says of a job that it has at work, in its own word.
    async fn job_status(&self, job: JobId) -> Result<Option<String>>;

    /// Whether somebody keeps such a list, also while nobody is at work.
    async fn has_job_list(&self) -> Result<bool>;

    /// Takes the inventory in or refuses it, decides, and settles every decision but the drops: one
    /// transaction. The inventory was read before the live jobs, and those before this call.
    async fn check(
        &self,
        inventory: &Inventory,
        settings: &Settings,
        adopts: &Adopts,
        now: i64,
    ) -> Result<std::result::Result<Checked, Implausible>>;

    /// The same without writing anything.
    async fn preview(
        &self,
        inventory: &Inventory,
        settings: &Settings,
        adopts: &Adopts,
        now: i64,
    ) -> Result<std::result::Result<Checked, Implausible>>;

    /// The report of the last check is out: from now on people could have seen what is marked.
    async fn announce(&self) -> Result<()>;

    /// The row of a marked dataset; `None` when there is none or it is not marked.
    async fn marked_row(&self, dataset: &OwnedName) -> Result<Option<SeenRow>>;

    /// Decides once more right before a drop, with what the store and the job list say now; `now` comes after
    /// both. Takes a change in. Never better than the decision of the check.
    async fn decide_again(
        &self,
        sighting: &Sighting,
        live_jobs: &[LiveJob],
        settings: &Settings,
        adopts: &Adopts,
        now: i64,
    ) -> Result<Decision>;

    /// The dataset is gone: its row goes if it is still this one. Says whether it did.
    async fn dropped(&self, dataset: &OwnedName, row: &SeenRow) -> Result<bool>;

    /// A drop was cut off and the dataset is still there: the grace of this row starts anew.
    async fn restart_grace(&self, dataset: &OwnedName, row: &SeenRow, now: i64) -> Result<bool>;

    /// Everything, for passes and reports.
    async fn ledger(&self) -> Result<Ledger>;

    /// What is known of these alone.
    async fn about(&self, datasets: &[OwnedName], jobs: &[JobId]) -> Result<Ledger>;

    /// At most `limit` datasets of a list behind the name `after`, with what is known of them.
    async fn page(&self, listed: Listed, after: Option<&str>, limit: usize, now: i64) -> Result<Page>;

    /// Why we hold these of our own accord, where we do. Who held one by a word of his keeps his reason himself.
    async fn reasons(&self, held: &[OwnedName]) -> Result<Reasons>;

    /// At most `limit` deleted jobs whose result has not come, behind an id, each with the instant of its deletion.
    async fn tombstones(&self, after: Option<&str>, limit: usize) -> Result<Vec<(JobId, i64)>>;

    /// One runner at a time, on every host that uses this registry (on this host, for a file): busy
    /// otherwise.
    async fn lock_runner(&self, run: &str) -> Result<Box<dyn RunnerLock>>;

    /// What `check` should tell about this registry.
    async fn advice(&self) -> Result<Vec<String>>;
}

/// The runner's lock, held as long as this value lives and its session does.
#[async_trait]
pub trait RunnerLock: Send {
    /// Fails when the lock is lost: the pass has to stop.
    async fn verify(&mut self) -> Result<()>;
}
