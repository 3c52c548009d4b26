//! The ground in memory.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use timesweep::retention::ownership::OwnedName;
use timesweep::store::owned::OwnedStore;
use timesweep::store::owned::memory::{ListTrouble, Memory};

use super::ground::Ground;
use crate::tcp_proxy::TcpProxy;

pub struct InMemory(Memory);

impl InMemory {
    pub fn new() -> Self {
        Self(Memory::default())
    }
}

#[async_trait]
impl Ground for InMemory {
    fn store(&self) -> Arc<dyn OwnedStore> {
        Arc::new(self.0.clone())
    }

    fn prefix(&self) -> String {
        "t_".into()
    }

    async fn create(&self, name: &OwnedName) {
        self.write(name).await;
    }

    async fn write(&self, name: &OwnedName) {
        self.0.write(name, Timestamp::now().as_microsecond());
    }

    fn allows(&self, _name: &OwnedName) -> bool {
        true
    }

    async fn behind_proxy(&self) -> Option<(Arc<dyn OwnedStore>, TcpProxy)> {
        None
    }

    fn another_process(&self) -> Arc<dyn OwnedStore> {
        self.store()
    }

    async fn unreachable(&self) -> Arc<dyn OwnedStore> {
        let store = Memory::default();
        store.next_lists([ListTrouble::Unreachable]);
        Arc::new(store)
    }
}
