//! Lists of what is known, a page at a time, and what is known of a few datasets and jobs alone.
//!
//! Here is what each of them means, on a whole ledger; a database reads no more of its tables than that
//! takes. Names stand in the order of their bytes. Invariant: a page holds what the same list of the whole
//! ledger holds there, and nothing of it depends on what is not on the page.

use std::collections::BTreeSet;

use crate::retention::ownership::{JobId, Ledger, OwnedName};

/// Which datasets are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// Whatever there is a word about.
    Known,
    Marked,
    /// By a hold that is in force.
    Held,
}

/// The next names, and what is known of them; the ledger may hold more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    pub names: Vec<OwnedName>,
    pub ledger: Ledger,
}

impl Listed {
    pub(super) fn has(self, ledger: &Ledger, name: &OwnedName, now: i64) -> bool {
        match self {
            Self::Known => {
                ledger.datasets.contains_key(name)
                    || ledger.rows.contains_key(name)
                    || ledger.claims.contains(name)
                    || ledger.holds.contains_key(name)
            }
            Self::Marked => ledger.rows.get(name).is_some_and(|row| row.mark.is_some()),
            Self::Held => ledger.holds.get(name).is_some_and(|until| until.is_none_or(|until| now < until)),
        }
    }
}

/// What the whole ledger holds of these.
pub fn about(whole: &Ledger, datasets: &[OwnedName], jobs: &[JobId]) -> Ledger {
    let claimed = jobs.iter().flat_map(|job| whole.claims.by(*job));
    let names: BTreeSet<&OwnedName> = datasets.iter().chain(claimed).collect();
    let mut part = Ledger { checked_at: whole.checked_at, ..Ledger::default() };
    let mut jobs: BTreeSet<JobId> = jobs.iter().copied().collect();
    part.tombstones.extend(jobs.iter().filter_map(|job| Some((*job, *whole.tombstones.get(job)?))));
    for name in names {
        let of = |name: &OwnedName| name.clone();
        part.rows.extend(whole.rows.get(name).map(|row| (of(name), row.clone())));
        part.datasets.extend(whole.datasets.get(name).map(|seen| (of(name), seen.clone())));
        part.holds.extend(whole.holds.get(name).map(|until| (of(name), *until)));
        for claim in whole.claims.of(name) {
            part.claims.insert(name, claim.job, claim.at);
            jobs.insert(claim.job);
        }
    }
    part.deleted_jobs.extend(jobs.iter().filter_map(|job| Some((*job, *whole.deleted_jobs.get(job)?))));
    part.jobs.extend(jobs.iter().filter_map(|job| Some((*job, *whole.jobs.get(job)?))));
    part
}

/// At most `limit` names behind `after`.
pub fn page(whole: &Ledger, listed: Listed, after: Option<&str>, limit: usize, now: i64) -> Page {
    let seen = whole.datasets.keys().chain(whole.rows.keys()).chain(whole.holds.keys());
    let all: BTreeSet<&OwnedName> = seen.chain(whole.claims.iter().map(|(name, _)| name)).collect();
    let is_behind = |name: &OwnedName| after.is_none_or(|after| &*name.0 > after);
    let of_list = all.into_iter().filter(|name| is_behind(name) && listed.has(whole, name, now));
    let names: Vec<OwnedName> = of_list.take(limit).cloned().collect();
    Page { ledger: about(whole, &names, &[]), names }
}

/// Deleted jobs whose result has not come, with the instant of their deletion: at most `limit`, by the text of their ids.
pub fn tombstones(whole: &Ledger, after: Option<&str>, limit: usize) -> Vec<(JobId, i64)> {
    let is_behind = |job: &JobId| after.is_none_or(|after| job.0.to_string().as_str() > after);
    let found = whole.tombstones.iter().filter(|(job, _)| is_behind(job));
    found.take(limit).map(|(job, at)| (*job, *at)).collect()
}
