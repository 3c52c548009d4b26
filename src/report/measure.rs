//! Disk and table sizes before and after, growth and forecast: measured values and what follows from them.
//!
//! What is not known is `None` here and the word *unknown* in every rendering, never zero.

use serde::{Deserialize, Serialize};

use crate::retention::model::ByteCount;

pub use crate::retention::measured::{
    DaysUntil, DiskForecast, DiskReading, FileSystemReading, SizeParts, TablespaceReading,
};

/// The disk before and after the run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DiskReport {
    /// How it was read: `this host`, `SQL`, or the configured command.
    pub source: String,
    pub before: Option<DiskReading>,
    pub after: Option<DiskReading>,
    /// What is not known, and why; one sentence each.
    pub unknown: Vec<String>,
    pub forecasts: Vec<DiskForecast>,
}

/// What was freed, as the chunks weighed and as it was measured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreedReport {
    pub expected: ByteCount,
    /// On the file systems or, where those are unknown, by the store's own size.
    pub measured: Option<ByteCount>,
    /// Why the two differ, as far as we know.
    pub difference: Option<String>,
    /// It was measured a second time after a short while.
    pub measured_again: bool,
}

/// One table before and after, and how it grows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TableMeasure {
    pub before: SizeParts,
    pub after: Option<SizeParts>,
    pub chunks_before: usize,
    pub chunks_after: Option<usize>,
    pub mean_chunk: Option<ByteCount>,
    pub largest_chunk: Option<ByteCount>,
    /// Bytes and rows a day, from complete and uncompressed chunks.
    pub daily_bytes: Option<f64>,
    pub daily_rows: Option<f64>,
    /// When the next chunk is due, microseconds since 1970 UTC.
    pub next_due: Option<i64>,
    /// None is, because of a hold.
    #[serde(default)]
    pub held: bool,
    /// Expected size when as much goes as comes.
    pub steady_state: Option<ByteCount>,
    /// What a month more of retention would cost.
    pub one_more_month: Option<ByteCount>,
    /// Why something above is not known.
    pub why_unknown: Option<String>,
    /// The table's size in earlier samples, oldest first, this run's last.
    pub history: Vec<SizePoint>,
    /// Every chunk on the time axis.
    pub chunks: Vec<ChunkMark>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizePoint {
    /// Microseconds since 1970 UTC.
    pub at: i64,
    pub bytes: ByteCount,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkMark {
    /// On the dataset's axis (microseconds for times), as in `TimeRange`.
    pub start: i64,
    pub end: i64,
    pub bytes: Option<ByteCount>,
    pub fate: Fate,
}

/// What became of a chunk in this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    Kept,
    Held,
    Dropped,
    /// It should have gone and is still there.
    Stayed,
}
