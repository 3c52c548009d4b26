//! What a unit of work changed, as rows to write.
//!
//! Nothing here decides: a row of `esdl_time_series_info` is what the ledger has for its dataset or
//! tombstone. Invariant: a change names the content that it was decided on, and a tombstone whose job
//! reported its dataset becomes the row of that dataset.

mod rows;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use uuid::Uuid;

pub(super) use rows::Rows;
use rows::{DeletedJob, Expected, Hold, Insert, Kept, KnownDataset, KnownJob, NewClaim, Unread, Update};

use super::load::{KeptRow, Loaded, UNREAD};
use crate::retention::ownership::{JobId, Ledger, OwnedName, Row, SeenJob};

/// Jobs that the reason of a hold names.
const NAMED: usize = 3;

/// JSON rows for the statements of the same names.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub claims: Rows,
    pub deleted: Rows,
    pub undeleted: Rows,
    pub jobs: Rows,
    pub datasets: Rows,
    pub datasets_gone: Rows,
    pub holds: Rows,
    pub holds_gone: Rows,
    pub unread: Rows,
    pub unread_gone: Rows,
    pub kept: Rows,
    pub kept_gone: Rows,
    pub inserted: Rows,
    pub updated: Rows,
    pub removed: Rows,
    /// Tombstones: gone is as good as removed.
    pub tombstones_removed: Rows,
    pub checked_at: Option<i64>,
}

/// What stands in `esdl_time_series_info`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Standing {
    row_id: Uuid,
    dataset: Option<OwnedName>,
    job: Option<JobId>,
    marked_at: Option<i64>,
}

pub(super) fn changes(loaded: &Loaded) -> Changes {
    let mut changes = Changes { checked_at: loaded.checked_at, ..Changes::default() };
    facts(loaded, &mut changes);
    rows(loaded, &mut changes);
    changes
}

/// Everything that only we keep.
fn facts(loaded: &Loaded, changes: &mut Changes) {
    let (before, after) = (&loaded.before, &loaded.ledger);
    changes.claims = new_claims(loaded);
    for (job, at) in &after.deleted_jobs {
        let adopted = loaded.adopted.contains(job);
        if before.deleted_jobs.get(job) != Some(at) || loaded.confirmed.contains(job) {
            changes.deleted.push(DeletedJob { job: job.0, at: *at, adopted });
        }
    }
    changes.undeleted = gone(&before.deleted_jobs, &after.deleted_jobs, |job| job.0);
    changes.jobs = new(&before.jobs, &after.jobs, |job, seen| {
        let SeenJob { first_seen, age_from, ended } = *seen;
        KnownJob { job: job.0, first_seen, age_from, ended }
    });
    changes.datasets = new(&before.datasets, &after.datasets, |name, seen| KnownDataset {
        dataset: &name.0,
        first_seen: seen.first_seen,
        last_change: seen.last_change,
        change_token: seen.change_token.as_deref(),
        absent_since: seen.absent_since,
    });
    changes.datasets_gone = gone(&before.datasets, &after.datasets, |name| &*name.0);
    changes.holds = holds(loaded);
    changes.holds_gone = gone(&before.holds, &after.holds, |name| &*name.0);
    changes.unread = new(&before.unread, &after.unread, |job, result| Unread {
        job: job.0,
        since: result.since,
        at: result.at,
    });
    changes.unread_gone = gone(&before.unread, &after.unread, |job| job.0);
}

/// A hold that was there may only have got another reason.
fn holds(loaded: &Loaded) -> Rows {
    let with_reason = |ledger: &Ledger| -> BTreeMap<OwnedName, (Option<i64>, bool)> {
        let is_unread = |name| ledger.unread_holds.contains(name);
        ledger.holds.iter().map(|(name, until)| (name.clone(), (*until, is_unread(name)))).collect()
    };
    new(&with_reason(&loaded.before), &with_reason(&loaded.ledger), |name, (until, is_unread)| {
        let recorded = loaded.reasons.get(name).filter(|reason| reason.starts_with(UNREAD) == *is_unread);
        let reason = match recorded {
            Some(reason) if *is_unread || until.is_none() => Some(reason.clone()),
            _ => is_unread.then(|| unread_reason(loaded)),
        };
        Hold { dataset: &name.0, until: *until, reason }
    })
}

