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
    datasets: BTreeMap<OwnedName, Option<i64>>,
    lists: VecDeque<ListTrouble>,
    drops: VecDeque<DropOutcome>,
    dropped: Vec<OwnedName>,
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
        self.contents().datasets.insert(name.clone(), Some(at));
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

fn listed((name, last_change): (&OwnedName, &Option<i64>)) -> ListedDataset {
    ListedDataset { name: name.clone(), last_change: *last_change, bytes: None }
}

#[async_trait]
impl OwnedStore for Memory {
    async fn identity(&self) -> Result<String> {
        Ok("memory".into())
    }

    async fn list(&self) -> Result<Vec<ListedDataset>> {
        let mut contents = self.contents();
        let trouble = contents.lists.pop_front().unwrap_or(ListTrouble::Works);
        let all = contents.datasets.iter().map(listed);
        match trouble {
            ListTrouble::Works => Ok(all.collect()),
            ListTrouble::Unreachable => Err(Problem::unreachable("the store in memory is out of reach")),
            ListTrouble::Nothing => Ok(Vec::new()),
            ListTrouble::Omits(name) => Ok(all.filter(|dataset| dataset.name != name).collect()),
        }
    }

    async fn look(&self, name: &OwnedName) -> Result<Option<ListedDataset>> {
        Ok(self.contents().datasets.get_key_value(name).map(listed))
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
