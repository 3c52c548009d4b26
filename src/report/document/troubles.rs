//! First of all: what stopped, what was refused, what stayed and why, and warnings.

use crate::problem::{on_one_line, printable};
use crate::report::closing::not_done;
use crate::report::{DatasetReport, ItemOutcome, ItemReport, Report};
use crate::retention::drift::DriftKind;
use crate::retention::guard::Refusal;

use crate::report::text::{tried, who};

use super::{Block, lines, table};

/// More chunks than this are counted, not listed; the attached JSON has them all.
const MOST_CHUNKS: usize = 40;

pub fn blocks(report: &Report) -> Vec<Block> {
    let mut blocks = Vec::new();
    let alarms = alarms(report);
    if !alarms.is_empty() {
        blocks.push(Block::Alarms(alarms));
    }
    blocks.extend(stayed(report));
    blocks.extend(lines(&changes(report)));
    blocks
}

fn alarms(report: &Report) -> Vec<String> {
    let stopped = report.stopped.iter().map(|why| format!("stopped early: {}", on_one_line(why)));
    let refused = report.refusals.iter().map(|refusal| refusal_line("the run", refusal));
    let of_tables = report.datasets.iter().flat_map(|dataset| {
        let name = dataset.name.to_string();
        let refused = dataset.refusals.iter().map(|refusal| refusal_line(&name, refusal)).collect::<Vec<_>>();
        let warned =
            dataset.warnings.iter().map(move |warning| format!("warning: {name}: {}", on_one_line(warning)));
        refused.into_iter().chain(warned)
    });
    let undone = not_done(report).into_iter().map(|said| format!("not done: {said}"));
    let warned = report.warnings.iter().map(|warning| format!("warning: {}", on_one_line(warning)));
    let all = stopped.chain(undone).chain(refused).chain(warned).chain(of_tables);
    all.map(printable).collect()
}

fn refusal_line(what: &str, refusal: &Refusal) -> String {
    format!("{what} is refused: {} (way out: {})", refusal.sentence, refusal.way_out)
}

fn stayed(report: &Report) -> Vec<Block> {
    let of_interest = |item: &ItemReport| item.outcome != ItemOutcome::Dropped;
    let all: Vec<_> = report.items().filter(|(_, item)| of_interest(item)).collect();
    let mut rows: Vec<Vec<String>> =
        all.iter().take(MOST_CHUNKS).map(|(dataset, item)| stayed_row(dataset, item)).collect();
    if all.len() > MOST_CHUNKS {
        let more = format!("and {} more; the JSON names them all", all.len() - MOST_CHUNKS);
        rows.push(vec![more, String::new(), String::new(), String::new()]);
    }
    table(&["chunk", "of", "range", "what happened"], rows)
}

fn stayed_row(dataset: &DatasetReport, item: &ItemReport) -> Vec<String> {
    vec![item.chunk.clone(), dataset.name.to_string(), item.shown_range.clone(), what_happened(&item.outcome)]
}

fn what_happened(outcome: &ItemOutcome) -> String {
    match outcome {
        ItemOutcome::Dropped => "dropped".into(),
        ItemOutcome::Gone => "somebody else dropped it".into(),
        ItemOutcome::Changed { what } => format!("left alone, {what}"),
        ItemOutcome::NotTried { why } => format!("not tried, {why}"),
        ItemOutcome::Failed { message, hint } => {
            let hint = hint.as_ref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
            format!("failed, {message}{hint}")
        }
        ItemOutcome::Blocked { tries, why, blockers } => {
            let by: Vec<String> = blockers
                .iter()
                .map(|blocker| {
                    let (state, statement) = (&blocker.state, &blocker.statement);
                    format!("{} ({state}, {} s): {statement}", who(blocker), blocker.age_seconds)
                })
                .collect();
            let by = if by.is_empty() { String::new() } else { format!("; blocked by {}", by.join("; ")) };
            format!("still locked after {}: {why}{by}", tried(*tries))
        }
    }
}

/// What earlier runs left open, and where a saved plan was no longer true.
fn changes(report: &Report) -> Vec<String> {
    let cut_off = report.cut_off.iter().map(ToString::to_string);
    let settled = report.settled.iter().map(|item| {
        let what = if item.dropped { "was dropped" } else { "is still there" };
        format!("run {} was cut off: {} of {} {what}", item.run, item.chunk, item.dataset)
    });
    let drifts = report.drifts.iter().map(|drift| match &drift.what {
        DriftKind::Gone => format!("{} of {}: skipped, gone already", drift.chunk, drift.dataset),
        DriftKind::Changed(what) => format!("{} of {}: left out, {what}", drift.chunk, drift.dataset),
    });
    let left_out = report.datasets.iter().flat_map(|dataset| {
        let line = |left: &crate::report::LeftOut| {
            format!("{} of {}: left out, {}", left.chunk, dataset.name, left.reason)
        };
        dataset.left_out.iter().map(line).collect::<Vec<_>>()
    });
    let all: Vec<String> = cut_off.chain(settled).chain(drifts).chain(left_out).collect();
    let more = all.len().saturating_sub(MOST_CHUNKS);
    let end = (more > 0).then(|| format!("and {more} more; the JSON names them all"));
    all.into_iter().take(MOST_CHUNKS).chain(end).collect()
}