/// With the jobs whose data it may be; what a check has looked for is forgotten by then.
fn unread_reason(loaded: &Loaded) -> String {
    let jobs: BTreeSet<String> =
        loaded.before.unread.keys().chain(loaded.ledger.unread.keys()).map(|job| job.0.to_string()).collect();
    let named: Vec<&str> = jobs.iter().take(NAMED).map(String::as_str).collect();
    match (named.is_empty(), jobs.len().saturating_sub(NAMED)) {
        (true, _) => UNREAD.to_owned(),
        (false, 0) => {
            format!("{UNREAD}: its output ESDL has no id that can be read; job {}", named.join(", "))
        }
        (false, more) => format!(
            "{UNREAD}: their output ESDLs have no id that can be read; jobs {} and {more} more",
            named.join(", ")
        ),
    }
}

fn new<'a, K: Ord, V: PartialEq, T: Serialize>(
    before: &BTreeMap<K, V>,
    after: &'a BTreeMap<K, V>,
    row: impl Fn(&'a K, &'a V) -> T,
) -> Rows {
    let mut earlier = before.iter().peekable();
    // Both are in the same order, so nobody searches for each.
    let changed = after.iter().filter(|(key, value)| {
        while earlier.next_if(|(other, _)| other < key).is_some() {}
        earlier.next_if(|(other, _)| other == key).is_none_or(|(_, before)| before != *value)
    });
    changed.map(|(key, value)| row(key, value)).collect()
}

fn gone<'a, K: Ord, V, T: Serialize>(
    before: &'a BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
    row: impl Fn(&'a K) -> T,
) -> Rows {
    before.keys().filter(|key| !after.contains_key(*key)).map(row).collect()
}

fn new_claims(loaded: &Loaded) -> Rows {
    let (before, after) = (&loaded.before.claims, &loaded.ledger.claims);
    let of = |name| {
        let known = before.of(name);
        let new = after.of(name).iter().filter(move |claim| !known.contains(claim));
        new.map(move |claim| NewClaim { dataset: &name.0, job: claim.job.0, at: claim.at })
    };
    if loaded.whole {
        let names: BTreeSet<&OwnedName> =
            loaded.changed.iter().filter_map(|their| their.row.dataset.as_ref()).collect();
        return names.into_iter().flat_map(of).collect();
    }
    after.iter().flat_map(|(name, _)| of(name)).collect()
}

/// The rows of `esdl_time_series_info`, and what we remember of them.
fn rows(loaded: &Loaded, changes: &mut Changes) {
    let overridden: BTreeMap<&OwnedName, Standing> = loaded
        .changed
        .iter()
        .filter_map(|their| {
            let name = their.row.dataset.as_ref()?;
            let (dataset, job, marked_at) = (Some(name.clone()), their.row.job, their.row.marked_at);
            Some((name, Standing { row_id: their.row_id, dataset, job, marked_at }))
        })
        .collect();
    let moved: BTreeSet<Uuid> = loaded.changed.iter().map(|their| their.row_id).collect();
    let standing = |name: &OwnedName| {
        overridden.get(name).cloned().or_else(|| {
            let kept = loaded.kept.get(name)?;
            let is_there = !loaded.vanished.contains(&kept.row_id) && !moved.contains(&kept.row_id);
            is_there.then(|| Standing::of(kept))
        })
    };
    let mut free = free_tombstones(loaded, &moved, changes);
    let is_touched = |name: &OwnedName, row_id: &Uuid| {
        overridden.contains_key(name) || loaded.vanished.contains(row_id) || moved.contains(row_id)
    };
    for (name, row) in &loaded.ledger.rows {
        // Nearly all of them, as a rule.
        let same = loaded.kept.get(name).is_some_and(|kept| {
            !is_touched(name, &kept.row_id) && loaded.to_keep(kept.row_id, name, row, Some(kept)) == *kept
        });
        if !same {
            put_row(loaded, name, row, standing(name), &mut free, changes);
        }
    }
    let appeared = overridden.keys().copied().filter(|name| !loaded.kept.contains_key(*name));
    let all = loaded.kept.keys().chain(appeared);
    for name in all.filter(|name| !loaded.ledger.rows.contains_key(*name)) {
        if let Some(standing) = standing(name) {
            changes.kept_gone.push(standing.row_id);
            changes.removed.push(standing.expected());
        }
    }
    forget_moved(loaded, &overridden, &moved, changes);
    changes.tombstones_removed.extend(free.values().map(Standing::expected));
    changes.kept_gone.extend(free.values().map(|standing| standing.row_id));
    put_tombstones(loaded, &moved, changes);
}

