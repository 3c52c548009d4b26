//! The three tables of the samples.

use crate::report::measure::{ChunkMark, Fate, SizeParts, SizePoint, TableMeasure};
use crate::report::{DatasetReport, ItemOutcome, ItemReport, Kept};
use crate::retention::facts::Blocker;
use crate::retention::model::ByteCount;
use crate::retention::name::RelationName;
use crate::retention::time_axis::TimeRange;

use super::{DAY, GIB, NOW};

const MIDNIGHT: i64 = NOW - 2 * DAY / 24;

fn chunk_bytes() -> ByteCount {
    ByteCount(3_516 * (GIB / 1024))
}

/// Twelve daily chunks to drop, of which three stayed; 32 that stay, one of them held.
pub fn conditions() -> DatasetReport {
    let first = MIDNIGHT - 43 * DAY;
    let range = |number: i64| TimeRange::new(first + number * DAY, first + (number + 1) * DAY);
    let outcome = |number: i64| match number {
        9 => ItemOutcome::Blocked {
            tries: 20,
            why: "it waited for a lock on the chunk or its table that another session holds".into(),
            blockers: vec![Blocker {
                pid: 4242,
                role: "platform".into(),
                application: "dashboards".into(),
                address: Some("10.0.0.5".into()),
                backend: "client backend".into(),
                state: "idle in transaction".into(),
                age_seconds: 5_400,
                statement: "SELECT * FROM conditions".into(),
            }],
        },
        10 => ItemOutcome::Failed {
            message: "could not open file \"base/16384/99\"".into(),
            hint: Some("look at the server's log".into()),
        },
        11 => ItemOutcome::NotTried { why: "the run was over".into() },
        _ => ItemOutcome::Dropped,
    };
    let items = (0..12).map(|number| ItemReport {
        chunk: format!("_timescaledb_internal._hyper_1_{}_chunk", number + 1),
        range: range(number),
        shown_range: format!("day {number}"),
        bytes: Some(chunk_bytes()),
        outcome: outcome(number),
    });
    let fate = |number: i64| match number {
        0..=8 => Fate::Dropped,
        9..=11 => Fate::Stayed,
        20 => Fate::Held,
        _ => Fate::Kept,
    };
    let mark = |number: i64| ChunkMark {
        start: range(number).start,
        end: range(number).end,
        bytes: Some(chunk_bytes()),
        fate: fate(number),
    };
    let measure = TableMeasure {
        before: parts(108),
        after: Some(parts(77)),
        chunks_before: 44,
        chunks_after: Some(35),
        mean_chunk: Some(chunk_bytes()),
        largest_chunk: Some(ByteCount(4 * GIB)),
        daily_bytes: Some(1.4e9),
        daily_rows: Some(26_400_000.0),
        next_due: Some(MIDNIGHT + DAY),
        held: false,
        steady_state: Some(ByteCount(110 * GIB)),
        one_more_month: Some(ByteCount(105 * GIB)),
        why_unknown: None,
        history: history(&[96, 71, 95, 70, 94, 72, 97, 108, 77]),
        chunks: (0..44).map(mark).collect(),
    };
    DatasetReport {
        undecided: false,
        name: RelationName::new("public", "conditions"),
        policy: Some("drop after 30 days (the configuration)".into()),
        chunks_before: 44,
        bytes_before: ByteCount(108 * GIB),
        items: items.collect(),
        left_out: Vec::new(),
        refusals: Vec::new(),
        warnings: Vec::new(),
        measure: Some(measure),
        kept: vec![
            Kept { reason: "has data newer than 2026-10-23".into(), chunks: 31, bytes: ByteCount(73 * GIB) },
            Kept { reason: "held by dba until 2026-12-31: audit".into(), chunks: 1, bytes: chunk_bytes() },
        ],
    }
}

fn parts(total: u64) -> SizeParts {
    let share = |percent: u64| Some(ByteCount(total * GIB * percent / 100));
    SizeParts {
        total: ByteCount(total * GIB),
        table: share(60),
        index: share(30),
        toast: share(2),
        compressed: share(8),
    }
}

fn history(sizes: &[u64]) -> Vec<SizePoint> {
    let weeks = i64::try_from(sizes.len()).unwrap_or_default();
    let point = |(week, gib): (i64, &u64)| SizePoint {
        at: NOW - (weeks - 1 - week) * 7 * DAY,
        bytes: ByteCount(gib * GIB),
    };
    (0..).zip(sizes).map(point).collect()
}

/// Weekly chunks that all stay.
pub fn plant() -> DatasetReport {
    let mark = |week: i64| ChunkMark {
        start: MIDNIGHT - (week + 1) * 7 * DAY,
        end: MIDNIGHT - week * 7 * DAY,
        bytes: Some(ByteCount(GIB)),
        fate: Fate::Kept,
    };
    let measure = TableMeasure {
        before: parts(40),
        after: Some(parts(40)),
        chunks_before: 9,
        chunks_after: Some(9),
        mean_chunk: Some(ByteCount(4 * GIB)),
        largest_chunk: Some(ByteCount(5 * GIB)),
        daily_bytes: Some(0.6e9),
        next_due: Some(MIDNIGHT + 12 * DAY),
        held: false,
        steady_state: Some(ByteCount(52 * GIB)),
        one_more_month: Some(ByteCount(17 * GIB)),
        history: history(&[12, 15, 19, 22, 26, 30, 33, 36, 40]),
        chunks: (0..9).map(mark).collect(),
        ..TableMeasure::default()
    };
    DatasetReport {
        undecided: false,
        name: RelationName::new("plant", "Größe; drop"),
        policy: Some("drop after 3 months (the default policy)".into()),
        chunks_before: 9,
        bytes_before: ByteCount(40 * GIB),
        items: Vec::new(),
        left_out: Vec::new(),
        refusals: Vec::new(),
        warnings: Vec::new(),
        measure: Some(measure),
        kept: vec![Kept {
            reason: "has data newer than 2026-08-22".into(),
            chunks: 9,
            bytes: ByteCount(40 * GIB),
        }],
    }
}

/// Counts its time in numbers, and nobody knows its volume.
pub fn events() -> DatasetReport {
    let mark = |number: i64| ChunkMark {
        start: number * 1_000,
        end: (number + 1) * 1_000,
        bytes: None,
        fate: Fate::Kept,
    };
    let measure = TableMeasure {
        before: SizeParts { total: ByteCount(2 * GIB), ..SizeParts::default() },
        chunks_before: 20,
        why_unknown: Some("an integer time column without a unit has no days".into()),
        history: history(&[1, 1, 1, 1, 2, 2, 2, 2, 2]),
        chunks: (0..20).map(mark).collect(),
        ..TableMeasure::default()
    };
    DatasetReport {
        undecided: false,
        name: RelationName::new("line", "events"),
        policy: None,
        chunks_before: 20,
        bytes_before: ByteCount(2 * GIB),
        items: Vec::new(),
        left_out: Vec::new(),
        refusals: Vec::new(),
        warnings: vec!["no policy matches this table; it keeps everything".into()],
        measure: Some(measure),
        kept: vec![Kept { reason: "no policy matches it".into(), chunks: 20, bytes: ByteCount(2 * GIB) }],
    }
}
