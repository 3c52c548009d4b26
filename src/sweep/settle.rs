//! Settles what earlier runs left open: a process that was killed between an intent and its outcome.
//!
//! The chunk is looked for by object id and name. Gone means that the cut-off run's transaction was
//! committed, so its bytes are counted there, once; still there means that nothing happened.

use crate::problem::Result;
use crate::report::Settled;
use crate::retention::model::{ChunkPart, PartState, StoreIdentity};
use crate::state::{Intent, IntentId, OpenIntent, Outcome, RunId, State};
use crate::store::Driver;

use super::gather::our_now;

pub async fn settle(
    driver: &dyn Driver,
    state: &State,
    identity: &StoreIdentity,
    by: RunId,
) -> Result<Vec<Settled>> {
    let open = state.open_intents(identity).await?;
    if open.is_empty() {
        return Ok(Vec::new());
    }
    let gone = which_are_gone(driver, &open).await?;
    let outcomes: Vec<(IntentId, Outcome)> =
        open.iter().zip(&gone).map(|(intent, gone)| (intent.id, outcome(intent, *gone))).collect();
    state.write_outcomes(&outcomes, our_now(), Some(by)).await?;
    Ok(open.iter().zip(gone).map(|(intent, gone)| settled(intent, gone)).collect())
}

/// A chunk counts as gone only if none of its parts is left.
async fn which_are_gone(driver: &dyn Driver, open: &[OpenIntent]) -> Result<Vec<bool>> {
    let parts: Vec<ChunkPart> = open.iter().flat_map(|open| parts_of(&open.intent)).collect();
    let there = driver.still_there(&parts).await?;
    let mut there = there.into_iter();
    Ok(open
        .iter()
        .map(|intent| {
            let left = there.by_ref().take(intent.intent.parts.len()).filter(|there| *there).count();
            left == 0
        })
        .collect())
}

pub(super) fn parts_of(intent: &Intent) -> impl Iterator<Item = ChunkPart> + '_ {
    intent.parts.iter().map(|part| ChunkPart {
        oid: part.oid,
        relation: part.relation.clone(),
        bytes: None,
        rows: None,
        state: PartState::default(),
    })
}

fn outcome(open: &OpenIntent, gone: bool) -> Outcome {
    if gone {
        Outcome::Dropped { bytes: open.intent.bytes }
    } else {
        Outcome::NotDropped { why: "the run was cut off before it was dropped".into() }
    }
}

fn settled(open: &OpenIntent, dropped: bool) -> Settled {
    let chunk = open.intent.parts.first().map_or_else(String::new, |part| part.relation.to_string());
    Settled {
        run: open.run.0,
        dataset: open.intent.dataset.clone(),
        chunk,
        dropped,
        bytes: open.intent.bytes,
    }
}
