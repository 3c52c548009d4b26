//! `timesweep explain TARGET`: the decision chain of one chunk or table, dropped ones included.

use clap::Args;

use super::target::{self, Target};
use super::{Common, exit, open, output, owned};
use crate::problem::Result;
use crate::report::explain::{self, Explanation};
use crate::report::table::minute;
use crate::retention::facts::StoreFacts;
use crate::retention::name::RelationName;
use crate::state::{ChunkHistory, Outcome, State};
use crate::sweep::gather;

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A table, a chunk as `_timescaledb_internal._hyper_1_1_chunk`, or a dataset of jobs
    target: String,
}

pub async fn explain(common: &Common, args: &ExplainArgs) -> Result<u8> {
    if let Some(opened) = owned::open_if_meant(common).await? {
        return owned::explain::explain(common, &opened, &args.target).await;
    }
    let name = target::parse(&args.target)?;
    let opened = open::open(common)?;
    let state = open::existing_state(&opened.state_path).await?;
    let facts = gather::facts(opened.driver.as_ref(), &opened.store).await?;
    let plan = gather::plan(&facts, &opened.store, state.as_ref(), None).await?;
    let mut explanation = match target::find(&plan, &name) {
        Some(Target::Dataset(dataset)) => explain::of_dataset(dataset),
        Some(Target::Chunk(dataset, chunk)) => explain::of_chunk(dataset, chunk),
        None => from_history(state.as_ref(), &facts, &name).await?,
    };
    explain::add_refusals_of_the_run(&mut explanation, &plan);
    if let Some(state) = state {
        state.close().await?;
    }
    output::print(common.output, || explain::render(&explanation), &explanation)?;
    Ok(exit::DONE)
}

async fn from_history(state: Option<&State>, facts: &StoreFacts, name: &RelationName) -> Result<Explanation> {
    let Some(state) = state else { return Err(target::unknown(name)) };
    let history = state.outcomes_of_chunk(&facts.identity, None, name).await?;
    if history.is_empty() {
        return Err(target::unknown(name));
    }
    Ok(of_history(&name.to_string(), &history))
}

/// What the journal knows about a chunk that is not there any more.
fn of_history(target: &str, history: &[ChunkHistory]) -> Explanation {
    let steps = history.iter().map(history_step).collect();
    let dropped = history
        .iter()
        .any(|entry| matches!(entry.outcome.as_ref().map(|o| &o.outcome), Some(Outcome::Dropped { .. })));
    let conclusion = if dropped { "timesweep dropped it" } else { "timesweep did not drop it" };
    Explanation { target: target.to_owned(), steps, conclusion: conclusion.into() }
}

fn history_step(entry: &ChunkHistory) -> String {
    let intent = &entry.intent;
    let head = format!(
        "run {} of {} UTC meant to drop it from {} ({}): {}",
        entry.run,
        minute(entry.run_started_at),
        intent.dataset,
        intent.bytes.map_or_else(|| "size unknown".into(), |bytes| bytes.to_string()),
        intent.reason
    );
    let tail = match &entry.outcome {
        None => "the outcome is not known yet".to_owned(),
        Some(recorded) => {
            let at = minute(recorded.at);
            match &recorded.outcome {
                Outcome::Dropped { .. } => format!("dropped at {at} UTC"),
                Outcome::Gone => format!("gone already at {at} UTC"),
                Outcome::NotDropped { why } => format!("not dropped: {why}"),
            }
        }
    };
    format!("{head}; {tail}")
}
