//! The runs before this one, for its report. What cannot be read is left out: no run fails for its history.

use uuid::Uuid;

use crate::report::Report;
use crate::report::past::{PastRun, REMEMBERED};
use crate::retention::model::StoreName;
use crate::state::{RunRecord, State};

/// Runs of all stores that are looked through for those of ours.
const LOOKED_AT: u32 = 40;

/// The last runs on this store, newest first, without the one that asks.
pub async fn runs_before(state: &State, store: &StoreName, except: Option<Uuid>) -> Vec<PastRun> {
    let records = state.runs(LOOKED_AT).await.unwrap_or_default();
    let ours = |record: &&RunRecord| record.run.store == *store && Some(record.run.id.0) != except;
    records.iter().filter(ours).take(REMEMBERED).map(past_run).collect()
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
