//! Who reported success with which dataset: looked up by dataset and by job alike.
//!
//! Claims are only ever added. Invariant: both directions hold the same claims, and the claims of a dataset
//! stand in the order in which they were made.

use std::collections::{BTreeMap, BTreeSet};

use super::{JobId, OwnedName};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    by_dataset: BTreeMap<OwnedName, Vec<Claim>>,
    by_job: BTreeSet<(JobId, OwnedName)>,
}

/// Ordered by its instant, then by its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// Microseconds since 1970 UTC.
    pub at: i64,
    pub job: JobId,
}

impl Claims {
    /// Adds a claim and says whether it is new; one that is there keeps its instant.
    pub fn insert(&mut self, dataset: &OwnedName, job: JobId, at: i64) -> bool {
        if !self.by_job.insert((job, dataset.clone())) {
            return false;
        }
        let claim = Claim { at, job };
        match self.by_dataset.get_mut(dataset) {
            Some(claims) => claims.insert(claims.partition_point(|other| *other < claim), claim),
            None => _ = self.by_dataset.insert(dataset.clone(), vec![claim]),
        }
        true
    }

    /// The claims of a dataset, the newest last.
    pub fn of(&self, dataset: &OwnedName) -> &[Claim] {
        self.by_dataset.get(dataset).map_or(&[], Vec::as_slice)
    }

    /// The datasets that a job claimed.
    pub fn by(&self, job: JobId) -> impl Iterator<Item = &OwnedName> {
        let from = (job, OwnedName("".into()));
        self.by_job.range(from..).take_while(move |(claimant, _)| *claimant == job).map(|(_, name)| name)
    }

    pub fn contains(&self, dataset: &OwnedName) -> bool {
        self.by_dataset.contains_key(dataset)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&OwnedName, &[Claim])> {
        self.by_dataset.iter().map(|(name, claims)| (name, claims.as_slice()))
    }
}

impl FromIterator<(OwnedName, Claim)> for Claims {
    fn from_iter<T: IntoIterator<Item = (OwnedName, Claim)>>(claims: T) -> Self {
        let mut all: Vec<(OwnedName, Claim)> = claims.into_iter().collect();
        // Of the same claim, the first one stays.
        all.sort_by(|(one, a), (other, b)| (one, a.job).cmp(&(other, b.job)));
        all.dedup_by(|(one, a), (other, b)| (&*one, a.job) == (&*other, b.job));
        let by_job = all.iter().map(|(name, claim)| (claim.job, name.clone())).collect();
        let of_one = |of_one: &[(OwnedName, Claim)]| {
            let mut claims: Vec<Claim> = of_one.iter().map(|(_, claim)| *claim).collect();
            claims.sort_unstable();
            (of_one[0].0.clone(), claims)
        };
        Self { by_dataset: all.chunk_by(|(one, _), (other, _)| one == other).map(of_one).collect(), by_job }
    }
}
