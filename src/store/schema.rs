//! One schema for each dataset, in PostgreSQL with or without TimescaleDB: it goes whole, by
//! `DROP SCHEMA … CASCADE` in one transaction.
//!
//! Never listed and never dropped are the server's own schemas, `public`, those of extensions, and those
//! that the configuration names. Invariant: nothing outside of the schema goes with it but the chunks of
//! its own hypertables.

use async_trait::async_trait;

use crate::config::{ExecutionSettings, StoreConfig};
use crate::problem::Result;
use crate::retention::ownership::OwnedName;

use super::owned::{DropTrouble, ListedDataset, OwnedStore};
use super::postgres::Server;
use super::postgres::idle::Idle;
use super::postgres::limits::{Limits, no_answer};

mod dependents;
mod drop;
mod list;

pub struct Schemas {
    server: Server,
    idle: Idle,
    never: Vec<String>,
    execution: ExecutionSettings,
}

impl Schemas {
    pub fn new(config: &StoreConfig) -> Result<Self> {
        let server = Server::new(&config.connection, Limits::default())?;
        Ok(Self {
            idle: Idle::new(server.clone()),
            server,
            never: config.never.clone(),
            execution: config.execution,
        })
    }

    fn may_touch(&self, name: &OwnedName) -> bool {
        self.never.iter().all(|never| **never != *name.0)
    }

    async fn read(&self, only: Option<&OwnedName>) -> Result<Vec<ListedDataset>> {
        let mut session = self.idle.take("reader").await?;
        let mut snapshot = list::read(&mut session, only).await?;
        self.idle.give_back(session);
        snapshot.schemas.retain(|name| self.may_touch(name));
        Ok(snapshot.listed())
    }
}

#[async_trait]
impl OwnedStore for Schemas {
    async fn identity(&self) -> Result<String> {
        let asking = async {
            let mut session = self.idle.take("reader").await?;
            let identity = list::identity(&mut session).await?;
            self.idle.give_back(session);
            Ok(identity)
        };
        self.server.within(self.server.limits().look, "ask which database it is", asking).await
    }

    async fn list(&self) -> Result<Vec<ListedDataset>> {
        let asking = self.read(None);
        self.server.within(self.server.limits().work, "read what is in the database", asking).await
    }

    async fn look(&self, name: &OwnedName) -> Result<Option<ListedDataset>> {
        // No schema has such a name, and the server would not even take it.
        if name.0.contains('\0') {
            return Ok(None);
        }
        let asking = self.read(Some(name));
        let found = self.server.within(self.server.limits().work, "look at one schema", asking).await?;
        Ok(found.into_iter().next())
    }

    async fn drop_dataset(&self, name: &OwnedName) -> std::result::Result<(), DropTrouble> {
        if !self.may_touch(name) {
            let message = "it is one of the schemas that nobody may touch".into();
            return Err(DropTrouble::Refused { message, hint: None });
        }
        let limit = self.server.limits().work;
        let answer = tokio::time::timeout(limit, drop::drop_schema(&self.idle, &self.execution, name)).await;
        answer.unwrap_or_else(|_| Err(DropTrouble::Unknown(no_answer(limit))))
    }

    async fn advice(&self) -> Result<Vec<String>> {
        let asking = async {
            let mut session = self.idle.take("reader").await?;
            let advice = list::advice(&mut session).await?;
            self.idle.give_back(session);
            Ok(advice)
        };
        self.server.within(self.server.limits().look, "look at its settings", asking).await
    }
}
