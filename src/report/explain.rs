//! The decision chain of one chunk or table: every step from the policy to the date it goes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::problem::printable;
use crate::retention::plan::{ChunkPlan, DatasetPlan, Plan};
use crate::retention::reason::Decision;

use super::plan_text::policy_of;
use super::table::{counted, minute};

/// What is known about one target.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    pub target: String,
    pub steps: Vec<String>,
    pub conclusion: String,
}

pub fn render(explanation: &Explanation) -> String {
    let mut text = format!("{}\n", printable(&explanation.target));
    for (number, step) in (1..).zip(&explanation.steps) {
        let _ = writeln!(text, "  {number}. {}", printable(step));
    }
    let _ = writeln!(text, "  => {}", printable(&explanation.conclusion));
    text
}

/// Why this chunk goes or stays.
pub fn of_chunk(dataset: &DatasetPlan, chunk: &ChunkPlan) -> Explanation {
    let mut steps = vec![format!(
        "a chunk of {}, {}, {}",
        dataset.name,
        dataset.axis.show_range(chunk.chunk.range),
        chunk.chunk.bytes().map_or_else(|| "size unknown".into(), |bytes| bytes.to_string())
    )];
    steps.push(policy_step(dataset));
    if let Some(cutoff) = dataset.cutoff {
        let older = chunk.chunk.range.lies_before(cutoff);
        let relation = if older { "at or before" } else { "after" };
        steps.push(format!(
            "the cutoff is {}; the chunk ends {relation} it, at {}",
            dataset.axis.show_cutoff(cutoff),
            dataset.axis.show(chunk.chunk.range.end)
        ));
    }
    steps.push(format!("{}: {}", chunk.decision.word(), chunk.reason.sentence(&dataset.axis)));
    steps.extend(
        chunk.also_held.iter().map(|hold| format!("held beside that: {}", hold.sentence(&dataset.axis))),
    );
    steps.extend(troubles(dataset));
    Explanation { target: chunk.chunk.label(), steps, conclusion: conclusion(dataset, chunk) }
}

fn policy_step(dataset: &DatasetPlan) -> String {
    match &dataset.policy {
        Some(_) => format!("policy: {}", policy_of(dataset)),
        None => "no policy matches it".into(),
    }
}

fn troubles(dataset: &DatasetPlan) -> Vec<String> {
    let refused = dataset
        .refusals
        .iter()
        .map(|refusal| format!("the table is refused: {} (hint: {})", refusal.sentence, refusal.way_out));
    let warned = dataset.warnings.iter().map(|warning| format!("warning: {warning}"));
    refused.chain(warned).collect()
}

fn conclusion(dataset: &DatasetPlan, chunk: &ChunkPlan) -> String {
    let refused = !dataset.refusals.is_empty();
    match (chunk.decision, chunk.goes_at()) {
        (Decision::Drop, _) if refused => "it would go, but a guard refuses its table".into(),
        (Decision::Drop, _) => "the next run drops it".into(),
        (Decision::Refuse, _) => "it stays until the guard's reason is gone".into(),
        (Decision::Keep, Some(at)) => format!("it stays until {} UTC", minute(at)),
        (Decision::Keep, None) => match &chunk.also_held {
            Some(hold) => format!("it stays: {}", hold.sentence(&dataset.axis)),
            None => "it stays".into(),
        },
    }
}

/// While a guard refuses the whole run nothing goes, whatever the table's own decision is.
pub fn add_refusals_of_the_run(explanation: &mut Explanation, plan: &Plan) {
    if plan.refusals.is_empty() {
        return;
    }
    let sentences = plan.refusals.iter();
    explanation.steps.extend(sentences.map(|refusal| {
        format!("every run is refused now: {} (hint: {})", refusal.sentence, refusal.way_out)
    }));
    explanation.conclusion =
        format!("nothing goes while every run is refused; otherwise: {}", explanation.conclusion);
}

/// Every hold on the table or a chunk of it, also one that matters only later.
fn holds(dataset: &DatasetPlan) -> Vec<String> {
    let held = dataset.chunks.iter().filter_map(ChunkPlan::hold);
    let counted_by_hold = held.fold(BTreeMap::<String, usize>::new(), |mut all, hold| {
        *all.entry(hold.sentence(&dataset.axis)).or_default() += 1;
        all
    });
    let step = |(hold, chunks)| format!("{}: {hold}", counted(chunks, "held chunk"));
    counted_by_hold.into_iter().map(step).collect()
}

/// Why this table's oldest chunks are still there, and when the next one goes.
pub fn of_dataset(dataset: &DatasetPlan) -> Explanation {
    let mut steps = vec![policy_step(dataset)];
    if let Some(cutoff) = dataset.cutoff {
        steps.push(format!("the cutoff is {}", dataset.axis.show_cutoff(cutoff)));
    }
    let going = dataset.going().count();
    let total = counted(dataset.chunks.len(), "chunk");
    steps.push(format!("{going} of {total} would go, {} of {}", dataset.bytes_going(), dataset.bytes()));
    if let Some(oldest) = dataset.chunks.iter().find(|chunk| chunk.decision != Decision::Drop) {
        let reason = oldest.reason.sentence(&dataset.axis);
        steps.push(format!("the oldest chunk that stays is {}: {reason}", oldest.chunk.label()));
    }
    steps.extend(holds(dataset));
    steps.extend(troubles(dataset));
    let conclusion = match (going, dataset.next_going()) {
        (0, Some(due)) => format!("nothing goes before {} UTC", minute(due)),
        (0, None) => match dataset.hold() {
            Some(hold) => format!("nothing goes while it lasts: {}", hold.sentence(&dataset.axis)),
            None => "nothing goes".into(),
        },
        _ if dataset.refusals.is_empty() => format!("the next run drops {}", counted(going, "chunk")),
        _ => "a guard refuses the table".into(),
    };
    Explanation { target: dataset.name.to_string(), steps, conclusion }
}
