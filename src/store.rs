//! What the run needs from a store, and the one place where a configuration becomes a driver.
//!
//! A driver reads facts, takes the runner's lock and drops exact chunks; it decides nothing. Invariant:
//! a driver drops a chunk only when the server names exactly the parts that the order names.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::config::{StoreConfig, StoreKind};
use crate::problem::{Problem, Result};
use crate::retention::facts::{Blocker, StoreFacts};
use crate::retention::measured::{DiskFacts, SizeParts};
use crate::retention::model::{ByteCount, Chunk, ChunkPart};
use crate::retention::name::DatasetName;
use crate::retention::sessions::{How, SessionFacts};
use crate::retention::time_axis::TimeKind;

use self::owned::OwnedStore;

pub mod influx;
pub mod memory;
pub mod owned;
pub mod postgres;
pub mod schema;
pub mod timescale;

/// Builds the driver that a store's `kind` asks for.
pub fn open(config: &StoreConfig) -> Result<Arc<dyn Driver>> {
    match config.kind {
        StoreKind::Timescale => Ok(Arc::new(timescale::Timescale::new(config)?)),
        StoreKind::InfluxDb => Ok(Arc::new(influx::InfluxDb::new(config)?)),
        kind @ StoreKind::Schemas => Err(Problem::usage(format!(
            "store {} is of kind {kind}, whose data does not go by age",
            config.name
        ))
        .hint("for chunks of hypertables in the same database add a store of kind \"timescale\"")),
    }
}

/// Builds the store of owned data that a store's `kind` asks for.
pub fn open_owned(config: &StoreConfig) -> Result<Arc<dyn OwnedStore>> {
    match config.kind {
        StoreKind::InfluxDb => Ok(Arc::new(influx::InfluxDb::new(config)?)),
        StoreKind::Schemas => Ok(Arc::new(schema::Schemas::new(config)?)),
        kind @ StoreKind::Timescale => Err(Problem::usage(format!(
            "store {} is of kind {kind}, whose data belongs to no jobs",
            config.name
        ))
        .hint("owned data is in a store of kind \"influxdb\" or \"schemas\"")),
    }
}

/// Which database it is, as far as the configuration tells: `host:port/database`, without a password.
pub fn place(config: &StoreConfig) -> Result<String> {
    match config.kind {
        StoreKind::Timescale | StoreKind::Schemas => {
            Ok(postgres::Server::new(&config.connection, postgres::limits::Limits::default())?.place())
        }
        StoreKind::InfluxDb => Ok(influx::InfluxDb::new(config)?.place()),
    }
}

/// Which facts are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Only these datasets; `None` for all.
    pub only: Option<Vec<DatasetName>>,
    /// Exact names from the policies: each has to be a dataset, or the facts say what it is instead.
    pub expected: Vec<DatasetName>,
}

#[async_trait]
pub trait Driver: Send + Sync {
    /// Everything known at one instant, read in one snapshot. Fails rather than leaving something out.
    async fn facts(&self, wanted: &Wanted) -> Result<StoreFacts>;

    /// Bytes of the whole store; `None` where it cannot tell.
    async fn total_bytes(&self) -> Result<Option<ByteCount>>;

    /// What the store says about its own disk; `None` for a store that has none.
    async fn disk(&self) -> Result<Option<DiskFacts>> {
        Ok(None)
    }

    /// What the bytes of these datasets are made of, as far as the store tells; all in one go.
    async fn size_parts(&self, _datasets: &[DatasetName]) -> Result<Vec<(DatasetName, SizeParts)>> {
        Ok(Vec::new())
    }

    /// Takes the one runner's lock, or says who holds it (busy).
    async fn lock_runner(&self, run: &str) -> Result<Box<dyn RunnerLock>>;

    /// Who holds the runner's lock, as a sentence; takes nothing.
    async fn runner(&self) -> Result<Option<String>> {
        Ok(None)
    }

    /// A session of its own to drop with.
    async fn open_dropper(&self) -> Result<Box<dyn Dropper>>;

    /// For each part, whether a relation with this object id and name is still there.
    async fn still_there(&self, parts: &[ChunkPart]) -> Result<Vec<bool>>;

    /// Who holds locks on these parts right now.
    async fn blockers(&self, dataset: &DatasetName, parts: &[ChunkPart]) -> Result<Vec<Blocker>>;

    /// Every session of these roles in this store, ours among them.
    async fn sessions(&self, roles: &[String]) -> Result<Vec<SessionFacts>>;

    /// Ends sessions and waits a while until they are gone; one answer for each, in their order.
    async fn end_sessions(&self, order: &EndOrder) -> Result<Vec<EndAnswer>>;

    /// What `check` should tell about this store beside its facts.
    async fn advice(&self) -> Result<Vec<String>>;
}

/// The runner's lock. It is held as long as this value lives and its session does.
#[async_trait]
pub trait RunnerLock: Send {
    /// Fails when the lock's session is gone: the run has to stop.
    async fn verify(&mut self) -> Result<()>;
}

#[async_trait]
pub trait Dropper: Send {
    /// Drops in one transaction. Only the first chunk is waited for: the others go along if nobody holds
    /// any of them, and stay otherwise. On a failure nothing was dropped.
    async fn drop_chunks(&mut self, order: &DropOrder) -> std::result::Result<Dropped, DropFailure>;
}

/// What a transaction dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// How many chunks of the order, counted from its first.
    pub chunks: usize,
    /// How long others may have waited for us, until the commit.
    pub held: Duration,
    /// Since when they can go on. A server deletes the files of a transaction only after it has given the locks
    /// back (PostgreSQL's `CommitTransaction`), so its answer comes later.
    pub released: Instant,
}

/// Chunks of one dataset that shall go in one transaction.
#[derive(Debug, Clone)]
pub struct DropOrder {
    pub dataset: DatasetName,
    pub kind: TimeKind,
    pub chunks: Vec<Chunk>,
    /// Ask the continuous aggregates again, inside the transaction.
    pub protect_aggregates: bool,
}

/// Sessions that shall be ended, and how.
#[derive(Debug, Clone)]
pub struct EndOrder {
    pub sessions: Vec<(SessionFacts, How)>,
    /// Nobody of another role is ended, whatever the facts said.
    pub roles: Vec<String>,
    /// Only who still is in the way of these parts of a dataset; `None` for everybody.
    pub in_the_way_of: Option<(DatasetName, Vec<ChunkPart>)>,
}

/// What became of a session that should be ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndAnswer {
    Ended,
    /// It was gone, or not in the way any more: nothing was done to it.
    Passed,
    /// It was told to end and is still there.
    StillThere,
    /// The store does not let us, for this reason.
    NotAllowed(String),
}

/// Why nothing of an order was dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DropFailure {
    /// Somebody holds a lock; the order can be tried again.
    #[error("{0}")]
    Waited(String),
    /// Chunks of the order (by index) are not what the plan says; the others may be tried again.
    #[error("the server's answer differs from the plan")]
    Changed(Vec<(usize, Change)>),
    /// Will not go away by trying again.
    #[error("{message}")]
    Permanent { message: String, hint: Option<String> },
    /// The session broke. Nobody knows whether the transaction was committed.
    #[error("the connection broke: {0}")]
    Unknown(String),
}

/// How a chunk differs from what the plan says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Not there any more.
    Gone,
    /// There, but not as planned.
    Differs(String),
}
