//! What the suite needs of a store: datasets that somebody else makes and writes.

use std::sync::Arc;

use async_trait::async_trait;
use timesweep::retention::ownership::OwnedName;
use timesweep::store::owned::{ListedDataset, OwnedStore};

use crate::tcp_proxy::TcpProxy;

#[async_trait]
pub trait Ground: Send + Sync {
    fn store(&self) -> Arc<dyn OwnedStore>;

    /// What every dataset of this test begins with: others may use the server as well.
    fn prefix(&self) -> String;

    /// A dataset with a little data in it.
    async fn create(&self, name: &OwnedName);

    async fn write(&self, name: &OwnedName);

    /// Where it is gone.
    async fn create_again(&self, name: &OwnedName) {
        if self.store().look(name).await.expect("a look").is_none() {
            self.create(name).await;
        }
    }

    /// False where the store refuses such a name itself.
    fn allows(&self, name: &OwnedName) -> bool;

    /// The same store behind a proxy; nothing where there is no network in between.
    async fn behind_proxy(&self) -> Option<(Arc<dyn OwnedStore>, TcpProxy)>;

    /// The same store for somebody who knows nothing of it yet.
    fn another_process(&self) -> Arc<dyn OwnedStore>;

    /// A store of this kind where nobody answers.
    async fn unreachable(&self) -> Arc<dyn OwnedStore>;
}

/// A name of this test.
pub fn named(ground: &dyn Ground, rest: &str) -> OwnedName {
    OwnedName(format!("{}{rest}", ground.prefix()).into())
}

/// What the store lists of this test's datasets, sorted.
pub async fn ours(ground: &dyn Ground, store: &dyn OwnedStore) -> Vec<ListedDataset> {
    let mut listed = store.list().await.expect("a list");
    listed.retain(|dataset| dataset.name.0.starts_with(&ground.prefix()));
    listed.sort_by(|one, other| one.name.cmp(&other.name));
    listed
}

pub async fn our_names(ground: &dyn Ground) -> Vec<OwnedName> {
    ours(ground, ground.store().as_ref()).await.into_iter().map(|dataset| dataset.name).collect()
}
