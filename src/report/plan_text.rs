//! A plan for people: what would go and what stays, with reasons, bytes and dates; totals last.
//!
//! Neighbouring chunks with the same decision and reason share a line unless all are asked for.
//! Invariant: every chunk of the plan is in exactly one line.

use std::fmt::Write as _;

use crate::problem::printable;
use crate::retention::guard::Refusal;
use crate::retention::model::ByteCount;
use crate::retention::plan::{ChunkPlan, DatasetPlan, Plan};
use crate::retention::policy::{Policy, PolicySource};
use crate::retention::reason::Decision;

use super::table::{counted, day, indented, minute, number, plain};

pub fn render(plan: &Plan, every_chunk: bool) -> String {
    let mut text = format!(
        "plan {} for store {}: {}\n{}, its clock says {} UTC\n",
        plan.id,
        plan.store,
        printable(&plan.identity),
        printable(&plan.server),
        minute(plan.now)
    );
    for dataset in &plan.datasets {
        text.push('\n');
        text.push_str(&render_dataset(dataset, !plan.refusals.is_empty(), every_chunk));
    }
    text.push('\n');
    for warning in &plan.warnings {
        let _ = writeln!(text, "warning: {}", printable(warning));
    }
    text.push_str(&run_refusals(&plan.refusals));
    text.push_str(&totals(plan));
    text
}

fn render_dataset(dataset: &DatasetPlan, run_is_refused: bool, every_chunk: bool) -> String {
    let mut text = format!("{}: {}\n", dataset.name, printable(policy_of(dataset)));
    if dataset.chunks.is_empty() {
        text.push_str("  no chunks\n");
    } else {
        let refused = run_is_refused || !dataset.refusals.is_empty();
        text.push_str(&chunk_table(dataset, refused, every_chunk));
    }
    for warning in &dataset.warnings {
        let _ = writeln!(text, "  warning: {}", printable(warning));
    }
    text.push_str(&table_refusals(&all_refusals(dataset)));
    text
}

/// What refuses the table, and what refuses single chunks of it.
pub fn all_refusals(dataset: &DatasetPlan) -> Vec<Refusal> {
    dataset.refusals.iter().cloned().chain(dataset.refused_chunks()).collect()
}

/// `drop after 30 days, by the configuration`; the pattern is named where it is not the table's own name.
pub fn policy_of(dataset: &DatasetPlan) -> String {
    match &dataset.policy {
        Some(policy) => {
            let article = if matches!(policy.source, PolicySource::NativeJob { .. }) { "" } else { "the " };
            format!("{policy}, by {article}{}", source_of(policy, dataset))
        }
        None => "no policy".into(),
    }
}

pub fn source_of(policy: &Policy, dataset: &DatasetPlan) -> String {
    match &policy.source {
        PolicySource::Configuration { table } if *table == dataset.name.to_string() => "configuration".into(),
        PolicySource::Configuration { table } => format!("configuration for {table}"),
        source => source.to_string(),
    }
}

fn chunk_table(dataset: &DatasetPlan, refused: bool, every_chunk: bool) -> String {
    let chunks = if every_chunk { "chunk" } else { "chunks" };
    let mut table = plain(&["", chunks, "range", "size", "rows", "why", "goes"]);
    for group in groups(dataset, every_chunk) {
        let (first, last) = (&group[0], &group[group.len() - 1]);
        let chunks =
            if every_chunk { comfy_table::Cell::new(first.chunk.label()) } else { number(group.len()) };
        let range = format!(
            "{} .. {}",
            dataset.axis.show(first.chunk.range.start),
            dataset.axis.show(last.chunk.range.end)
        );
        table.add_row(vec![
            comfy_table::Cell::new(first.decision.word()),
            chunks,
            comfy_table::Cell::new(printable(range)),
            number(bytes_of(group)),
            number(rows_of(group)),
            comfy_table::Cell::new(printable(first.reason.sentence(&dataset.axis))),
            comfy_table::Cell::new(goes(group, refused)),
        ]);
    }
    indented(&table)
}

/// Runs of neighbours that share decision and reason, as far as people can see.
fn groups(dataset: &DatasetPlan, every_chunk: bool) -> Vec<&[ChunkPlan]> {
    let sentence = |chunk: &ChunkPlan| chunk.reason.sentence(&dataset.axis);
    let alike = |a: &ChunkPlan, b: &ChunkPlan| {
        a.decision == b.decision
            && a.also_held == b.also_held
            && (a.reason == b.reason || sentence(a) == sentence(b))
    };
    dataset.chunks.chunk_by(|a, b| !every_chunk && alike(a, b)).collect()
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

/// What a guard keeps back goes at no time that anybody knows.
fn goes(group: &[ChunkPlan], refused: bool) -> String {
    match (group[0].decision, group[0].goes_at()) {
        (Decision::Drop, _) if refused => "refused".into(),
        (Decision::Drop, _) => "now".into(),
        (_, Some(at)) if group.len() > 1 => format!("from {}", day(at)),
        (_, Some(at)) => day(at),
        _ if group[0].hold().is_some() => "held".into(),
        _ => String::new(),
    }
}

/// What stops a whole run, each with its way out.
pub fn run_refusals(refusals: &[Refusal]) -> String {
    indented_refusals("", refusals)
}

/// What stops one table, below its name.
pub fn table_refusals(refusals: &[Refusal]) -> String {
    indented_refusals("  ", refusals)
}

fn indented_refusals(indent: &str, refusals: &[Refusal]) -> String {
    let lines = |refusal: &Refusal| {
        let (sentence, way_out) = (printable(&refusal.sentence), printable(&refusal.way_out));
        format!("{indent}refused: {sentence}\n{indent}  hint: {way_out}\n")
    };
    refusals.iter().map(lines).collect()
}

fn totals(plan: &Plan) -> String {
    let going: usize = plan.going();
    let bytes: ByteCount = plan.datasets.iter().map(DatasetPlan::bytes_going).sum();
    let all: usize = plan.datasets.iter().map(|dataset| dataset.chunks.len()).sum();
    let whole: ByteCount = plan.datasets.iter().map(DatasetPlan::bytes).sum();
    let allowed: usize = plan.allowed(false).map(|dataset| dataset.going().count()).sum();
    let refused = match going - allowed {
        0 => String::new(),
        refused if refused == going => "; guards refuse all of them".into(),
        refused => format!("; guards refuse {refused} of them"),
    };
    format!("total: {going} of {} would go, {bytes} of {whole}{refused}\n", counted(all, "chunk"))
}
