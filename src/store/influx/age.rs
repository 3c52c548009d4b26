//! Age policies on InfluxDB: a dataset is a retention policy of a database, a chunk is a shard group.
//!
//! A group goes as a whole, by dropping each of its shards by number; the server never gives a number
//! twice. It has no transactions, no locks and no sessions, so nobody is ever in the way. Invariant: a
//! shard is dropped only while a fresh list has it in exactly the planned group.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::problem::Result;
use crate::retention::facts::{Blocker, ConnectionFacts, DatasetFacts, NotADataset, StoreFacts, Words};
use crate::retention::model::{ByteCount, Chunk, ChunkPart, StoreIdentity};
use crate::retention::name::DatasetName;
use crate::retention::sessions::SessionFacts;
use crate::store::{Driver, Dropper, EndAnswer, EndOrder, RunnerLock, Wanted};

use super::InfluxDb;
use super::snapshot;

mod drop;
mod groups;
mod lock;
mod policies;

#[async_trait]
impl Driver for InfluxDb {
    async fn facts(&self, wanted: &Wanted) -> Result<StoreFacts> {
        let our_now = Timestamp::now().as_microsecond();
        let snapshot = snapshot::read(&self.client).await?;
        let names: Vec<_> = snapshot.databases.iter().filter(|name| self.may_touch(name)).collect();
        let mut datasets = policies::read(&self.client, &names, &snapshot).await?;
        let not_datasets = missing(&datasets, &wanted.expected);
        if let Some(only) = &wanted.only {
            datasets.retain(|dataset| only.contains(&dataset.name));
        }
        Ok(StoreFacts {
            words: Words::Influx,
            identity: self.store_identity(),
            now: snapshot.now,
            our_now,
            server: policies::server(&self.client).await?,
            read_only: false,
            database_bytes: Some(snapshot.bytes()),
            datasets,
            not_datasets,
            sees_other_sessions: true,
            other_drops: Vec::new(),
            connection: ConnectionFacts {
                role: self.client.user(),
                superuser: true,
                ..ConnectionFacts::default()
            },
        })
    }

    async fn total_bytes(&self) -> Result<Option<ByteCount>> {
        Ok(Some(snapshot::read(&self.client).await?.bytes()))
    }

    async fn lock_runner(&self, _run: &str) -> Result<Box<dyn RunnerLock>> {
        Ok(Box::new(lock::take(&self.client.address())?))
    }

    async fn open_dropper(&self) -> Result<Box<dyn Dropper>> {
        Ok(Box::new(drop::ShardDropper::new(Arc::clone(&self.client), Arc::clone(&self.turn))))
    }

    async fn still_there(&self, parts: &[ChunkPart]) -> Result<Vec<bool>> {
        let there = groups::read(&self.client).await?;
        let found = |part: &ChunkPart| {
            there.iter().any(|shard| shard.id == part.oid && shard.relation() == part.relation)
        };
        Ok(parts.iter().map(found).collect())
    }

    async fn blockers(&self, _dataset: &DatasetName, _parts: &[ChunkPart]) -> Result<Vec<Blocker>> {
        Ok(Vec::new())
    }

    async fn sessions(&self, _roles: &[String]) -> Result<Vec<SessionFacts>> {
        Ok(Vec::new())
    }

    async fn end_sessions(&self, order: &EndOrder) -> Result<Vec<EndAnswer>> {
        Ok(vec![EndAnswer::Passed; order.sessions.len()])
    }

    async fn advice(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

impl InfluxDb {
    /// The server tells no id: another one at the same address passes for the same, and only what it lists
    /// tells them apart.
    fn store_identity(&self) -> StoreIdentity {
        let system = format!("InfluxDB {}", self.client.address());
        StoreIdentity { system, database: "*".into(), database_oid: 0 }
    }
}

fn missing(datasets: &[DatasetFacts], expected: &[DatasetName]) -> Vec<NotADataset> {
    let is_there = |name: &&DatasetName| datasets.iter().any(|dataset| dataset.name == **name);
    let missing = expected.iter().filter(|name| !is_there(name));
    missing.map(|name| NotADataset { name: name.clone(), what_it_is: None }).collect()
}

/// Inner ranges come before those around them.
fn sort(chunks: &mut [Chunk]) {
    chunks.sort_by_key(|chunk| (chunk.range.end, std::cmp::Reverse(chunk.range.start)));
}
