//! The runs before this one, for its report. What cannot be read is left out: no run fails for its history.
//!
//! Invariant: a run of another database, or one that never came to know its database, is nobody's history but its own.

use crate::report::Report;
use crate::report::past::{PastRun, REMEMBERED};
use crate::state::{RunRecord, State};

/// The last runs on the database of a report, newest first. A run that did not come to know its database has only its
/// place, and the runs that began there.
pub async fn runs_before(state: &State, report: &Report, place: &str) -> Vec<PastRun> {
    let limit = u32::try_from(REMEMBERED + 1).unwrap_or(u32::MAX);
    let records = if report.has_begun() {
        state.runs_on(&report.store, &report.identity, limit).await
    } else {
        state.runs_begun_at(place, limit).await
    };
    let records = records.unwrap_or_default();
    let before = |record: &&RunRecord| record.run.id.0 != report.run;
    records.iter().filter(before).take(REMEMBERED).map(past_run).collect()
}

pub fn past_run(record: &RunRecord) -> PastRun {
    let run = &record.run;
    let past = PastRun::cut_off(run.id.0, run.command.clone(), run.started_at);
    match &record.end {
        Some(end) => {
            past.with_end(end.ended_at, serde_json::from_str::<Report>(&end.report_json).ok().as_ref())
        }
        None => past,
    }
}
