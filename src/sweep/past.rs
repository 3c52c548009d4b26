//! The runs before this one, for its report. What cannot be read is left out: no run fails for its history.
//!
//! Invariant: a run of another database, or one that never came to know its database, is nobody's history but its own.

use crate::report::Report;
use crate::report::past::{PastRun, REMEMBERED};
use crate::retention::model::StoreIdentity;
use crate::state::{RunRecord, State};

/// The last runs on the database of a report, newest first. Where the run did not come to know its database it is the
/// one that all runs of the store worked on.
pub async fn runs_before(state: &State, report: &Report) -> Vec<PastRun> {
    let Some(identity) = database_of(state, report).await else { return Vec::new() };
    let limit = u32::try_from(REMEMBERED + 1).unwrap_or(u32::MAX);
    let records = state.runs_on(&report.store, &identity, limit).await.unwrap_or_default();
    let before = |record: &&RunRecord| record.run.id.0 != report.run;
    records.iter().filter(before).take(REMEMBERED).map(past_run).collect()
}

async fn database_of(state: &State, report: &Report) -> Option<StoreIdentity> {
    if report.has_begun() {
        return Some(report.identity.clone());
    }
    let mut all = state.databases_of(&report.store).await.ok()?;
    all.pop().filter(|_| all.is_empty())
}

fn past_run(record: &RunRecord) -> PastRun {
    let run = &record.run;
    let past = PastRun::cut_off(run.id.0, run.command.clone(), run.started_at);
    match &record.end {
        Some(end) => {
            past.with_end(end.ended_at, serde_json::from_str::<Report>(&end.report_json).ok().as_ref())
        }
        None => past,
    }
}
