//! What a check has to know: everything that is there, and of what has gone only what may come back.
//!
//! Claims, deletions and jobs are kept for years, and a check reads none of those whose dataset has neither
//! a row nor a place in the store's list. Invariant: every dataset that is decided on is loaded closed, as
//! in a slice; tombstones are loaded where a row of others concerns their job.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::read::{claim, deleted, hold, ids, kept_row, list, seen_dataset, seen_job};
use super::{KeptRow, Loaded, compare};
use crate::registry::database::connection::{Columns, Connection};
use crate::registry::database::statements::Statements;
use crate::retention::ownership::check::Inventory;
use crate::retention::ownership::{JobId, OwnedName, SeenDataset};

pub(super) async fn load(
    connection: &mut Connection,
    statements: &'static Statements,
    inventory: &Inventory,
    loaded: &mut Loaded,
) -> sqlx::Result<()> {
    let mut known = Known::of(inventory);
    let tombstones = compare(connection, statements, loaded).await?;
    let kept = |row: &dyn Columns| {
        let kept = kept_row(row)?;
        Ok(KeptRow { dataset: kept.dataset.map(|name| known.name(name)), ..kept })
    };
    loaded.take_kept(connection.read(statements.kept_of_datasets, &[], kept).await?);
    let shared = |row: &dyn Columns| claim(row).map(|(name, claim)| (known.name(name), claim));
    let mut claims = connection.read(statements.claims_with_rows, &[], shared).await?;
    let names = without_row(inventory, loaded);
    let mut jobs: BTreeSet<JobId> = loaded.changed.iter().filter_map(|their| their.row.job).collect();
    jobs.extend(tombstones);
    jobs.extend(inventory.live_jobs.iter().map(|live| live.job));
    if !names.is_empty() {
        let found = connection.read(statements.claims_of, &[&list(&names)], claim).await?;
        jobs.extend(found.iter().map(|(_, claim)| claim.job));
        claims.extend(found);
    }
    loaded.ledger.claims = claims.into_iter().collect();
    load_jobs(connection, statements, &jobs, loaded).await?;
    let seen = |row: &dyn Columns| seen_dataset(row).map(|(name, seen)| known.seen(name, seen));
    let datasets = connection.read(statements.all_datasets, &[], seen).await?;
    loaded.ledger.datasets = datasets.into_iter().collect();
    loaded.take_holds(connection.read(statements.all_holds, &[], hold).await?);
    Ok(())
}

/// The names and tokens of the store's list: what the database has of them is the same text as a rule, and is
/// not kept a second time.
struct Known(HashMap<OwnedName, Option<Arc<str>>>);

impl Known {
    fn of(inventory: &Inventory) -> Self {
        let listed = inventory.datasets.iter();
        Self(listed.map(|sighting| (sighting.name.clone(), sighting.change_token.clone())).collect())
    }

    fn name(&mut self, name: OwnedName) -> OwnedName {
        if let Some((known, _)) = self.0.get_key_value(&name) {
            return known.clone();
        }
        self.0.insert(name.clone(), None);
        name
    }

    fn seen(&mut self, name: OwnedName, mut seen: SeenDataset) -> (OwnedName, SeenDataset) {
        if let Some(token) = self.0.get(&name).filter(|token| **token == seen.change_token) {
            seen.change_token.clone_from(token);
        }
        (self.name(name), seen)
    }
}

/// What the store lists or others registered, and what we keep no row of.
fn without_row<'a>(inventory: &'a Inventory, loaded: &'a Loaded) -> Vec<&'a str> {
    let listed = inventory.datasets.iter().map(|sighting| &sighting.name);
    let of_others = loaded.changed.iter().filter_map(|their| their.row.dataset.as_ref());
    let unknown = |name: &&OwnedName| !loaded.kept.contains_key(*name);
    listed.chain(of_others).filter(unknown).map(|name| &*name.0).collect()
}

async fn load_jobs(
    connection: &mut Connection,
    statements: &'static Statements,
    jobs: &BTreeSet<JobId>,
    loaded: &mut Loaded,
) -> sqlx::Result<()> {
    let mut gone = connection.read(statements.deleted_with_rows, &[], deleted).await?;
    let mut seen = connection.read(statements.running_jobs, &[], seen_job).await?;
    // That a list of running jobs was ever kept is seen from one of them.
    seen.extend(connection.read(statements.listed_job, &[], seen_job).await?);
    if !jobs.is_empty() {
        let jobs = ids(jobs.iter().copied());
        loaded.take_tombstones(connection.read(statements.kept_of, &["[]", &jobs], kept_row).await?);
        gone.extend(connection.read(statements.deleted_of, &[&jobs], deleted).await?);
        seen.extend(connection.read(statements.jobs_of, &[&jobs], seen_job).await?);
    }
    loaded.take_deleted(gone);
    loaded.ledger.jobs = seen.into_iter().collect();
    Ok(())
}
