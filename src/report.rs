//! What a run did, as one value that every rendering shares: text, JSON, and later mail.
//!
//! A report exists for every run, also for one that stopped early or was refused, and it says what was
//! not done. Invariant: a chunk is counted as freed only by its outcome in the journal.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::retention::drift::Drift;
use crate::retention::facts::Blocker;
use crate::retention::guard::Refusal;
use crate::retention::model::{ByteCount, StoreIdentity, StoreName};
use crate::retention::name::DatasetName;
use crate::retention::time_axis::TimeRange;

pub mod chart;
pub mod closing;
pub mod document;
pub mod early;
pub mod explain;
pub mod gate;
pub mod gate_text;
pub mod html;
pub mod mail;
pub mod measure;
pub mod measure_text;
pub mod owned;
pub mod owned_text;
pub mod past;
pub mod plan_text;
#[cfg(test)]
pub mod sample;
pub mod sessions;
pub mod sessions_text;
pub mod subject;
pub mod table;
pub mod text;
mod unknown;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub run: Uuid,
    pub command: String,
    pub store: StoreName,
    #[serde(with = "unknown::identity")]
    pub identity: StoreIdentity,
    pub server: String,
    #[serde(with = "unknown::plan")]
    pub plan: Uuid,
    /// Microseconds since 1970 UTC, by the store's clock.
    pub started_at: i64,
    pub ended_at: i64,
    pub verdict: Verdict,
    /// Why the run ended before its work was done.
    pub stopped: Option<String>,
    /// Which database was meant, as `host:port/database`, where the run never came to know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    pub datasets: Vec<DatasetReport>,
    /// Patterns of policies that stand for no table: what they were written for may stay for ever.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmatched_policies: Vec<String>,
    pub refusals: Vec<Refusal>,
    pub warnings: Vec<String>,
    /// Planned chunks of a saved plan that were not as it says.
    pub drifts: Vec<Drift>,
    /// What earlier runs left open, and what became of it.
    pub settled: Vec<Settled>,
    /// Earlier runs that never ended: what they had dropped counts there, not here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut_off: Vec<CutOff>,
    /// The run was cut off, and a later one made this from the journal: what that does not know is unknown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub from_journal: bool,
    pub bytes_before: Option<ByteCount>,
    pub bytes_after: Option<ByteCount>,
    /// The gate's answer, where a gate was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<gate::GateReport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<sessions::SessionsReport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<measure::DiskReport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freed: Option<measure::FreedReport>,
    /// A pass over data that jobs own; then there are no tables and chunks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned: Option<owned::OwnedReport>,
    /// The runs before this one on the same store, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past_runs: Vec<past::PastRun>,
}

/// The run in one word; `cli/exit.rs` turns it into an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Done,
    NothingToDo,
    /// Some chunks stayed that should have gone, or nobody can say whether they should have.
    Partial,
    Refused,
    Busy,
    Interrupted,
    /// The gate is closed, or today's work is done already.
    Skipped,
    /// Something could not be reached or read, and nothing was touched.
    Unreachable,
    /// The configuration is wrong, which was found out before anything was touched.
    Misconfigured,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NothingToDo => "nothing to do",
            Self::Partial => "partial",
            Self::Refused => "refused",
            Self::Busy => "busy",
            Self::Interrupted => "interrupted",
            Self::Skipped => "skipped",
            Self::Unreachable => "unreachable",
            Self::Misconfigured => "misconfigured",
        }
    }

    /// Whether somebody should look at it.
    pub fn is_trouble(self) -> bool {
        !matches!(self, Self::Done | Self::NothingToDo | Self::Skipped)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetReport {
    pub name: DatasetName,
    pub policy: Option<String>,
    pub chunks_before: usize,
    pub bytes_before: ByteCount,
    pub items: Vec<ItemReport>,
    /// Chunks of the saved plan that may not go any more, with the reason of now.
    pub left_out: Vec<LeftOut>,
    pub refusals: Vec<Refusal>,
    pub warnings: Vec<String>,
    /// It has a policy, and nobody could say what the policy lets go: the day's work is not done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undecided: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure: Option<measure::TableMeasure>,
    /// Why chunks stay, by reason; never hidden.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Kept>,
}

/// Chunks that stay for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub reason: String,
    pub chunks: usize,
    pub bytes: ByteCount,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    pub chunk: String,
    pub reason: String,
}

/// One chunk that the run went for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemReport {
    pub chunk: String,
    pub range: TimeRange,
    /// The range for people, on the dataset's own axis.
    pub shown_range: String,
    pub bytes: Option<ByteCount>,
    pub outcome: ItemOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum ItemOutcome {
    Dropped,
    /// Somebody else dropped it before us.
    Gone,
    /// Not as planned; left alone.
    Changed {
        what: String,
    },
    /// Stayed locked through every try.
    Blocked {
        tries: u32,
        why: String,
        blockers: Vec<Blocker>,
    },
    Failed {
        message: String,
        hint: Option<String>,
    },
    /// The run ended before it came to this chunk.
    NotTried {
        why: String,
    },
}

