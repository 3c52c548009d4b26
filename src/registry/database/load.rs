//! The part of the ledger that a unit of work concerns, as the database has it, with the rows of others
//! taken in.
//!
//! Invariant: what is loaded is closed. With a job come the datasets it claimed, with a dataset all who
//! claimed it and whether they were deleted; so the ledger's own functions answer as on the whole of it.

mod check;
mod events;
mod read;
mod slice;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::connection::Connection;
use super::statements::Statements;
use crate::retention::ownership::adopt::FoundRow;
use crate::retention::ownership::check::Inventory;
use crate::retention::ownership::claims::Claims;
use crate::retention::ownership::event::Event;
use crate::retention::ownership::{JobId, Ledger, Mark, OwnedName, Row};

use read::{
    Differing, claim, deleted, differing, hold, kept_row, last_check, seen_dataset, seen_job, unread,
};
pub(super) use read::{ids, live_job, only_name, some, tombstone};

/// How the reason of a hold begins that an unreadable success set, by which it is known again.
pub(super) const UNREAD: &str = "a job that may have written it succeeded, and nobody can read with what";

/// What a unit of work needs to know.
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    pub whole: bool,
    /// What a check of these has to know.
    pub check: Option<&'a Inventory>,
    pub datasets: BTreeSet<OwnedName>,
    pub jobs: BTreeSet<JobId>,
    /// Every dataset with a mark and without a job.
    pub orphans: bool,
    /// Every job that has not ended.
    pub running: bool,
    /// Jobs that are at work, of which we may not have heard.
    pub live: Vec<JobId>,
}

/// A row of `esdl_time_series_info` and what we remember of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeptRow {
    pub row_id: Uuid,
    pub dataset: Option<OwnedName>,
    pub job: Option<JobId>,
    pub marked_at: Option<i64>,
    pub first_look: Option<i64>,
    pub first_check: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TheirRow {
    pub row_id: Uuid,
    pub row: FoundRow,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LastCheck {
    pub number: i64,
    pub at: i64,
    pub announced: i64,
}

/// The ledger as it was loaded and as it becomes, with what stands in the tables.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub ledger: Ledger,
    /// As the database has it; claims only of datasets that may get more.
    pub before: Ledger,
    /// The rows of datasets as we left them.
    pub kept: BTreeMap<OwnedName, KeptRow>,
    pub tombstones: BTreeMap<JobId, Vec<KeptRow>>,
    /// Rows that are not as we left them.
    pub changed: Vec<TheirRow>,
    /// Rows that are there no more.
    pub vanished: BTreeSet<Uuid>,
    /// Deletions that are known from rows of others alone.
    pub adopted: BTreeSet<JobId>,
    /// Why a dataset is held, where we know.
    pub reasons: BTreeMap<OwnedName, String>,
    pub check: LastCheck,
    /// Deletions that were adopted, and of which we were told by now.
    pub confirmed: BTreeSet<JobId>,
    /// Everything that is there was read, by its tables and not by its names.
    pub whole: bool,
    /// This unit is a check, at this instant.
    pub checked_at: Option<i64>,
    pub now: i64,
}

impl Scope<'_> {
    pub(super) fn whole() -> Self {
        Self { whole: true, ..Self::default() }
    }

    pub(super) fn dataset(name: &OwnedName) -> Self {
        Self { datasets: BTreeSet::from([name.clone()]), ..Self::default() }
    }

    pub(super) fn of(events: &[Event]) -> Self {
        let mut scope = Self::default();
        for event in events {
            match event {
                Event::SucceededWithAnUnknownDataset(job) => {
                    scope.orphans = true;
                    scope.jobs.insert(*job);
                }
                Event::JobIsLive(job)
                | Event::Failed(job)
                | Event::Deleted(job)
                | Event::CancelTombstone(job) => _ = scope.jobs.insert(*job),
                Event::Succeeded { job, dataset } => {
                    scope.jobs.insert(*job);
                    scope.datasets.insert(dataset.clone());
                }
                Event::CancelMark { dataset, .. } | Event::Hold { dataset, .. } | Event::Unhold(dataset) => {
                    scope.datasets.insert(dataset.clone());
                }
            }
        }
        scope
    }
}

