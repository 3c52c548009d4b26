//! The report of a run that ended before it had begun: a lock that is taken, a server that is away.
//!
//! Such a run has no place in the journal. Invariant: its report says why, and that nothing was touched.

use uuid::Uuid;

use crate::problem::{Kind, Problem};
use crate::retention::model::{StoreIdentity, StoreName};

use super::{Report, Verdict};

impl Report {
    /// `at` is our own clock, since the store's could not be asked.
    pub fn stopped_early(run: Uuid, store: StoreName, command: &str, at: i64, problem: &Problem) -> Self {
        Self {
            run,
            command: command.to_owned(),
            store,
            identity: StoreIdentity { system: String::new(), database: String::new(), database_oid: 0 },
            server: String::new(),
            plan: Uuid::nil(),
            started_at: at,
            ended_at: at,
            verdict: verdict_of(problem.kind),
            stopped: Some(problem.to_string()),
            datasets: Vec::new(),
            refusals: Vec::new(),
            warnings: Vec::new(),
            drifts: Vec::new(),
            settled: Vec::new(),
            bytes_before: None,
            bytes_after: None,
            gate: None,
            sessions: None,
            disk: None,
            freed: None,
            owned: None,
            past_runs: Vec::new(),
        }
    }
}

pub fn verdict_of(kind: Kind) -> Verdict {
    match kind {
        Kind::Busy => Verdict::Busy,
        Kind::Unreachable => Verdict::Unreachable,
        Kind::Partial => Verdict::Partial,
        // Both need a person.
        Kind::Refused | Kind::Usage => Verdict::Refused,
    }
}
