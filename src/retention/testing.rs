//! Short ways to build facts and rules in tests.

use super::facts::{ConnectionFacts, DatasetFacts, StoreFacts, Words};
use super::model::{ByteCount, Chunk, ChunkPart, PartState, StoreIdentity};
use super::name::RelationName;
use super::policy::{DropAfter, PolicySource};
use super::rules::PolicyRule;
use super::time_axis::{TimeKind, TimeRange};

pub const DAY: i64 = 86_400_000_000;
/// 2026-11-22 00:00 UTC.
pub const NOW: i64 = 1_795_305_600_000_000;

pub fn days(text: &str) -> DropAfter {
    DropAfter::Span(text.parse().expect("a span"))
}

pub fn rule(table: Option<&str>, after: Option<&str>) -> PolicyRule {
    PolicyRule {
        table: table.map(|text| text.parse().expect("a table")),
        drop_after: after.map(days),
        keep_newest: None,
        integer_unit: None,
        take_over_native: false,
        source: table
            .map_or(PolicySource::Default, |text| PolicySource::Configuration { table: text.into() }),
    }
}

pub fn part(oid: u32, bytes: u64) -> ChunkPart {
    ChunkPart {
        oid,
        relation: RelationName::new("_timescaledb_internal", format!("_hyper_1_{oid}_chunk")),
        bytes: Some(ByteCount(bytes)),
        rows: Some(100),
        state: PartState::default(),
    }
}

/// A chunk of one part whose range is in days relative to [`NOW`].
pub fn chunk(oid: u32, from_day: i64, to_day: i64) -> Chunk {
    Chunk { range: TimeRange::new(NOW + from_day * DAY, NOW + to_day * DAY), parts: vec![part(oid, 1_000)] }
}

/// A `timestamptz` hypertable without chunks and without anything odd.
pub fn dataset(name: &str) -> DatasetFacts {
    DatasetFacts {
        name: name.parse().expect("a name"),
        owner: "owner".into(),
        droppable_by_us: true,
        kind: TimeKind::TimestampTz,
        integer_now: None,
        integer_now_error: None,
        chunk_interval: Some(DAY),
        space_dimensions: 0,
        chunks: Vec::new(),
        relations_in_catalog: 0,
        native_policies: Vec::new(),
        inbound_foreign_keys: Vec::new(),
        referenced_tables: Vec::new(),
        aggregates: Vec::new(),
    }
}

/// A hypertable with one chunk a day: `count` of them, the newest covering today.
pub fn daily(name: &str, count: i64) -> DatasetFacts {
    let first = 1 - count;
    let chunks: Vec<Chunk> = (0..count)
        .map(|index| chunk(u32::try_from(index + 1).expect("small"), first + index, first + index + 1))
        .collect();
    DatasetFacts { relations_in_catalog: chunks.len() as u64, chunks, ..dataset(name) }
}

pub fn store(datasets: Vec<DatasetFacts>) -> StoreFacts {
    StoreFacts {
        words: Words::Timescale,
        identity: StoreIdentity { system: "7000".into(), database: "metrics".into(), database_oid: 5 },
        now: NOW,
        our_now: NOW,
        server: "PostgreSQL 17.11, TimescaleDB 2.19.3 (apache)".into(),
        read_only: false,
        database_bytes: None,
        datasets,
        not_datasets: Vec::new(),
        sees_other_sessions: true,
        other_drops: Vec::new(),
        connection: ConnectionFacts::default(),
    }
}
