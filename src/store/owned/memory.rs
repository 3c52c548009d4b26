//! Owned datasets in memory: for speed, and for troubles that a real server cannot be asked for.
//!
//! It keeps the contract of the others: a list is complete or an error, an answer can be lost after the
//! work was done.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{DropTrouble, ListedDataset, OwnedStore};
use crate::problem::{Problem, Result};
use crate::retention::ownership::OwnedName;

/// A store whose contents the test holds as well.
#[derive(Clone, Default)]
pub struct Memory {
    shared: Arc<Mutex<Contents>>,
}

#[derive(Default)]
struct Contents {
    datasets: BTreeMap<OwnedName, Shown>,
    /// As a server counts: how many writes since which start.
    starts: u64,
    lists: VecDeque<ListTrouble>,
    drops: VecDeque<DropOutcome>,
    dropped: Vec<OwnedName>,
}

/// What the store tells of a dataset's writes.
#[derive(Debug, Clone, Copy)]
enum Shown {
    At(i64),
    Counted(u64),
}

/// What the next question for the list meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListTrouble {
    Works,
    Unreachable,
    /// A wrong instance that knows nothing.
    Nothing,
    /// This one is left out.
    Omits(OwnedName),
}

/// What the next drop meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DropOutcome {
    Works,
    /// Nothing is done.
    Refused,
    /// The work is not done, and nobody is told so.
    Lost,
    /// The work is done, but the answer is lost.
    DoneButLost,
}

impl Memory {
    /// A job writes now, at this instant (microseconds since 1970 UTC).
    pub fn write(&self, name: &OwnedName, at: i64) {
        self.contents().datasets.insert(name.clone(), Shown::At(at));
    }

    /// A job writes, and the store keeps no time of it but counts.
    pub fn count_write(&self, name: &OwnedName) {
        let mut contents = self.contents();
        let before = match contents.datasets.get(name) {
            Some(Shown::Counted(before)) => *before,
            _ => 0,
        };
        contents.datasets.insert(name.clone(), Shown::Counted(before + 1));
    }

    /// The counting begins anew.
    pub fn restart(&self) {
        let mut contents = self.contents();
        contents.starts += 1;
        for shown in contents.datasets.values_mut() {
            if let Shown::Counted(count) = shown {
                *count = 0;
            }
        }
    }

    /// Takes the place of another store that counted so far.
    pub fn go_on_from(&self, starts: u64, counts: impl IntoIterator<Item = (OwnedName, u64)>) {
        let mut contents = self.contents();
        contents.starts = starts;
        let counted = counts.into_iter().map(|(name, count)| (name, Shown::Counted(count)));
        contents.datasets.extend(counted);
    }

    /// How many writes were counted, where they are.
    pub fn counted(&self, name: &OwnedName) -> Option<u64> {
        match self.contents().datasets.get(name) {
            Some(Shown::Counted(count)) => Some(*count),
            _ => None,
        }
    }

    /// Somebody else drops it.
    pub fn vanish(&self, name: &OwnedName) {
        self.contents().datasets.remove(name);
    }

    pub fn next_lists(&self, troubles: impl IntoIterator<Item = ListTrouble>) {
        self.contents().lists.extend(troubles);
    }

    pub fn next_drops(&self, outcomes: impl IntoIterator<Item = DropOutcome>) {
        self.contents().drops.extend(outcomes);
    }

    pub fn holds_data_of(&self, name: &OwnedName) -> bool {
        self.contents().datasets.contains_key(name)
    }

    /// Every drop that was done, in its order.
    pub fn dropped(&self) -> Vec<OwnedName> {
        self.contents().dropped.clone()
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    fn listed(&self, name: &OwnedName, shown: Shown) -> ListedDataset {
        let (last_change, change_token) = match shown {
            Shown::At(at) => (Some(at), None),
            Shown::Counted(count) => (None, Some(format!("{}:{count}", self.starts).into())),
        };
        ListedDataset { name: name.clone(), last_change, change_token, bytes: None }
    }
}

#[async_trait]
impl OwnedStore for Memory {
    async fn identity(&self) -> Result<String> {
        Ok("memory".into())
    }

    async fn list(&self) -> Result<Vec<ListedDataset>> {
        let mut contents = self.contents();
        let trouble = contents.lists.pop_front().unwrap_or(ListTrouble::Works);
        let all = contents.datasets.iter().map(|(name, shown)| contents.listed(name, *shown));
        match trouble {
            ListTrouble::Works => Ok(all.collect()),
            ListTrouble::Unreachable => Err(Problem::unreachable("the store in memory is out of reach")),
            ListTrouble::Nothing => Ok(Vec::new()),
            ListTrouble::Omits(name) => Ok(all.filter(|dataset| dataset.name != name).collect()),
        }
    }

    async fn look(&self, name: &OwnedName) -> Result<Option<ListedDataset>> {
        let contents = self.contents();
        Ok(contents.datasets.get(name).map(|shown| contents.listed(name, *shown)))
    }

    async fn drop_dataset(&self, name: &OwnedName) -> std::result::Result<(), DropTrouble> {
        let mut contents = self.contents();
        let outcome = contents.drops.pop_front().unwrap_or(DropOutcome::Works);
        let lost = || Err(DropTrouble::Unknown("the connection broke".into()));
        match outcome {
            DropOutcome::Refused => {
                return Err(DropTrouble::Refused { message: "not now".into(), hint: None });
            }
            DropOutcome::Lost => return lost(),
            DropOutcome::Works | DropOutcome::DoneButLost => {}
        }
        if contents.datasets.remove(name).is_some() {
            contents.dropped.push(name.clone());
        }
        if outcome == DropOutcome::DoneButLost { lost() } else { Ok(()) }
    }

    async fn advice(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}
