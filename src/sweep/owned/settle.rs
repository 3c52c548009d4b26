//! Settles what earlier passes left open: a process that was killed between an intent and its outcome, or a
//! drop whose answer was lost.
//!
//! Invariant: only the very row that the intent names is touched. A dataset that is still there gets its
//! grace anew; whatever became of its row since is somebody else's word and stays.

use crate::problem::Result;
use crate::registry::SeenRow;
use crate::report::owned::SettledDataset;
use crate::state::{OpenDatasetIntent, Outcome, RunId};

use super::{Journal, OwnedPass};

pub(super) async fn settle(
    pass: &OwnedPass,
    journal: &dyn Journal,
    identity: &str,
    by: RunId,
    settled: &mut Vec<SettledDataset>,
) -> Result<()> {
    for open in journal.open_intents(identity).await? {
        let (outcome, what) = settle_one(pass, &open).await?;
        journal.write_outcome(open.id, &outcome, (pass.our_now)(), Some(by)).await?;
        settled.push(SettledDataset {
            run: open.run.0,
            dataset: open.intent.dataset.0.to_string(),
            dropped: matches!(outcome, Outcome::Dropped { .. }),
            what: what.to_owned(),
        });
    }
    Ok(())
}

async fn settle_one(pass: &OwnedPass, open: &OpenDatasetIntent) -> Result<(Outcome, &'static str)> {
    let intent = &open.intent;
    let row = SeenRow { job: intent.job, marked_at: intent.marked_at };
    if pass.store.look(&intent.dataset).await?.is_none() {
        let same = pass.registry.dropped(&intent.dataset, &row).await?;
        let what =
            if same { "it is gone, and so is its row" } else { "it is gone; its row had changed and stays" };
        return Ok((Outcome::Dropped { bytes: intent.bytes }, what));
    }
    let now = pass.registry.now().await?;
    let same = pass.registry.restart_grace(&intent.dataset, &row, now).await?;
    let what = if same {
        "it is still there, and its grace starts anew"
    } else {
        "it is there, and its row had changed: nothing was done"
    };
    Ok((Outcome::NotDropped { why: what.into() }, what))
}