/// Reads everything that the scope asks for and takes in what others changed.
pub(super) async fn load(
    connection: &mut Connection,
    statements: &'static Statements,
    scope: &Scope<'_>,
    lock: bool,
    now: i64,
) -> sqlx::Result<Loaded> {
    let mut loaded = Loaded { now, whole: scope.whole || scope.check.is_some(), ..Loaded::default() };
    let last = connection.read(statements.last_check, &[], last_check).await?;
    loaded.check = last.first().copied().unwrap_or_default();
    loaded.ledger.checked_at = loaded.check.at;
    if scope.whole {
        load_whole(connection, statements, &mut loaded).await?;
    } else if let Some(inventory) = scope.check {
        check::load(connection, statements, inventory, &mut loaded).await?;
    } else {
        slice::load(connection, statements, scope, lock, &mut loaded).await?;
    }
    if loaded.whole || scope.orphans {
        let unread = connection.read(statements.all_unread, &[], unread).await?;
        loaded.ledger.unread = unread.into_iter().collect();
    }
    loaded.remember();
    loaded.take_in();
    Ok(loaded)
}

async fn load_whole(
    connection: &mut Connection,
    statements: &'static Statements,
    loaded: &mut Loaded,
) -> sqlx::Result<()> {
    compare(connection, statements, loaded).await?;
    loaded.take_kept(connection.read(statements.all_kept, &[], kept_row).await?);
    let claims = connection.read(statements.all_claims, &[], claim).await?;
    loaded.ledger.claims = claims.into_iter().collect();
    loaded.take_deleted(connection.read(statements.all_deleted, &[], deleted).await?);
    loaded.ledger.jobs = connection.read(statements.all_jobs, &[], seen_job).await?.into_iter().collect();
    let datasets = connection.read(statements.all_datasets, &[], seen_dataset).await?;
    loaded.ledger.datasets = datasets.into_iter().collect();
    loaded.take_holds(connection.read(statements.all_holds, &[], hold).await?);
    Ok(())
}

/// Finds what others changed; answers with the jobs whose tombstones are there no more.
async fn compare(
    connection: &mut Connection,
    statements: &'static Statements,
    loaded: &mut Loaded,
) -> sqlx::Result<Vec<JobId>> {
    let mut jobs = Vec::new();
    for differing in connection.read(statements.differing, &[], differing).await? {
        match differing {
            Differing::Changed(their) => loaded.changed.push(their),
            Differing::Vanished { row_id, tombstone_of } => {
                loaded.vanished.insert(row_id);
                jobs.extend(tombstone_of);
            }
        }
    }
    Ok(jobs)
}

impl Loaded {
    fn take_kept(&mut self, rows: Vec<KeptRow>) {
        let (datasets, tombstones): (Vec<KeptRow>, Vec<KeptRow>) =
            rows.into_iter().partition(|row| row.dataset.is_some());
        let named = |row: KeptRow| Some((row.dataset.clone()?, row));
        self.kept = datasets.into_iter().filter_map(named).collect();
        let row = |kept: &KeptRow| Row { job: kept.job, mark: self.mark(kept) };
        self.ledger.rows = self.kept.iter().map(|(name, kept)| (name.clone(), row(kept))).collect();
        self.take_tombstones(tombstones);
    }

    fn take_tombstones(&mut self, rows: Vec<KeptRow>) {
        for row in rows {
            if let Some(job) = row.job {
                self.tombstones.entry(job).or_default().push(row);
            }
        }
        let first = |rows: &Vec<KeptRow>| rows.iter().filter_map(|row| row.marked_at).min();
        let of_jobs = self.tombstones.iter().filter_map(|(job, rows)| Some((*job, first(rows)?)));
        self.ledger.tombstones = of_jobs.collect();
    }

    /// Every check sees every mark: when it was seen last is known from the check alone.
    fn mark(&self, kept: &KeptRow) -> Option<Mark> {
        Some(Mark {
            at: kept.marked_at?,
            seen: kept.first_look.map(|first| (first, self.check.at)),
            announced: kept.first_check.is_some_and(|number| number <= self.check.announced),
        })
    }

