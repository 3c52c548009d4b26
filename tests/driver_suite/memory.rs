//! The in-memory driver's ground.

use std::sync::Arc;

use async_trait::async_trait;
use timesweep::retention::facts::{Blocker, ConnectionFacts, DatasetFacts, StoreFacts, Words};
use timesweep::retention::model::{ByteCount, Chunk, ChunkPart, PartState, StoreIdentity};
use timesweep::retention::name::RelationName;
use timesweep::retention::sessions::SessionFacts;
use timesweep::retention::time_axis::{TimeKind, TimeRange};
use timesweep::store::Driver;
use timesweep::store::memory::Memory;

use super::ground::Ground;

pub struct InMemory {
    store: Memory,
    locked: Vec<u32>,
}

impl InMemory {
    pub fn new() -> Self {
        let datasets = vec![dataset("t", 1, 7), dataset("u", 101, 2)];
        let facts = StoreFacts {
            words: Words::Timescale,
            identity: StoreIdentity { system: "7".into(), database: "d".into(), database_oid: 5 },
            now: 0,
            our_now: 0,
            server: "memory".into(),
            read_only: false,
            database_bytes: None,
            datasets,
            not_datasets: Vec::new(),
            sees_other_sessions: true,
            other_drops: Vec::new(),
            connection: ConnectionFacts::default(),
        };
        Self { store: Memory::new(facts), locked: Vec::new() }
    }

    /// Changes the parts with these object ids.
    fn change(&self, chunk: &Chunk, change: impl Fn(&mut ChunkPart)) {
        self.store.change(|facts| {
            for part in facts.datasets[0].chunks.iter_mut().flat_map(|chunk| &mut chunk.parts) {
                if part.oid == chunk.parts[0].oid {
                    change(part);
                }
            }
        });
    }
}

fn dataset(name: &str, first: u32, count: u32) -> DatasetFacts {
    let part = |oid: u32| ChunkPart {
        oid,
        relation: RelationName::new("_timescaledb_internal", format!("_hyper_1_{oid}_chunk")),
        bytes: Some(ByteCount(8192)),
        rows: None,
        state: PartState::default(),
    };
    let chunk = |oid: u32| Chunk {
        range: TimeRange::new(i64::from(oid), i64::from(oid) + 1),
        parts: vec![part(oid)],
    };
    DatasetFacts {
        name: RelationName::new("public", name),
        owner: "owner".into(),
        droppable_by_us: true,
        kind: TimeKind::BigInt,
        integer_now: None,
        integer_now_error: None,
        chunk_interval: None,
        space_dimensions: 0,
        chunks: (first..first + count).map(chunk).collect(),
        relations_in_catalog: u64::from(count),
        native_policies: Vec::new(),
        inbound_foreign_keys: Vec::new(),
        referenced_tables: Vec::new(),
        aggregates: Vec::new(),
    }
}

fn session(pid: i32) -> SessionFacts {
    SessionFacts {
        pid,
        started_at: Some(i64::from(pid)),
        role: "app".into(),
        application: "psql".into(),
        address: None,
        backend: Some("client backend".into()),
        in_our_database: true,
        ours: false,
        drops_chunks: false,
        state: Some("idle".into()),
        statement: String::new(),
        since_seconds: 0,
    }
}

#[async_trait]
impl Ground for InMemory {
    fn driver(&self) -> Arc<dyn Driver> {
        Arc::new(self.store.clone())
    }

    async fn drop_elsewhere(&mut self, chunk: &Chunk) {
        self.store.change(|facts| {
            facts.datasets[0].chunks.retain(|other| other != chunk);
            facts.datasets[0].relations_in_catalog -= 1;
        });
    }

    async fn freeze(&mut self, chunk: &Chunk) {
        self.change(chunk, |part| part.state.frozen = true);
    }

    async fn lock(&mut self, chunk: &Chunk) {
        let oid = chunk.parts[0].oid;
        let by = Blocker {
            pid: 1,
            role: "app".into(),
            application: String::new(),
            address: None,
            backend: "client backend".into(),
            state: "idle in transaction".into(),
            age_seconds: 1,
            statement: "SELECT".into(),
        };
        self.store.block(oid, by);
        self.store.connect(session(1));
        self.locked.push(oid);
    }

    async fn connect(&mut self) -> String {
        self.store.connect(session(2));
        "app".into()
    }

    async fn release(&mut self) {
        for oid in self.locked.drain(..) {
            self.store.unblock(oid);
        }
    }
}
