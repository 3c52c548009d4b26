//! Everything that is known about a store at one instant, read in one snapshot.
//!
//! Facts carry no judgement: whether something may go is decided from them, elsewhere. What a store
//! could not tell is `None` or listed in `unreadable`, never left out.

use serde::{Deserialize, Serialize};

use super::model::{ByteCount, Chunk, StoreIdentity};
use super::name::{DatasetName, RelationName};
use super::policy::DropAfter;
use super::time_axis::{TimeKind, TimeRange};

#[derive(Debug, Clone)]
pub struct StoreFacts {
    pub identity: StoreIdentity,
    /// The store's clock, microseconds since 1970 UTC: the one `now` of the run.
    pub now: i64,
    /// Our clock at the same moment.
    pub our_now: i64,
    /// `PostgreSQL 17.11, TimescaleDB 2.19.3 (apache)`.
    pub server: String,
    /// A standby cannot drop anything.
    pub read_only: bool,
    pub database_bytes: Option<ByteCount>,
    pub datasets: Vec<DatasetFacts>,
    /// Names that a policy asked for and that are no hypertables, with what they are instead.
    pub not_datasets: Vec<NotADataset>,
    /// False where other sessions' statements are hidden from our role.
    pub sees_other_sessions: bool,
    pub other_drops: Vec<OtherDrop>,
    pub connection: ConnectionFacts,
    pub words: Words,
}

/// How people who run a store of this kind speak of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Words {
    #[default]
    Timescale,
    Influx,
}

impl Words {
    pub fn dataset(self) -> &'static str {
        match self {
            Self::Timescale => "hypertable",
            Self::Influx => "retention policy",
        }
    }

    pub fn datasets(self) -> &'static str {
        match self {
            Self::Timescale => "hypertables",
            Self::Influx => "retention policies",
        }
    }

    pub fn chunks(self) -> &'static str {
        match self {
            Self::Timescale => "chunks",
            Self::Influx => "shard groups",
        }
    }

    /// How the name of a dataset is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Timescale => "schema.table",
            Self::Influx => "database.retention_policy",
        }
    }
}

/// A name from the policies that the store has no dataset for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotADataset {
    pub name: DatasetName,
    /// `a plain table`, `a view`; `None` where nothing has this name.
    pub what_it_is: Option<String>,
}

/// What `check` tells about the connection itself.
#[derive(Debug, Clone, Default)]
pub struct ConnectionFacts {
    pub role: String,
    pub superuser: bool,
    /// The server's `deadlock_timeout` in microseconds.
    pub deadlock_timeout: i64,
    pub may_signal_backends: bool,
    /// Our role is a member of every role in `sessions.roles`: that lets it end their sessions as well.
    pub is_member_of_roles: bool,
    /// Lock table slots the server has: `max_locks_per_transaction × (max_connections + …)`.
    pub lock_slots: i64,
}

#[derive(Debug, Clone)]
pub struct DatasetFacts {
    pub name: DatasetName,
    pub owner: String,
    /// Our role may drop its chunks (owner, member of the owner, or superuser).
    pub droppable_by_us: bool,
    pub kind: TimeKind,
    /// What the table's integer-now function answered, on integer time columns.
    pub integer_now: Option<i64>,
    /// Why that function did not answer.
    pub integer_now_error: Option<String>,
    pub chunk_interval: Option<i64>,
    pub space_dimensions: u32,
    /// Sorted by end, then by length: inner ranges come before those around them.
    pub chunks: Vec<Chunk>,
    /// How many chunk relations the catalog has under this table, counted apart from the listing.
    pub relations_in_catalog: u64,
    pub native_policies: Vec<NativePolicy>,
    /// Foreign keys of other tables that point at this one: they make every drop fail.
    pub inbound_foreign_keys: Vec<ForeignKey>,
    /// Tables this one references: a drop locks them for a moment.
    pub referenced_tables: Vec<RelationName>,
    pub aggregates: Vec<AggregateFacts>,
}

impl DatasetFacts {
    /// Relations in the listing, over all chunks.
    pub fn relations_listed(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.parts.len() as u64).sum()
    }
}

/// Stands for a rule that no job runs: InfluxDB's own retention policies.
pub const SERVER_ITSELF: i32 = 0;

/// A retention policy job of the server itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativePolicy {
    pub job: i32,
    pub scheduled: bool,
    pub rule: NativeRule,
    pub last_run_failed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NativeRule {
    DropAfter(DropAfter),
    /// By creation time of the chunk instead of the time of its data, or a span we do not read.
    Unsupported(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    pub table: RelationName,
    pub constraint: String,
}

/// A continuous aggregate over this dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateFacts {
    pub view: RelationName,
    /// Ranges whose rows are not in the aggregate yet, or have changed since.
    pub not_materialized: Vec<TimeRange>,
    pub refresh: RefreshWindow,
}

/// How far back the aggregate's refresh policy reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefreshWindow {
    /// No refresh policy: only a manual refresh could reach dropped ranges.
    None,
    /// Reaches back to this position at the moment.
    From(i64),
    /// `start_offset` is NULL: reaches back to the beginning.
    Unlimited,
}

/// Somebody else who is dropping chunks right now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherDrop {
    pub pid: i32,
    pub role: String,
    pub backend: String,
    pub statement: String,
}

/// A session that holds a lock on a chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocker {
    pub pid: i32,
    pub role: String,
    /// Empty where it gives no name.
    #[serde(default)]
    pub application: String,
    /// `None` for one on the server's own machine, and where it is hidden from us.
    #[serde(default)]
    pub address: Option<String>,
    pub backend: String,
    pub state: String,
    /// Age of its transaction in seconds.
    pub age_seconds: i64,
    /// What it runs or ran last, cut to one line.
    pub statement: String,
}

/// What a run finds in its own state about pins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub id: i64,
    pub dataset: DatasetName,
    /// One chunk relation; `None` pins the whole dataset.
    pub chunk: Option<RelationName>,
    pub author: String,
    pub reason: String,
    /// Microseconds since 1970 UTC; `None` never expires.
    pub expires_at: Option<i64>,
    /// The database it was set on, where that one and this are alike by their names alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_on: Option<StoreIdentity>,
}
