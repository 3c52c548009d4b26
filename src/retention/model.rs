//! Chunks as the deciding code sees them, and the small types they are made of.
//!
//! A chunk is the smallest piece a store drops whole: all TimescaleDB chunks of exactly one time
//! range. With space partitions several siblings (parts) make up one chunk and go together.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::name::RelationName;
use super::time_axis::TimeRange;

/// The name of a configured store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoreName(pub String);

impl fmt::Display for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Bytes, shown in binary units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteCount(pub u64);

impl ByteCount {
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::iter::Sum for ByteCount {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self(0), Self::saturating_add)
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", bytesize::ByteSize(self.0).display().iec())
    }
}

/// One physical piece of a chunk: a TimescaleDB chunk relation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkPart {
    /// The object id of the relation: another table of the same name has another one.
    pub oid: u32,
    pub relation: RelationName,
    /// With indexes, TOAST and the compressed companion. `None` where it could not be read.
    pub bytes: Option<ByteCount>,
    /// The planner's estimate; `None` where the chunk was never analysed.
    pub rows: Option<u64>,
    pub state: PartState,
}

/// What the store will not drop by age, or drops differently.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartState {
    #[serde(default)]
    pub compressed: bool,
    #[serde(default)]
    pub frozen: bool,
    #[serde(default)]
    pub tiered: bool,
}

/// All parts of one exact time range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    pub range: TimeRange,
    pub parts: Vec<ChunkPart>,
}

impl Chunk {
    /// The sum over all parts; `None` as soon as one is unknown.
    pub fn bytes(&self) -> Option<ByteCount> {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    pub fn rows(&self) -> Option<u64> {
        self.parts.iter().map(|part| part.rows).sum()
    }

    /// The first part's name: how people refer to the chunk.
    pub fn label(&self) -> String {
        let first = self.parts.first().map_or_else(|| "no parts".into(), |part| part.relation.to_string());
        match self.parts.len() {
            0 | 1 => first,
            2 => format!("{first} (+1 sibling)"),
            count => format!("{first} (+{} siblings)", count - 1),
        }
    }
}

/// Which physical database a plan was drawn for; a plan never runs against another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreIdentity {
    /// PostgreSQL's system identifier: differs between any two clusters, stays over a restore by replication.
    pub system: String,
    pub database: String,
    /// The database's object id, so that a re-created database of the same name is another one.
    pub database_oid: u32,
}

impl fmt::Display for StoreIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "database {} of cluster {}", self.database, self.system)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_with_one_unknown_size_has_an_unknown_size() {
        let part = |oid: u32, bytes| ChunkPart {
            oid,
            relation: RelationName::new("s", "c"),
            bytes,
            rows: Some(1),
            state: PartState::default(),
        };
        let range = TimeRange::new(0, 1);
        let known = Chunk { range, parts: vec![part(1, Some(ByteCount(5))), part(2, Some(ByteCount(6)))] };
        assert_eq!(known.bytes(), Some(ByteCount(11)));
        let unknown = Chunk { range, parts: vec![part(1, Some(ByteCount(5))), part(2, None)] };
        assert_eq!(unknown.bytes(), None);
    }
}
