//! What a database weighs, chunk by chunk, and what the journal says of it.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::AssertSqlSafe;
use timesweep::state::{OpenIntent, State};

use super::support::TestDatabase;

/// Bytes of each chunk, by its name.
pub type Weights = BTreeMap<String, u64>;

/// Every chunk of every hypertable.
pub async fn all(database: &TestDatabase) -> Weights {
    weigh(database, "").await
}

/// What the rule "drop after 3 days" lets go, by the server's own answer.
pub async fn expired(database: &TestDatabase) -> Weights {
    weigh(database, ", older_than => date_trunc('day', now()) - interval '3 days'").await
}

async fn weigh(database: &TestDatabase, which: &str) -> Weights {
    let query = format!(
        "SELECT c::text, pg_total_relation_size(c) FROM _timescaledb_catalog.hypertable h, \
         LATERAL show_chunks(format('%I.%I', h.schema_name, h.table_name)::regclass{which}) c"
    );
    let rows: Vec<(String, i64)> =
        sqlx::query_as(AssertSqlSafe(query)).fetch_all(&mut database.connect().await).await.expect("sizes");
    rows.into_iter().map(|(name, bytes)| (name, u64::try_from(bytes).expect("a size"))).collect()
}

async fn state(database: &TestDatabase) -> State {
    State::open(&database.file("state.db")).await.expect("the state file")
}

/// Intents without an outcome, of whatever run.
pub async fn open_intents(database: &TestDatabase) -> Vec<OpenIntent> {
    let state = state(database).await;
    let Some(run) = state.last_run().await.expect("the journal") else { return Vec::new() };
    state.open_intents(&run.run.identity).await.expect("the journal")
}

/// What all runs together have freed, by the journal.
#[derive(Debug, PartialEq, Eq)]
pub struct Ledger {
    pub chunks: u64,
    pub bytes: u64,
    pub open: usize,
}

impl Ledger {
    pub async fn read(database: &TestDatabase) -> Self {
        let state = state(database).await;
        let mut ledger = Self { chunks: 0, bytes: 0, open: open_intents(database).await.len() };
        for run in state.runs(1000).await.expect("the journal") {
            let freed = state.freed_bytes(run.run.id).await.expect("the journal");
            assert_eq!(freed.chunks_of_unknown_size, 0);
            ledger.chunks += freed.chunks;
            ledger.bytes += freed.bytes.0;
        }
        ledger
    }

    /// Exactly these chunks are counted, each once, and nothing is open.
    #[track_caller]
    pub fn assert_counts(&self, weights: &Weights) {
        let expected = Self { chunks: weights.len() as u64, bytes: weights.values().sum(), open: 0 };
        assert_eq!(*self, expected);
    }
}

/// Items of a report that ended like this.
pub fn items<'a>(report: &'a Value, outcome: &str) -> Vec<&'a Value> {
    let datasets = report["datasets"].as_array().expect("datasets").iter();
    let items = datasets.flat_map(|dataset| dataset["items"].as_array().expect("items"));
    items.filter(|item| item["outcome"]["outcome"] == outcome).collect()
}

pub fn dropped_items(report: &Value) -> usize {
    items(report, "dropped").len()
}
