//! The driver for TimescaleDB, both editions: hypertables are datasets, chunks of one time range go together.
//!
//! Reads only the public information views, `show_chunks`, and the few catalog tables that are the same
//! in 2.19 and 2.29; drops only through `drop_chunks` on a chunk's own typed range. Invariant: whatever
//! the server drops beyond the order is rolled back.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sqlx::postgres::PgConnection;

use crate::config::StoreConfig;
use crate::problem::Result;
use crate::retention::facts::{Blocker, StoreFacts};
use crate::retention::measured::{DiskFacts, SizeParts};
use crate::retention::model::{ByteCount, ChunkPart};
use crate::retention::name::DatasetName;
use crate::retention::sessions::{SessionFacts, SessionRules, privilege};
use crate::session::pooler::Way;

use super::postgres::idle::Idle;
use super::postgres::limits::Limits;
use super::postgres::{self, Server, disk, lock, sessions};
use super::{Driver, Dropper, EndAnswer, EndOrder, RunnerLock, Wanted};

mod aggregates;
mod catalog;
mod chunks;
mod dependencies;
mod drop;
mod facts;
mod hypertables;
mod native;
mod size_parts;
mod sizes;

pub struct Timescale {
    server: Server,
    idle: Idle,
    /// What the last reading of facts found; droppers need not ask again.
    catalog: Mutex<Option<catalog::Catalog>>,
    lock_timeout: std::time::Duration,
    sessions: SessionRules,
}

impl Timescale {
    pub fn new(config: &StoreConfig) -> Result<Self> {
        Self::with_limits(config, Limits::default())
    }

    pub fn with_limits(config: &StoreConfig, limits: Limits) -> Result<Self> {
        let server = Server::new(&config.connection, limits)?;
        let idle = Idle::new(server.clone());
        Ok(Self {
            server,
            idle,
            catalog: Mutex::new(None),
            lock_timeout: config.execution.lock_timeout,
            sessions: config.sessions.clone(),
        })
    }

    /// Every question of this driver goes through here or [`Self::work`], each with sessions of its own.
    async fn look<T>(&self, doing: &str, asking: impl Future<Output = Result<T>>) -> Result<T> {
        self.server.within(self.server.limits().look, doing, asking).await
    }

    async fn work<T>(&self, doing: &str, asking: impl Future<Output = Result<T>>) -> Result<T> {
        self.server.within(self.server.limits().work, doing, asking).await
    }

