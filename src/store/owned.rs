//! A store whose datasets are owned by jobs: list them all, look at one, drop one.
//!
//! Which of them may go is decided elsewhere. Invariant: a list is complete or an error, never a part;
//! a drop answers "gone" only after the store was asked again and did not list it.

use std::sync::Arc;

use async_trait::async_trait;

use crate::problem::Result;
use crate::retention::ownership::OwnedName;
use crate::retention::ownership::sighting::Sighting;

pub mod memory;

/// A dataset as the store shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedDataset {
    pub name: OwnedName,
    /// The last write that the store can show, microseconds since 1970 UTC.
    pub last_change: Option<i64>,
    /// Of a store that keeps no times: the same as long as nobody can have written, whoever asks. What the
    /// store forgets (a restart, a reset of its counters) makes it another one.
    pub change_token: Option<Arc<str>>,
    /// Where the store can tell.
    pub bytes: Option<u64>,
}

impl ListedDataset {
    pub fn sighting(&self) -> Sighting {
        let Self { name, last_change, change_token, .. } = self.clone();
        Sighting { name, last_change, change_token }
    }
}

#[async_trait]
pub trait OwnedStore: Send + Sync {
    /// What this store calls itself, the same as long as it is the same store (for journal and reports).
    async fn identity(&self) -> Result<String>;

    /// Every dataset, completely, or an error. What nobody may ever touch (`never`) is not in it.
    async fn list(&self) -> Result<Vec<ListedDataset>>;

    /// One dataset as it is now; `None` when it is not there.
    async fn look(&self, name: &OwnedName) -> Result<Option<ListedDataset>>;

    /// Whether a look costs as much as the list, because the store cannot be asked for one alone.
    fn looks_at_all(&self) -> bool {
        false
    }

    /// Drops one dataset and asks the store again. One that was not there is gone as well.
    async fn drop_dataset(&self, name: &OwnedName) -> std::result::Result<(), DropTrouble>;

    /// What `check` should tell about this store.
    async fn advice(&self) -> Result<Vec<String>>;
}

/// Why a dataset is not known to be gone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DropTrouble {
    /// Nothing was dropped, and the next pass may try again.
    #[error("{message}")]
    Refused { message: String, hint: Option<String> },
    /// Nobody knows whether it was dropped: the answer was lost.
    #[error("the answer was lost: {0}")]
    Unknown(String),
}
