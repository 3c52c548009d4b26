//! The driver for TimescaleDB, both editions: hypertables are datasets, chunks of one time range go together.
//!
//! Reads only the public information views, `show_chunks`, and the few catalog tables that are the same
//! in 2.19 and 2.29; drops only through `drop_chunks` on a chunk's own typed range. Invariant: whatever
//! the server drops beyond the order is rolled back.

use async_trait::async_trait;
use sqlx::postgres::PgConnection;

use crate::config::StoreConfig;
use crate::problem::{Problem, Result};
use crate::retention::facts::{Blocker, StoreFacts};
use crate::retention::model::{ByteCount, ChunkPart};
use crate::retention::name::DatasetName;

use super::postgres::{self, Server, lock, read_failed, sessions};
use super::{Driver, Dropper, RunnerLock, Wanted};

mod aggregates;
mod catalog;
mod chunks;
mod dependencies;
mod drop;
mod facts;
mod hypertables;
mod native;

pub struct Timescale {
    server: Server,
    lock_timeout: std::time::Duration,
}

impl Timescale {
    pub fn new(config: &StoreConfig) -> Result<Self> {
        Ok(Self { server: Server::new(&config.connection)?, lock_timeout: config.execution.lock_timeout })
    }

    async fn connect(&self, role: &str) -> Result<PgConnection> {
        self.server.connect(role).await
    }
}

#[async_trait]
impl Driver for Timescale {
    async fn facts(&self, wanted: &Wanted) -> Result<StoreFacts> {
        let mut connection = self.connect("facts").await?;
        facts::read(&mut connection, wanted).await
    }

    async fn total_bytes(&self) -> Result<Option<ByteCount>> {
        let mut connection = self.connect("size").await?;
        sqlx::query_scalar("SELECT pg_catalog.pg_database_size(pg_catalog.current_database())")
            .fetch_one(&mut connection)
            .await
            .map(|bytes: i64| u64::try_from(bytes).ok().map(ByteCount))
            .map_err(|error| read_failed("measure the database", &error))
    }

    async fn lock_runner(&self, run: &str) -> Result<Box<dyn RunnerLock>> {
        Ok(Box::new(lock::take(&self.server, run).await?))
    }

    async fn open_dropper(&self) -> Result<Box<dyn Dropper>> {
        let mut connection = self.connect("dropper").await?;
        let catalog = catalog::read(&mut connection).await?;
        refuse_long_waits(self.lock_timeout, catalog.deadlock_timeout)?;
        Ok(Box::new(drop::TimescaleDropper::new(connection, catalog, self.lock_timeout)))
    }

    async fn still_there(&self, parts: &[ChunkPart]) -> Result<Vec<bool>> {
        let mut connection = self.connect("settle").await?;
        chunks::still_there(&mut connection, parts).await
    }

    async fn blockers(&self, dataset: &DatasetName, parts: &[ChunkPart]) -> Result<Vec<Blocker>> {
        let mut connection = self.connect("blockers").await?;
        let mut relations: Vec<u32> = parts.iter().map(|part| part.oid).collect();
        relations.extend(dependencies::referenced_oids(&mut connection, dataset).await?);
        sessions::holding_locks_on(&mut connection, &relations).await
    }

    async fn advice(&self) -> Result<Vec<String>> {
        let mut connection = self.connect("check").await?;
        let catalog = catalog::read(&mut connection).await?;
        let mut advice = catalog.advice(&mut connection).await?;
        if lock::pooler_in_between(&self.server, &mut connection).await? {
            advice.push(
                "a transaction pooler is in between: the runner's lock protects nothing there, so runs are refused; connect to the server directly"
                    .into(),
            );
        }
        if let Err(problem) = refuse_long_waits(self.lock_timeout, catalog.deadlock_timeout) {
            advice.push(problem.sentence);
        }
        Ok(advice)
    }
}

/// Our lock timeout has to be well below the server's `deadlock_timeout`: then we give up before
/// the server looks for deadlocks, and no user's query is ever the victim.
fn refuse_long_waits(lock_timeout: std::time::Duration, deadlock_timeout: i64) -> Result<()> {
    let allowed = std::time::Duration::from_micros(deadlock_timeout.unsigned_abs() / 4);
    if lock_timeout <= allowed {
        return Ok(());
    }
    Err(Problem::usage(format!(
        "`lock_timeout` is {} ms, and the server's deadlock_timeout is {} ms: a user's query could be killed instead of us",
        lock_timeout.as_millis(),
        deadlock_timeout / 1000
    ))
    .hint(format!("set `lock_timeout` to at most {} ms", allowed.as_millis())))
}

/// Begins a snapshot, runs nothing on a server without the extension, and tells what the catalog is like.
async fn snapshot(connection: &mut PgConnection) -> Result<catalog::Catalog> {
    postgres::begin_snapshot(connection).await?;
    catalog::read(connection).await
}
