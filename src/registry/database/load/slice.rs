//! What a few datasets and jobs have to do with each other, read by index alone.
//!
//! Invariant: no statement here reads a whole table, and none grows with the number of datasets that the
//! unit of work does not name.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::read::{claim, deleted, hold, ids, kept_row, list, only_name, seen_dataset, seen_job, their_row};
use super::{KeptRow, Loaded, Scope, TheirRow};
use crate::registry::database::connection::Connection;
use crate::registry::database::statements::Statements;
use crate::retention::ownership::{JobId, OwnedName};

pub(super) async fn load(
    connection: &mut Connection,
    statements: &'static Statements,
    scope: &Scope<'_>,
    lock: bool,
    loaded: &mut Loaded,
) -> sqlx::Result<()> {
    let names = names_of(connection, statements, scope).await?;
    let names_list = list(&names.iter().map(|name| &*name.0).collect::<Vec<_>>());
    let jobs_list = ids(scope.jobs.iter().copied());
    let kept = connection.read(statements.kept_of, &[&names_list, &jobs_list], kept_row).await?;
    let kept_ids: Vec<String> = kept.iter().map(|row| row.row_id.to_string()).collect();
    let statement = if lock { statements.theirs_locked } else { statements.theirs_of };
    let theirs = connection.read(statement, &[&names_list, &list(&kept_ids)], their_row).await?;
    compare(&kept, theirs, &names, loaded);
    loaded.take_kept(kept);
    let claims = connection.read(statements.claims_of, &[&names_list], claim).await?;
    loaded.ledger.claims = claims.into_iter().collect();
    let jobs_list = ids(jobs_of(scope, loaded));
    loaded.take_deleted(connection.read(statements.deleted_of, &[&jobs_list], deleted).await?);
    let mut jobs = connection.read(statements.jobs_of, &[&jobs_list], seen_job).await?;
    if scope.running {
        jobs.extend(connection.read(statements.running_jobs, &[], seen_job).await?);
    }
    loaded.ledger.jobs = jobs.into_iter().collect();
    let datasets = connection.read(statements.datasets_of, &[&names_list], seen_dataset).await?;
    loaded.ledger.datasets = datasets.into_iter().collect();
    loaded.take_holds(connection.read(statements.holds_of, &[&names_list], hold).await?);
    Ok(())
}

async fn names_of(
    connection: &mut Connection,
    statements: &'static Statements,
    scope: &Scope<'_>,
) -> sqlx::Result<BTreeSet<OwnedName>> {
    let mut names = scope.datasets.clone();
    if !scope.jobs.is_empty() {
        let jobs = ids(scope.jobs.iter().copied());
        names.extend(connection.read(statements.claimed_by, &[&jobs], only_name).await?);
    }
    if scope.orphans {
        names.extend(connection.read(statements.orphans, &[], only_name).await?);
    }
    Ok(names)
}

/// What the rows of others name counts as well: one may have been changed to a job that was deleted.
fn jobs_of(scope: &Scope<'_>, loaded: &Loaded) -> BTreeSet<JobId> {
    let claimants = loaded.ledger.claims.iter().flat_map(|(_, claims)| claims.iter().map(|claim| claim.job));
    let of_rows = loaded.changed.iter().filter_map(|their| their.row.job);
    scope.jobs.iter().copied().chain(scope.live.iter().copied()).chain(claimants).chain(of_rows).collect()
}

/// Finds what is not as we left it. A row that now belongs to another dataset is left to the next check,
/// which sees everything; for its former dataset it has vanished.
fn compare(kept: &[KeptRow], theirs: Vec<TheirRow>, names: &BTreeSet<OwnedName>, loaded: &mut Loaded) {
    let by_id: BTreeMap<Uuid, &KeptRow> = kept.iter().map(|row| (row.row_id, row)).collect();
    let is_ours = |name: &OwnedName| names.contains(name);
    let in_scope = |their: &TheirRow| match &their.row.dataset {
        Some(name) => is_ours(name),
        None => by_id.contains_key(&their.row_id),
    };
    let theirs: Vec<TheirRow> = theirs.into_iter().filter(in_scope).collect();
    let standing: BTreeSet<Uuid> = theirs.iter().map(|their| their.row_id).collect();
    loaded.vanished = by_id.keys().copied().filter(|row_id| !standing.contains(row_id)).collect();
    let is_as_we_left_it = |their: &TheirRow| {
        by_id.get(&their.row_id).is_some_and(|kept| {
            (&kept.dataset, kept.job, kept.marked_at)
                == (&their.row.dataset, their.row.job, their.row.marked_at)
        })
    };
    loaded.changed = theirs.into_iter().filter(|their| !is_as_we_left_it(their)).collect();
}
