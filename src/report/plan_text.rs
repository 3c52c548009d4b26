//! A plan for people: what would go and what stays, with reasons, bytes and dates; totals last.
//!
//! Neighbouring chunks with the same decision and reason share a line unless all are asked for.
//! Invariant: every chunk of the plan is in exactly one line.

use std::fmt::Write as _;

use crate::retention::guard::Refusal;
use crate::retention::model::ByteCount;
use crate::retention::plan::{ChunkPlan, DatasetPlan, Plan};
use crate::retention::reason::Decision;

use super::table::{counted, day, indented, minute, number, plain};

pub fn render(plan: &Plan, every_chunk: bool) -> String {
    let mut text = format!(
        "plan {} for store {}: {}\n{}, its clock says {} UTC\n",
        plan.id,
        plan.store,
        plan.identity,
        plan.server,
        minute(plan.now)
    );
    for dataset in &plan.datasets {
        text.push('\n');
        text.push_str(&render_dataset(dataset, every_chunk));
    }
    text.push('\n');
    for warning in &plan.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    text.push_str(&refusals("this run", &plan.refusals));
    text.push_str(&totals(plan));
    text
}

fn render_dataset(dataset: &DatasetPlan, every_chunk: bool) -> String {
    let policy = dataset
        .policy
        .as_ref()
        .map_or_else(|| "no policy".to_owned(), |policy| format!("{policy}, from the {}", policy.source));
    let mut text = format!("{}  {policy}\n", dataset.name);
    if dataset.chunks.is_empty() {
        text.push_str("  no chunks\n");
    } else {
        text.push_str(&chunk_table(dataset, every_chunk));
    }
    for warning in &dataset.warnings {
        let _ = writeln!(text, "  warning: {warning}");
    }
    text.push_str(&refusals("this table", &dataset.refusals));
    text
}

fn chunk_table(dataset: &DatasetPlan, every_chunk: bool) -> String {
    let mut table = plain(&["", "chunks", "range", "size", "rows", "why", "goes"]);
    for group in groups(&dataset.chunks, every_chunk) {
        let (first, last) = (&group[0], &group[group.len() - 1]);
        let chunks = if every_chunk { number(first.chunk.label()) } else { number(group.len()) };
        let range = format!(
            "{} .. {}",
            dataset.axis.show(first.chunk.range.start),
            dataset.axis.show(last.chunk.range.end)
        );
        table.add_row(vec![
            comfy_table::Cell::new(first.decision.word()),
            chunks,
            comfy_table::Cell::new(range),
            number(bytes_of(group)),
            number(rows_of(group)),
            comfy_table::Cell::new(first.reason.sentence(&dataset.axis)),
            comfy_table::Cell::new(goes(group)),
        ]);
    }
    indented(&table)
}

/// Runs of neighbours that share decision and reason; ranks and such may differ within a run only if the
/// reason is the same value.
fn groups(chunks: &[ChunkPlan], every_chunk: bool) -> Vec<&[ChunkPlan]> {
    chunks.chunk_by(|a, b| !every_chunk && a.decision == b.decision && a.reason == b.reason).collect()
}

fn bytes_of(group: &[ChunkPlan]) -> String {
    let known: ByteCount = group.iter().filter_map(|chunk| chunk.chunk.bytes()).sum();
    if group.iter().any(|chunk| chunk.chunk.bytes().is_none()) { "unknown".into() } else { known.to_string() }
}

fn rows_of(group: &[ChunkPlan]) -> String {
    match group.iter().map(|chunk| chunk.chunk.rows()).sum::<Option<u64>>() {
        Some(rows) => format!("~{rows}"),
        None => "?".into(),
    }
}

fn goes(group: &[ChunkPlan]) -> String {
    match (group[0].decision, group[0].due) {
        (Decision::Drop, _) => "now".into(),
        (Decision::Keep, Some(due)) => day(due),
        _ => String::new(),
    }
}

pub fn refusals(what: &str, refusals: &[Refusal]) -> String {
    let line = |refusal: &Refusal| {
        format!("  refused for {what}: {}\n    hint: {}\n", refusal.sentence, refusal.way_out)
    };
    refusals.iter().map(line).collect()
}

fn totals(plan: &Plan) -> String {
    let going: usize = plan.going();
    let bytes: ByteCount = plan.datasets.iter().map(DatasetPlan::bytes_going).sum();
    let all: usize = plan.datasets.iter().map(|dataset| dataset.chunks.len()).sum();
    let whole: ByteCount = plan.datasets.iter().map(DatasetPlan::bytes).sum();
    let mut text = format!("total: {going} of {} would go, {bytes} of {whole}\n", counted(all, "chunk"));
    let allowed: usize = plan.allowed(false).map(|dataset| dataset.going().count()).sum();
    if allowed < going {
        let _ = writeln!(text, "       {} of them refused by guards", going - allowed);
    }
    text
}
