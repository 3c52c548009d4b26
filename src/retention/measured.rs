//! Sizes as they were measured: of disks, file systems, tablespaces and tables.
//!
//! Plain values, wherever they come from. What is not known is `None` here and the word *unknown* in
//! every rendering, never zero.

use serde::{Deserialize, Serialize};

use super::model::ByteCount;

/// One look at the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskReading {
    /// Microseconds since 1970 UTC.
    pub at: i64,
    /// Below the data folder without the write-ahead log, as `du` counts.
    pub data: Option<ByteCount>,
    pub wal: Option<ByteCount>,
    pub tablespaces: Vec<TablespaceReading>,
    pub file_systems: Vec<FileSystemReading>,
}

impl DiskReading {
    /// Data and tablespaces together; `None` as soon as one of them is unknown.
    pub fn stored(&self) -> Option<ByteCount> {
        let tablespaces: Option<ByteCount> = self.tablespaces.iter().map(|space| space.bytes).sum();
        Some(self.data?.saturating_add(tablespaces?))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TablespaceReading {
    pub name: String,
    pub path: Option<String>,
    pub bytes: Option<ByteCount>,
}

/// One file system that the store writes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystemReading {
    /// Where it is mounted.
    pub path: String,
    /// What of the store lies on it: `data`, `wal`, names of tablespaces.
    pub holds: Vec<String>,
    /// Without what is reserved for root, so that the share in use is the one `df` shows.
    pub size: ByteCount,
    /// What an ordinary user may still write.
    pub free: ByteCount,
    pub free_inodes: Option<u64>,
}

impl FileSystemReading {
    pub fn used(&self) -> ByteCount {
        ByteCount(self.size.0.saturating_sub(self.free.0))
    }

    /// From 0 to 100, as `df` counts it.
    pub fn used_percent(&self) -> f64 {
        if self.size.0 == 0 {
            return 0.0;
        }
        100.0 * self.used().0 as f64 / self.size.0 as f64
    }
}

/// What the store itself says about its disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskFacts {
    /// `None` where our role may not see it.
    pub data_folder: Option<String>,
    /// When the server started, seconds since 1970 UTC.
    pub server_started: Option<i64>,
    pub in_recovery: bool,
    /// When its last checkpoint began, microseconds since 1970 UTC.
    pub last_checkpoint: Option<i64>,
    /// `pg_default` and `pg_global` together.
    pub data: Option<ByteCount>,
    pub wal: Option<ByteCount>,
    pub tablespaces: Vec<TablespaceFacts>,
}

/// A tablespace of the server's users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablespaceFacts {
    /// The name of its link in `pg_tblspc`.
    pub oid: u32,
    pub name: String,
    pub path: Option<String>,
    pub bytes: Option<ByteCount>,
}

/// What a table's bytes are made of; `None` where the store does not tell them apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeParts {
    pub total: ByteCount,
    pub table: Option<ByteCount>,
    pub index: Option<ByteCount>,
    pub toast: Option<ByteCount>,
    /// In compressed companions.
    pub compressed: Option<ByteCount>,
}

/// Days until a file system is full, as far as the samples say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiskForecast {
    pub path: String,
    /// Samples that the forecast is drawn from, and the days they span.
    pub samples: usize,
    pub span_days: f64,
    /// Bytes a day; `None` where the fit is poor.
    pub slope_with_policy: Option<f64>,
    pub slope_without_policy: Option<f64>,
    pub with_policy: Vec<DaysUntil>,
    pub without_policy: Vec<DaysUntil>,
    /// Why there is no date: too few samples, a poor fit, no growth.
    pub why_none: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DaysUntil {
    /// 80, 90 or 100.
    pub percent: u8,
    /// `None` where that is never reached at this slope, or not known.
    pub days: Option<f64>,
}