/// An intent of an earlier run that had no outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    pub run: Uuid,
    pub dataset: DatasetName,
    pub chunk: String,
    pub dropped: bool,
    pub bytes: Option<ByteCount>,
}

/// An earlier run that was cut off, with what it had dropped by the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutOff {
    pub run: Uuid,
    pub command: String,
    /// Microseconds since 1970 UTC.
    pub started_at: i64,
    pub chunks: usize,
    pub bytes: ByteCount,
}

impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (run, command, started) = (self.run, &self.command, table::minute(self.started_at));
        write!(f, "run {run} ({command}, {started} UTC) was cut off: ")?;
        match self.chunks {
            0 => write!(f, "it had dropped nothing"),
            count => write!(
                f,
                "it had dropped {}, {} by their sizes, which count there and not here",
                table::counted(count, "chunk"),
                self.bytes
            ),
        }
    }
}

impl DatasetReport {
    pub fn dropped(&self) -> impl Iterator<Item = &ItemReport> {
        self.items.iter().filter(|item| item.outcome == ItemOutcome::Dropped)
    }

    pub fn bytes_freed(&self) -> ByteCount {
        self.dropped().filter_map(|item| item.bytes).sum()
    }
}

impl Report {
    /// False for a run that ended before it had looked: no database has the object id 0.
    pub fn knows_database(&self) -> bool {
        self.identity.database_oid != 0
    }

    pub fn chunks_dropped(&self) -> usize {
        let owned = self.owned.as_ref().map_or(0, |owned| owned.dropped().count());
        self.datasets.iter().map(|dataset| dataset.dropped().count()).sum::<usize>() + owned
    }

    /// What the dropped chunks weighed before the run.
    pub fn bytes_expected(&self) -> ByteCount {
        let owned = self.owned.iter().map(owned::OwnedReport::bytes_dropped);
        self.datasets.iter().map(DatasetReport::bytes_freed).chain(owned).sum()
    }

    /// How much smaller the store is; `None` where it cannot tell, zero where it grew.
    pub fn bytes_measured(&self) -> Option<ByteCount> {
        Some(ByteCount(self.bytes_before?.0.saturating_sub(self.bytes_after?.0)))
    }

    pub fn items(&self) -> impl Iterator<Item = (&DatasetReport, &ItemReport)> {
        self.datasets.iter().flat_map(|dataset| dataset.items.iter().map(move |item| (dataset, item)))
    }
}

/// The verdict that follows from what happened; the worst news wins. `interrupted`: a signal left something undone.
pub fn verdict(report: &Report, interrupted: bool) -> Verdict {
    let refused = || {
        let only_busy = |refusal: &Refusal| refusal.is_busy();
        if !report.refusals.is_empty() && report.refusals.iter().all(only_busy) {
            return Some(Verdict::Busy);
        }
        let any = !report.refusals.is_empty() || report.datasets.iter().any(|d| !d.refusals.is_empty());
        any.then_some(Verdict::Refused)
    };
    let stayed = |outcome: &ItemOutcome| !matches!(outcome, ItemOutcome::Dropped | ItemOutcome::Gone);
    if interrupted {
        return Verdict::Interrupted;
    }
    if let Some(refused) = refused() {
        return refused;
    }
    if report.owned.as_ref().is_some_and(owned::OwnedReport::has_trouble) {
        return Verdict::Partial;
    }
    let is_open = report.stopped.is_some() || left_out(report) || undecided(report);
    if is_open || report.items().any(|(_, item)| stayed(&item.outcome)) {
        return Verdict::Partial;
    }
    if report.chunks_dropped() == 0 { Verdict::NothingToDo } else { Verdict::Done }
}

/// Nobody can say what a policy lets go: the day's work is not done.
fn undecided(report: &Report) -> bool {
    !report.unmatched_policies.is_empty() || report.datasets.iter().any(|dataset| dataset.undecided)
}

fn left_out(report: &Report) -> bool {
    use crate::retention::drift::DriftKind;
    let changed = |drift: &Drift| matches!(drift.what, DriftKind::Changed(_));
    report.drifts.iter().any(changed) || report.datasets.iter().any(|dataset| !dataset.left_out.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_can_decide_is_not_done() {
        let done = sample::done();
        assert_eq!(verdict(&done, false), Verdict::Done);
        let mut undated = done.clone();
        undated.datasets[2].undecided = true;
        let unmatched = Report { unmatched_policies: vec!["metric.*".into()], ..done.clone() };
        let nothing = Report { datasets: Vec::new(), ..unmatched.clone() };
        for report in [undated, unmatched, nothing] {
            assert_eq!(verdict(&report, false), Verdict::Partial);
            assert_eq!(closing::not_done(&report).len(), 1, "{:?}", closing::not_done(&report));
        }
    }
}