fn put_row(
    loaded: &Loaded,
    name: &OwnedName,
    row: &Row,
    standing: Option<Standing>,
    free: &mut BTreeMap<JobId, Standing>,
    changes: &mut Changes,
) {
    let kept = loaded.kept.get(name);
    let standing = standing.or_else(|| free.remove(&row.job?));
    let row_id = standing.as_ref().map_or_else(Uuid::now_v7, |standing| standing.row_id);
    let now_kept = loaded.to_keep(row_id, name, row, kept);
    let wanted = Standing::of(&now_kept);
    match standing {
        None => changes.inserted.push(wanted.to_insert(loaded.now)),
        Some(standing) if standing != wanted => changes.updated.push(wanted.to_update(&standing)),
        Some(_) => {}
    }
    if kept != Some(&now_kept) {
        changes.kept.push(Kept::of(&now_kept));
    }
}

/// What we remember of rows that others removed, or replaced by another.
fn forget_moved(
    loaded: &Loaded,
    overridden: &BTreeMap<&OwnedName, Standing>,
    moved: &BTreeSet<Uuid>,
    changes: &mut Changes,
) {
    for (name, kept) in &loaded.kept {
        let is_replaced = overridden.get(name).is_some_and(|standing| standing.row_id != kept.row_id);
        let is_elsewhere = !overridden.contains_key(name) && moved.contains(&kept.row_id);
        if loaded.vanished.contains(&kept.row_id) || is_replaced || is_elsewhere {
            changes.kept_gone.push(kept.row_id);
        }
    }
    let is_gone = |row: &&KeptRow| loaded.vanished.contains(&row.row_id) || moved.contains(&row.row_id);
    let tombstones = loaded.tombstones.values().flatten().filter(is_gone);
    changes.kept_gone.extend(tombstones.map(|row| row.row_id));
}

/// Tombstones that are none any more, one for each job; others of the same job are removed.
fn free_tombstones(
    loaded: &Loaded,
    moved: &BTreeSet<Uuid>,
    changes: &mut Changes,
) -> BTreeMap<JobId, Standing> {
    let mut free = BTreeMap::new();
    let over = loaded.tombstones.iter().filter(|(job, _)| !loaded.ledger.tombstones.contains_key(job));
    for (job, rows) in over {
        let is_there =
            |row: &&KeptRow| !loaded.vanished.contains(&row.row_id) && !moved.contains(&row.row_id);
        for row in rows.iter().filter(is_there) {
            if let Some(other) = free.insert(*job, Standing::of(row)) {
                changes.tombstones_removed.push(other.expected());
                changes.kept_gone.push(other.row_id);
            }
        }
    }
    // One that others wrote and that this very unit made superfluous.
    for their in &loaded.changed {
        let FoundTombstone(job) = tombstone(their.row.dataset.as_ref(), their.row.job, their.row.marked_at);
        let Some(job) = job.filter(|job| !loaded.ledger.tombstones.contains_key(job)) else { continue };
        let standing =
            Standing { row_id: their.row_id, dataset: None, job: Some(job), marked_at: their.row.marked_at };
        changes.tombstones_removed.push(standing.expected());
    }
    free
}

struct FoundTombstone(Option<JobId>);

