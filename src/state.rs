//! What timesweep remembers between runs: the journal, holds, samples of sizes and disks, used cap overrides.
//!
//! Every method is one transaction, and it is on disk when the method returns: a chunk is only touched
//! after its intent was written (invariant 4). The journal is append-only, which the database itself
//! enforces. Nothing here says which database keeps it; today that is one SQLite file.
//! Errors are of the kind *unreachable*, *busy* where another program holds a lock, *usage* where the
//! path is plainly wrong, and *refused* where a call contradicts what was written before.

mod cap_override;
mod dataset_intent;
mod disk_sample;
mod history;
mod hold;
mod journal;
mod record;
mod row;
mod session_ending;
mod size_sample;
mod sqlite;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::problem::Result;

pub use dataset_intent::{DatasetHistory, DatasetIntent, OpenDatasetIntent};
pub use disk_sample::DiskSample;
pub use hold::{HoldRecord, NewHold};
pub use record::{
    ChunkHistory, FreedBytes, Intent, IntentId, IntentPart, NewRun, OpenIntent, Outcome, RecordedOutcome,
    RunEnd, RunId, RunRecord,
};
pub use session_ending::SessionEnding;
pub use size_sample::SizeSample;

use sqlite::StateFile;

/// The memory of timesweep; share it behind an `Arc`.
///
/// Dropping the future of a method loses its answer, not its effect: what was begun is still committed or
/// rolled back as a whole, and the next call finds a sound connection.
#[derive(Debug)]
pub struct State {
    file: StateFile,
}

impl State {
    /// Opens the state for reading and writing; creates it, its folder and its tables where they are missing.
    pub async fn open(path: &Path) -> Result<Self> {
        Ok(Self { file: sqlite::open(path).await? })
    }

    /// Opens the state for reading, for previews; `None` where there is none yet.
    ///
    /// Creates no folder and no state, changes nothing, and works where the file and its folder are read-only.
    pub async fn open_existing(path: &Path) -> Result<Option<Self>> {
        let file = sqlite::open_existing(path).await?;
        Ok(file.map(|file| Self { file }))
    }

    /// A state that is forgotten with the value.
    pub async fn in_memory() -> Result<Self> {
        Ok(Self { file: sqlite::in_memory().await? })
    }

    /// Puts everything into the one state file and closes it. Without this the process leaves side files
    /// behind, which the next one reads; nothing is lost either way.
    pub async fn close(self) -> Result<()> {
        self.file.close().await
    }
}