    fn take_deleted(&mut self, rows: Vec<(JobId, i64, bool)>) {
        self.adopted = rows.iter().filter(|(_, _, adopted)| *adopted).map(|(job, ..)| *job).collect();
        self.ledger.deleted_jobs = rows.into_iter().map(|(job, at, _)| (job, at)).collect();
    }

    fn take_holds(&mut self, rows: Vec<(OwnedName, Option<i64>, Option<String>)>) {
        for (name, until, reason) in rows {
            if let Some(reason) = reason {
                if reason.starts_with(UNREAD) {
                    self.ledger.unread_holds.insert(name.clone());
                }
                self.reasons.insert(name.clone(), reason);
            }
            self.ledger.holds.insert(name, until);
        }
    }

    /// Keeps what everything is compared with. Rows are compared with `kept`; where the whole ledger is
    /// loaded, claims only grow by what others changed.
    fn remember(&mut self) {
        let claims = if self.whole { self.claims_of_changed() } else { self.ledger.claims.clone() };
        self.before = Ledger {
            claims,
            rows: BTreeMap::new(),
            deleted_jobs: self.ledger.deleted_jobs.clone(),
            jobs: self.ledger.jobs.clone(),
            datasets: self.ledger.datasets.clone(),
            tombstones: self.ledger.tombstones.clone(),
            holds: self.ledger.holds.clone(),
            unread_holds: self.ledger.unread_holds.clone(),
            checked_at: self.ledger.checked_at,
            unread: self.ledger.unread.clone(),
        };
    }

    fn claims_of_changed(&self) -> Claims {
        let names = self.changed.iter().filter_map(|their| their.row.dataset.as_ref());
        let claims =
            |name| self.ledger.claims.of(name).iter().map(move |claim| (OwnedName::clone(name), *claim));
        names.flat_map(claims).collect()
    }

    fn take_in(&mut self) {
        let (now, changed) = (self.now, std::mem::take(&mut self.changed));
        let appeared: BTreeSet<&OwnedName> =
            changed.iter().filter_map(|their| their.row.dataset.as_ref()).collect();
        let touched: BTreeSet<Uuid> = changed.iter().map(|their| their.row_id).collect();
        let is_gone = |name: &OwnedName, kept: &KeptRow| {
            let moved = self.vanished.contains(&kept.row_id) || touched.contains(&kept.row_id);
            moved && !appeared.contains(name)
        };
        if !(changed.is_empty() && self.vanished.is_empty()) {
            let gone = self.kept.iter().filter(|(name, kept)| is_gone(name, kept));
            let gone: Vec<OwnedName> = gone.map(|(name, _)| name.clone()).collect();
            for name in &gone {
                self.ledger.row_vanished(name);
            }
        }
        self.forget_vanished_tombstones(&touched);
        for their in &changed {
            let (ledger, adopted) = (&self.ledger.deleted_jobs, &self.adopted);
            let told = their.row.job.is_some_and(|job| ledger.contains_key(&job) && !adopted.contains(&job));
            let known = their.row.job.is_some_and(|job| ledger.contains_key(&job));
            let doubt = self.ledger.take_in(&their.row, &|_| told, now);
            if let (Some(reason), Some(name)) = (doubt, &their.row.dataset) {
                self.reasons.insert(name.clone(), reason.to_owned());
            }
            if let (Some(job), false) = (their.row.job, known) {
                self.adopted.extend(self.ledger.deleted_jobs.contains_key(&job).then_some(job));
            }
        }
        self.changed = changed;
    }

    fn forget_vanished_tombstones(&mut self, touched: &BTreeSet<Uuid>) {
        for (job, rows) in &self.tombstones {
            let is_gone =
                |row: &KeptRow| self.vanished.contains(&row.row_id) || touched.contains(&row.row_id);
            if rows.iter().all(is_gone) {
                self.ledger.tombstones.remove(job);
            }
        }
    }
}
