//! Tests of the state: what is promised to the executor, and what happens to the file in bad weather.

#[cfg(debug_assertions)] // release builds have no crash points
mod crash;
mod file;
mod history;
mod holds_and_samples;
mod journal;
mod timing;

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use uuid::Uuid;

use crate::retention::model::{ByteCount, StoreIdentity, StoreName};
use crate::retention::name::RelationName;
use crate::retention::time_axis::TimeRange;

use super::*;

/// A name with everything that could break a statement or a JSON text.
const NASTY: &str = "a\"; drop table run; --'\\\n\t\u{1F4A5}é`]}";

const DROPPED: Outcome = Outcome::Dropped { bytes: Some(ByteCount(7)) };

fn identity() -> StoreIdentity {
    StoreIdentity { system: "7345".into(), database: "metrics".into(), database_oid: 4_294_967_295 }
}

fn new_run() -> NewRun {
    NewRun {
        id: RunId(Uuid::now_v7()),
        store: StoreName("vm7".into()),
        identity: identity(),
        place: "vm7:5432/metrics".into(),
        command: "run --apply".into(),
        plan_id: Some(Uuid::now_v7()),
        started_at: 1_700_000_000_000_000,
        policies_hash: "abc".into(),
    }
}

fn intent(number: u32) -> Intent {
    let part =
        |oid, name: String| IntentPart { oid, relation: RelationName::new("_timescaledb_internal", name) };
    Intent {
        dataset: RelationName::new("public", "conditions"),
        range: TimeRange::new(i64::from(number) * 10, i64::from(number) * 10 + 10),
        parts: vec![
            part(number, format!("_hyper_1_{number}_chunk")),
            part(number + 100_000, format!("sibling_{number}")),
        ],
        bytes: Some(ByteCount(u64::from(number) + 1)),
        reason: format!("older than 90 days ({number})"),
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("temporary folder")
}

fn file_in(folder: &TempDir) -> PathBuf {
    folder.path().join("state.db")
}

async fn open(path: &Path) -> State {
    State::open(path).await.expect("open")
}

async fn begun(state: &State) -> RunId {
    state.begin_run(&new_run()).await.expect("begin a run")
}