    fn known(&self) -> MutexGuard<'_, Option<catalog::Catalog>> {
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Driver for Timescale {
    async fn facts(&self, wanted: &Wanted) -> Result<StoreFacts> {
        let asking = async {
            let mut session = self.idle.take("reader").await?;
            let (mut facts, catalog) = facts::read(&mut session, &self.idle, wanted).await?;
            if !self.sessions.roles.is_empty() {
                let roles = sessions::list::roles(&mut session, &self.sessions.roles).await?;
                facts.connection.is_member_of_roles = privilege::is_member_of_all(&roles);
            }
            self.idle.give_back(session);
            *self.known() = Some(catalog);
            Ok(facts)
        };
        self.work("read what is in the database", asking).await
    }

    async fn runner(&self) -> Result<Option<String>> {
        let asking = async {
            let mut session = self.idle.take("reader").await?;
            let holder = lock::holder(&mut session).await;
            self.idle.give_back(session);
            Ok(holder)
        };
        self.look("ask who is at work", asking).await
    }

    async fn total_bytes(&self) -> Result<Option<ByteCount>> {
        let asking = async {
            let mut session = self.idle.take("reader").await?;
            let bytes = sizes::of_database_alone(&mut session).await?;
            self.idle.give_back(session);
            Ok(bytes)
        };
        self.work("measure the database", asking).await
    }

    async fn disk(&self) -> Result<Option<DiskFacts>> {
        let asking = async {
            let mut session = self.idle.take("reader").await?;
            postgres::begin_snapshot(&mut session).await?;
            let facts = disk::facts(&mut session).await?;
            postgres::rollback(&mut session).await;
            self.idle.give_back(session);
            Ok(Some(facts))
        };
        self.work("ask the server about its disk", asking).await
    }

    async fn size_parts(&self, datasets: &[DatasetName]) -> Result<Vec<(DatasetName, SizeParts)>> {
        let asking = async {
            let mut session = self.idle.take("reader").await?;
            postgres::begin_snapshot(&mut session).await?;
            let parts = size_parts::read(&mut session, datasets).await?;
            postgres::rollback(&mut session).await;
            self.idle.give_back(session);
            Ok(parts)
        };
        self.work("measure tables", asking).await
    }

    async fn lock_runner(&self, run: &str) -> Result<Box<dyn RunnerLock>> {
        let asking = async {
            let lock = lock::take(&self.server, &self.idle, run).await?;
            Ok(Box::new(lock) as Box<dyn RunnerLock>)
        };
        self.look("take the runner's lock", asking).await
    }

    async fn open_dropper(&self) -> Result<Box<dyn Dropper>> {
        let asking = async {
            let mut session = self.idle.take("dropper").await?;
            let known = self.known().clone();
            let catalog = match known {
                Some(catalog) => catalog,
                None => catalog::read(&mut session).await?,
            };
            let (lock_timeout, answer_within) = (self.lock_timeout, self.server.limits().work);
            let dropper = drop::TimescaleDropper::new(session, catalog, lock_timeout, answer_within);
            Ok(Box::new(dropper) as Box<dyn Dropper>)
        };
        self.look("open a session that drops", asking).await
    }

    async fn still_there(&self, parts: &[ChunkPart]) -> Result<Vec<bool>> {
        let asking = async {
            let mut session = self.idle.take("reader").await?;
            let there = chunks::still_there(&mut session, parts).await?;
            self.idle.give_back(session);
            Ok(there)
        };
        self.look("look whether chunks are still there", asking).await
    }

    async fn blockers(&self, dataset: &DatasetName, parts: &[ChunkPart]) -> Result<Vec<Blocker>> {
        let asking = async {
            let mut session = self.idle.take("reader").await?;
            let relations = locked_by_a_drop(&mut session, dataset, parts).await?;
            let blockers = sessions::blockers::holding_locks_on(&mut session, &relations).await?;
            self.idle.give_back(session);
            Ok(blockers)
        };
        self.look("look for blockers", asking).await
    }

    async fn sessions(&self, roles: &[String]) -> Result<Vec<SessionFacts>> {
        let asking = async {
            let mut session = self.idle.take("reader").await?;
            let mut sessions = sessions::list::of_roles(&mut session, roles).await?;
            if !sessions.is_empty() {
                let drops = dependencies::other_drops(&mut session).await?;
                for session in &mut sessions {
                    session.drops_chunks = drops.iter().any(|drop| drop.pid == session.pid);
                }
            }
            self.idle.give_back(session);
            Ok(sessions)
        };
        self.look("list sessions", asking).await
    }

    async fn end_sessions(&self, order: &EndOrder) -> Result<Vec<EndAnswer>> {
        let asking = async {
            let mut session = self.idle.take("reader").await?;
            let relations = match &order.in_the_way_of {
                Some((dataset, parts)) => Some(locked_by_a_drop(&mut session, dataset, parts).await?),
                None => None,
            };
            let answers = sessions::end::end(&mut session, order, relations.as_deref()).await?;
            self.idle.give_back(session);
            Ok(answers)
        };
        self.look("end sessions", asking).await
    }

    async fn advice(&self) -> Result<Vec<String>> {
        let asking = async {
            let mut session = self.idle.take("reader").await?;
            let catalog = catalog::read(&mut session).await?;
            let mut advice = catalog.advice(&mut session).await?;
            match lock::way(&self.idle, &mut session).await? {
                Way::Direct => {}
                Way::Pooler => advice.push(
                    "a transaction pooler is in between: the runner's lock protects nothing there, so runs are refused; connect to the server directly"
                        .into(),
                ),
                silent @ Way::Silent => silent.refuse("in between", "")?,
            }
            let roles = sessions::list::roles(&mut session, &self.sessions.roles).await?;
            let (us, sees) = (&catalog.connection, catalog.sees_other_sessions);
            advice.extend(privilege::advice(&self.sessions, &roles, us, sees));
            self.idle.give_back(session);
            Ok(advice)
        };
        self.look("check the server's privileges", asking).await
    }
}

/// Everything that a drop of these parts locks in ACCESS EXCLUSIVE mode: a foreign key's triggers lie on
/// the table that it references.
async fn locked_by_a_drop(
    connection: &mut PgConnection,
    dataset: &DatasetName,
    parts: &[ChunkPart],
) -> Result<Vec<u32>> {
    let mut relations: Vec<u32> = parts.iter().map(|part| part.oid).collect();
    relations.extend(dependencies::referenced_oids(connection, dataset).await?);
    Ok(relations)
}

/// Begins a snapshot, runs nothing on a server without the extension, and tells what the catalog is like.
async fn snapshot(connection: &mut PgConnection) -> Result<catalog::Catalog> {
    postgres::begin_snapshot(connection).await?;
    catalog::read(connection).await
}
