//! The runs before this one, each in one line.
//!
//! Invariant: what an old report does not say is left out, never taken for zero.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::retention::model::ByteCount;

use super::{Report, Verdict};

/// How many a report remembers.
pub const REMEMBERED: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastRun {
    pub run: Uuid,
    pub command: String,
    /// Microseconds since 1970 UTC.
    pub started_at: i64,
    pub seconds: Option<i64>,
    /// `None` where the run was cut off, or its report is of another version.
    pub verdict: Option<Verdict>,
    pub chunks: Option<usize>,
    pub bytes: Option<ByteCount>,
}

impl PastRun {
    /// A run that never ended, as far as the journal knows.
    pub fn cut_off(run: Uuid, command: String, started_at: i64) -> Self {
        Self { run, command, started_at, seconds: None, verdict: None, chunks: None, bytes: None }
    }

    #[must_use]
    pub fn with_end(mut self, ended_at: i64, report: Option<&Report>) -> Self {
        self.seconds = Some((ended_at - self.started_at).max(0) / 1_000_000);
        self.verdict = report.map(|report| report.verdict);
        self.chunks = report.map(Report::chunks_dropped);
        self.bytes = report.map(Report::bytes_expected);
        self
    }

    pub fn outcome(&self) -> &'static str {
        match (self.verdict, self.seconds) {
            (Some(verdict), _) => verdict.word(),
            (None, Some(_)) => "unknown",
            (None, None) => "cut off",
        }
    }
}
