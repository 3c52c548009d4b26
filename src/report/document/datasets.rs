//! Data that jobs own, as tables: how many stand how, what the pass went for, and what waits for what.

use crate::report::Report;
use crate::report::owned::{DatasetItem, DatasetOutcome, Group, OwnedReport, Standing};
use crate::report::table::counted;
use crate::retention::model::ByteCount;

use super::{Block, known, lines, table};

/// Lines of one list; the attached JSON has more.
const SHOWN: usize = 50;

pub fn blocks(report: &Report) -> Vec<Block> {
    let Some(owned) = &report.owned else { return Vec::new() };
    let counts = owned
        .groups
        .iter()
        .map(|group| vec![group.standing.word().into(), group.count.to_string(), size(group.bytes)]);
    let mut blocks = table(&["datasets", " number", " size"], counts.collect());
    blocks.extend(went_for(owned));
    for standing in
        [Standing::LeftByCap, Standing::Marked, Standing::Waiting, Standing::Held, Standing::Absent]
    {
        blocks.extend(owned.group(standing).into_iter().flat_map(list));
    }
    blocks
}

/// Most stores cannot tell what a dataset weighs.
fn size(bytes: ByteCount) -> String {
    if bytes.0 == 0 { String::new() } else { bytes.to_string() }
}

fn went_for(owned: &OwnedReport) -> Vec<Block> {
    let rows = owned.items.iter().take(SHOWN).map(item).collect();
    let mut blocks = table(&["went for", "outcome", " size", "why"], rows);
    blocks.extend(more(owned.items.len()));
    blocks
}

fn item(item: &DatasetItem) -> Vec<String> {
    let outcome = match &item.outcome {
        DatasetOutcome::Dropped => "dropped".into(),
        DatasetOutcome::Gone => "gone already".into(),
        DatasetOutcome::Kept { why } => format!("stays: {why}"),
        DatasetOutcome::Failed { message, .. } => format!("failed: {message}"),
        DatasetOutcome::Unknown { why } => format!("unknown: {why}"),
        DatasetOutcome::NotTried { why } => format!("not tried: {why}"),
    };
    vec![item.dataset.clone(), outcome, known(item.bytes), item.why.clone()]
}

fn list(group: &Group) -> Vec<Block> {
    let rows = group.datasets.iter().take(SHOWN);
    let mut blocks = table(
        &[group.standing.word(), "why"],
        rows.map(|line| vec![line.dataset.clone(), line.why.clone()]).collect(),
    );
    blocks.extend(more(group.count));
    blocks
}

fn more(count: usize) -> Vec<Block> {
    if count <= SHOWN {
        return Vec::new();
    }
    lines(&[format!("and {} more", counted(count - SHOWN, "dataset"))])
}