fn tombstone(dataset: Option<&OwnedName>, job: Option<JobId>, marked_at: Option<i64>) -> FoundTombstone {
    FoundTombstone(job.filter(|_| dataset.is_none() && marked_at.is_some()))
}

fn put_tombstones(loaded: &Loaded, moved: &BTreeSet<Uuid>, changes: &mut Changes) {
    let mut covered: BTreeSet<JobId> = BTreeSet::new();
    for their in &loaded.changed {
        let FoundTombstone(job) = tombstone(their.row.dataset.as_ref(), their.row.job, their.row.marked_at);
        let Some(job) = job.filter(|job| loaded.ledger.tombstones.contains_key(job)) else { continue };
        covered.insert(job);
        changes.kept.push(Kept::of_tombstone(their.row_id, job, their.row.marked_at));
    }
    for (job, at) in &loaded.ledger.tombstones {
        let is_there = |row: &KeptRow| !loaded.vanished.contains(&row.row_id) && !moved.contains(&row.row_id);
        let is_covered =
            covered.contains(job) || loaded.tombstones.get(job).is_some_and(|rows| rows.iter().any(is_there));
        if !is_covered {
            let row_id = Uuid::now_v7();
            let wanted = Standing { row_id, dataset: None, job: Some(*job), marked_at: Some(*at) };
            changes.inserted.push(wanted.to_insert(loaded.now));
            changes.kept.push(Kept::of_tombstone(row_id, *job, Some(*at)));
        }
    }
}

impl Standing {
    fn of(kept: &KeptRow) -> Self {
        let KeptRow { row_id, dataset, job, marked_at, .. } = kept;
        Self { row_id: *row_id, dataset: dataset.clone(), job: *job, marked_at: *marked_at }
    }

    fn name(&self) -> Option<&str> {
        self.dataset.as_ref().map(|name| &*name.0)
    }

    fn job(&self) -> Option<Uuid> {
        self.job.map(|job| job.0)
    }

    fn to_insert(&self, now: i64) -> Insert<'_> {
        let (row_id, marked_at) = (self.row_id, self.marked_at);
        Insert { row_id, dataset: self.name(), now, marked_at, job: self.job() }
    }

    fn to_update<'a>(&'a self, old: &'a Self) -> Update<'a> {
        Update { dataset: self.name(), marked_at: self.marked_at, job: self.job(), old: old.expected() }
    }

    fn expected(&self) -> Expected<'_> {
        let (row_id, old_marked_at) = (self.row_id, self.marked_at);
        Expected { row_id, old_dataset: self.name(), old_marked_at, old_job: self.job() }
    }
}

impl Loaded {
    fn to_keep(&self, row_id: Uuid, name: &OwnedName, row: &Row, kept: Option<&KeptRow>) -> KeptRow {
        let mark = row.mark.as_ref();
        let first_look = mark.and_then(|mark| mark.seen).map(|(first, _)| first);
        let number = self.check.number + i64::from(self.checked_at.is_some());
        let same_mark =
            |kept: &&KeptRow| kept.first_look == first_look && kept.marked_at == mark.map(|mark| mark.at);
        let known = kept.filter(same_mark).and_then(|kept| kept.first_check);
        KeptRow {
            row_id,
            dataset: Some(name.clone()),
            job: row.job,
            marked_at: mark.map(|mark| mark.at),
            first_look,
            first_check: first_look.map(|_| known.unwrap_or(number)),
        }
    }
}

impl<'a> Kept<'a> {
    fn of(kept: &'a KeptRow) -> Self {
        let KeptRow { row_id, dataset, job, marked_at, first_look, first_check } = kept;
        Self {
            row_id: *row_id,
            dataset: dataset.as_ref().map(|name| &*name.0),
            job: job.map(|job| job.0),
            marked_at: *marked_at,
            first_look: *first_look,
            first_check: *first_check,
        }
    }

    fn of_tombstone(row_id: Uuid, job: JobId, marked_at: Option<i64>) -> Self {
        Self { row_id, dataset: None, job: Some(job.0), marked_at, first_look: None, first_check: None }
    }
}
