//! What the journal keeps: runs, what they meant to remove, and what became of it.
//!
//! These are plain values. An intent is written before a chunk is touched and an outcome after
//! (invariant 4); neither is ever changed. Instants are microseconds since 1970 UTC.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::retention::model::{ByteCount, StoreIdentity, StoreName};
use crate::retention::name::{DatasetName, RelationName};
use crate::retention::time_axis::TimeRange;

/// One pass over the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub Uuid);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One chunk that one run meant to drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IntentId(pub i64);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// A UUID of version 7, so that ids sort by time.
    pub id: RunId,
    pub store: StoreName,
    pub identity: StoreIdentity,
    /// `host:port/database`, as the configuration has it: also a run that never began has one.
    pub place: String,
    /// `run --apply`, `apply`.
    pub command: String,
    pub plan_id: Option<Uuid>,
    pub started_at: i64,
    pub policies_hash: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    pub run: NewRun,
    /// `None` while the run is at work, and for ever where it was cut off.
    pub end: Option<RunEnd>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEnd {
    pub ended_at: i64,
    pub exit_code: u8,
    /// As it was told; where nobody was told, as the run ended.
    pub report_json: String,
}

/// A chunk that is about to be dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    pub dataset: DatasetName,
    pub range: TimeRange,
    pub parts: Vec<IntentPart>,
    /// What the chunk weighs before the drop, where it is known.
    pub bytes: Option<ByteCount>,
    /// Why it goes, for people.
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentPart {
    pub oid: u32,
    pub relation: RelationName,
}

/// What became of an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Dropped {
        bytes: Option<ByteCount>,
    },
    /// It was not there any more before we came to it.
    Gone,
    /// Rolled back, skipped or failed: the chunk is still there.
    NotDropped {
        why: String,
    },
}

/// An intent that nobody has written an outcome for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenIntent {
    pub id: IntentId,
    pub run: RunId,
    pub run_started_at: i64,
    pub intent: Intent,
}

/// What the journal knows about a chunk that a run went for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkHistory {
    pub id: IntentId,
    pub run: RunId,
    pub run_started_at: i64,
    pub intent: Intent,
    pub outcome: Option<RecordedOutcome>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedOutcome {
    pub outcome: Outcome,
    pub at: i64,
    /// The later run that found out, where the run itself was cut off.
    pub settled_by: Option<RunId>,
}

/// What a run's dropped chunks weighed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FreedBytes {
    pub bytes: ByteCount,
    pub chunks: u64,
    /// Chunks among them that have no size in `bytes`.
    pub chunks_of_unknown_size: u64,
}
