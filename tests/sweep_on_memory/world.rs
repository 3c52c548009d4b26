//! A store in memory with tables of daily chunks, a journal in memory, and the pass that sweeps them.

use std::collections::BTreeSet;
use std::sync::Arc;

use timesweep::config::{Config, Machine, StoreConfig};
use timesweep::problem::Result;
use timesweep::report::{ItemOutcome, ItemReport, Report};
use timesweep::retention::facts::{Blocker, ConnectionFacts, DatasetFacts, StoreFacts, Words};
use timesweep::retention::model::{ByteCount, Chunk, ChunkPart, PartState, StoreIdentity};
use timesweep::retention::name::RelationName;
use timesweep::retention::plan::Plan;
use timesweep::retention::time_axis::{TimeKind, TimeRange};
use timesweep::state::{OpenIntent, State};
use timesweep::store::Driver;
use timesweep::store::memory::Memory;
use timesweep::sweep::apply::{Order, Pass};
use timesweep::sweep::execute::Silent;
use timesweep::sweep::gather;
use tokio_util::sync::CancellationToken;

pub const DAY: i64 = 86_400_000_000;
/// 2026-11-22 00:00 UTC.
pub const NOW: i64 = 1_795_305_600_000_000;

/// Three days stay, everything older goes; no cap is in the way.
pub const THREE_DAYS: &str = "
    [[policies]]
    table = \"public.*\"
    drop_after = \"3 days\"
    [caps]
    share_of_bytes = \"100 %\"";

/// One chunk a day, the newest covering today. No two chunks of a test weigh the same.
pub fn table(name: &str, first_oid: u32, days: u32) -> DatasetFacts {
    let chunks: Vec<Chunk> = (0..days)
        .map(|index| {
            let end = NOW + DAY - i64::from(days - 1 - index) * DAY;
            Chunk { range: TimeRange::new(end - DAY, end), parts: vec![part(first_oid + index)] }
        })
        .collect();
    DatasetFacts {
        name: RelationName::new("public", name),
        owner: "owner".into(),
        droppable_by_us: true,
        kind: TimeKind::TimestampTz,
        integer_now: None,
        integer_now_error: None,
        chunk_interval: Some(DAY),
        space_dimensions: 0,
        relations_in_catalog: chunks.len() as u64,
        chunks,
        native_policies: Vec::new(),
        inbound_foreign_keys: Vec::new(),
        referenced_tables: Vec::new(),
        aggregates: Vec::new(),
    }
}

/// Sizes are powers of two for the first 40 object ids of a hundred, so that a sum tells who is in it.
pub fn part(oid: u32) -> ChunkPart {
    ChunkPart {
        oid,
        relation: RelationName::new("_timescaledb_internal", format!("_hyper_1_{oid}_chunk")),
        bytes: Some(ByteCount(1 << (oid % 40))),
        rows: None,
        state: PartState::default(),
    }
}

pub fn store(datasets: Vec<DatasetFacts>) -> StoreFacts {
    StoreFacts {
        words: Words::Timescale,
        identity: StoreIdentity { system: "7000".into(), database: "metrics".into(), database_oid: 5 },
        now: NOW,
        our_now: NOW,
        server: "memory".into(),
        read_only: false,
        database_bytes: None,
        datasets,
        not_datasets: Vec::new(),
        sees_other_sessions: true,
        other_drops: Vec::new(),
        connection: ConnectionFacts::default(),
    }
}

pub fn blocker(pid: i32) -> Blocker {
    Blocker {
        pid,
        role: "app".into(),
        application: "psql".into(),
        address: None,
        backend: "client backend".into(),
        state: "idle in transaction".into(),
        age_seconds: 60,
        statement: "SELECT 1".into(),
    }
}

pub struct World {
    pub memory: Memory,
    pub state: Arc<State>,
    pub config: StoreConfig,
    pub stop: CancellationToken,
}

impl World {
    /// These tables, under [`THREE_DAYS`], with three tries for each chunk.
    pub async fn new(datasets: Vec<DatasetFacts>) -> Self {
        let text =
            format!("[stores.main]\nurl = \"postgres://nobody@nowhere/none\"\nattempts = 3\n{THREE_DAYS}");
        let config = Config::parse(&text, "test", &Machine).expect("a configuration");
        Self {
            memory: Memory::new(store(datasets)),
            state: Arc::new(State::in_memory().await.expect("a state")),
            config: config.stores[0].clone(),
            stop: CancellationToken::new(),
        }
    }

    pub async fn sweep(&self) -> Report {
        self.sweep_on(Arc::new(self.memory.clone())).await.expect("a report")
    }

    pub async fn sweep_on(&self, driver: Arc<dyn Driver>) -> Result<Report> {
        self.apply_on(driver, Order::Everything).await
    }

    pub async fn apply_on(&self, driver: Arc<dyn Driver>, order: Order) -> Result<Report> {
        let pass = Pass {
            driver,
            state: Arc::clone(&self.state),
            config: self.config.clone(),
            command: "run --apply".into(),
            stop: self.stop.clone(),
            progress: Arc::new(Silent),
            exit_code: |_| 0,
            gate: None,
        };
        pass.apply(order).await
    }

    pub async fn plan(&self) -> Plan {
        let facts = gather::facts(&self.memory, &self.config).await.expect("facts");
        gather::plan(&facts, &self.config, Some(&self.state), None).await.expect("a plan")
    }

    pub fn oids(&self) -> BTreeSet<u32> {
        self.memory.oids().into_iter().collect()
    }

    pub async fn open_intents(&self) -> Vec<OpenIntent> {
        self.state.open_intents(&store(Vec::new()).identity).await.expect("the journal answers")
    }

    /// What all runs together have freed by the journal: bytes and chunks.
    pub async fn freed(&self) -> (u64, u64) {
        let (mut bytes, mut chunks) = (0, 0);
        for run in self.state.runs(1000).await.expect("the journal answers") {
            let freed = self.state.freed_bytes(run.run.id).await.expect("the journal answers");
            bytes += freed.bytes.0;
            chunks += freed.chunks;
        }
        (bytes, chunks)
    }

    /// The journal counts exactly these object ids, each once, and nothing is left open.
    pub async fn assert_journal_counts(&self, gone: impl IntoIterator<Item = u32>) {
        let sizes: Vec<u64> = gone.into_iter().map(|oid| 1 << (oid % 40)).collect();
        assert_eq!(self.freed().await, (sizes.iter().sum(), sizes.len() as u64));
        assert!(self.open_intents().await.is_empty());
    }
}

/// How many items of a report ended like this.
pub fn count(report: &Report, ended: impl Fn(&ItemOutcome) -> bool) -> usize {
    report.items().filter(|(_, item)| ended(&item.outcome)).count()
}

/// The one item that was not dropped.
#[track_caller]
pub fn the_one_that_stayed(report: &Report) -> &ItemReport {
    let stayed: Vec<&ItemReport> =
        report.items().map(|(_, item)| item).filter(|item| item.outcome != ItemOutcome::Dropped).collect();
    assert_eq!(stayed.len(), 1, "{stayed:?}");
    stayed[0]
}
