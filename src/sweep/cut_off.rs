//! Runs that never ended: each gets its end, with a report made from the journal.
//!
//! Whoever calls this holds the runner's lock of the database, which a run keeps until its end is written; so a run
//! without an end was cut off. Invariant: its chunks and bytes are in its own report, and in no other's sums.

use crate::problem::{Kind, Problem, Result};
use crate::report::early::About;
use crate::report::{CutOff, DatasetReport, ItemOutcome, ItemReport, Report, Verdict};
use crate::retention::model::{ByteCount, Chunk};
use crate::retention::name::DatasetName;
use crate::retention::plan::Plan;
use crate::state::{ChunkHistory, Outcome, RunId, RunRecord, SessionEnding, State};

use super::settle::parts_of;

/// Ends every earlier run on the plan's database that has no end. What was open has its outcome by now.
pub async fn end_all(state: &State, plan: &Plan, by: RunId, exit_code: u8) -> Result<Vec<CutOff>> {
    let mut all = Vec::new();
    for record in state.cut_off_runs(&plan.identity, by).await? {
        let mut report = rebuilt(&record, &state.chunks_of_run(record.run.id).await?, plan, by);
        report.warnings.extend(state.session_endings(record.run.id).await?.iter().map(ended));
        let json = serde_json::to_string(&report)
            .map_err(|error| Problem::unreachable("the report cannot be written").because(&error))?;
        match state.finish_run(record.run.id, report.ended_at, exit_code, &json).await {
            Ok(()) => all.push(told(&report)),
            // It lost its lock and was alive: it has ended by itself in between.
            Err(problem) if problem.kind == Kind::Refused => {}
            Err(problem) => return Err(problem),
        }
    }
    Ok(all)
}

/// Nobody whose session was ended shall look for the reason in vain.
fn ended(ending: &SessionEnding) -> String {
    let SessionEnding { pid, role, statement, .. } = ending;
    format!(
        "a session or its statement was ended, or was about to be: process {pid} of role {role}: {statement}"
    )
}

fn told(report: &Report) -> CutOff {
    CutOff {
        run: report.run,
        command: report.command.clone(),
        started_at: report.started_at,
        chunks: report.chunks_dropped(),
        bytes: report.bytes_expected(),
    }
}

fn rebuilt(record: &RunRecord, chunks: &[ChunkHistory], plan: &Plan, by: RunId) -> Report {
    let run = &record.run;
    let about = About { command: &run.command, store: &run.store, now: run.started_at };
    let own = chunks.iter().filter_map(|chunk| chunk.outcome.as_ref()).filter(|o| o.settled_by.is_none());
    let mut report = Report {
        identity: run.identity.clone(),
        plan: run.plan_id.unwrap_or_default(),
        // Its last sign of life.
        ended_at: own.map(|outcome| outcome.at).max().unwrap_or(run.started_at).max(run.started_at),
        stopped: Some(format!("cut off; settled by run {by}; what it had not begun is not known")),
        from_journal: true,
        ..Report::empty(run.id.0, about, Verdict::Interrupted)
    };
    for chunk in chunks {
        let dataset = dataset_of(&mut report, &chunk.intent.dataset);
        dataset.items.push(item(chunk, plan));
    }
    report
}

fn dataset_of<'a>(report: &'a mut Report, name: &DatasetName) -> &'a mut DatasetReport {
    let known = report.datasets.iter().position(|dataset| dataset.name == *name);
    let index = known.unwrap_or(report.datasets.len());
    if known.is_none() {
        report.datasets.push(DatasetReport {
            name: name.clone(),
            policy: None,
            chunks_before: 0,
            bytes_before: ByteCount(0),
            items: Vec::new(),
            left_out: Vec::new(),
            refusals: Vec::new(),
            warnings: Vec::new(),
            undecided: false,
            measure: None,
            kept: Vec::new(),
        });
    }
    &mut report.datasets[index]
}

fn item(entry: &ChunkHistory, plan: &Plan) -> ItemReport {
    let intent = &entry.intent;
    let chunk = Chunk { range: intent.range, parts: parts_of(intent).collect() };
    let table = plan.datasets.iter().find(|dataset| dataset.name == intent.dataset);
    let raw = || format!("{} to {}", intent.range.start, intent.range.end);
    let (outcome, bytes) = match entry.outcome.as_ref().map(|recorded| &recorded.outcome) {
        Some(Outcome::Dropped { bytes }) => (ItemOutcome::Dropped, *bytes),
        Some(Outcome::Gone) => (ItemOutcome::Gone, intent.bytes),
        Some(Outcome::NotDropped { why }) => (ItemOutcome::NotTried { why: why.clone() }, intent.bytes),
        None => (ItemOutcome::NotTried { why: "nobody knows what became of it".into() }, intent.bytes),
    };
    ItemReport {
        chunk: chunk.label(),
        range: intent.range,
        shown_range: table.map_or_else(raw, |table| table.axis.show_range(intent.range)),
        bytes,
        outcome,
    }
}
