//! The report of a run that never began: a closed gate, a lock that is taken, a server that is away.
//!
//! The one place where an empty report is made; whatever a run comes to know is filled in from there.
//! Invariant: a run that never began has no plan, no database and no chunks, and its report says why.

use uuid::Uuid;

use crate::problem::{Kind, Problem};
use crate::retention::model::{StoreIdentity, StoreName};

use super::gate::GateReport;
use super::{Report, Verdict};

/// What is known of a run before it begins.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    pub command: &'a str,
    pub store: &'a StoreName,
    /// Microseconds since 1970 UTC by our own clock, since the store's was not asked.
    pub now: i64,
}

impl Report {
    /// Nothing was done yet, and nothing is known.
    pub fn empty(run: Uuid, about: About<'_>, verdict: Verdict) -> Self {
        Self {
            run,
            command: about.command.to_owned(),
            store: about.store.clone(),
            identity: StoreIdentity { system: String::new(), database: String::new(), database_oid: 0 },
            server: String::new(),
            place: None,
            plan: Uuid::nil(),
            started_at: about.now,
            ended_at: about.now,
            verdict,
            stopped: None,
            datasets: Vec::new(),
            unmatched_policies: Vec::new(),
            refusals: Vec::new(),
            warnings: Vec::new(),
            drifts: Vec::new(),
            settled: Vec::new(),
            cut_off: Vec::new(),
            from_journal: false,
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

    /// The gate is closed.
    pub fn skipped(about: About<'_>, gate: GateReport) -> Self {
        Self { gate: Some(gate), ..Self::empty(Uuid::now_v7(), about, Verdict::Skipped) }
    }

    /// Something was in the way, after what the gate said, where it was asked.
    pub fn stopped_early(about: About<'_>, gate: Option<GateReport>, problem: &Problem) -> Self {
        let stopped = Some(problem.to_string());
        Self { stopped, gate, ..Self::empty(Uuid::now_v7(), about, verdict_of(problem.kind)) }
    }

    /// False for a run that never began; it has no place of its own in the journal.
    pub fn has_begun(&self) -> bool {
        !self.plan.is_nil()
    }
}

pub fn verdict_of(kind: Kind) -> Verdict {
    match kind {
        Kind::Busy => Verdict::Busy,
        Kind::Unreachable => Verdict::Unreachable,
        Kind::Partial => Verdict::Partial,
        Kind::Refused => Verdict::Refused,
        Kind::Usage => Verdict::Misconfigured,
    }
}
