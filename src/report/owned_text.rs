//! A pass over owned data for people: what went, what is in the way, and how the rest stands.
//!
//! Invariant: a list that is cut says how many it leaves out.

use std::fmt::Write as _;

use crate::problem::printable;

use super::owned::{DatasetItem, DatasetLine, DatasetOutcome, Group, OwnedReport, Standing};
use super::plan_text::run_refusals;
use super::table::{counted, indented, minute, number, plain};
use super::{Report, closing, gate_text};

/// Lines of one list.
const SHOWN: usize = 20;

pub fn render(report: &Report, owned: &OwnedReport) -> String {
    let seconds = (report.ended_at - report.started_at).max(0) / 1_000_000;
    let head = format!(
        "run {} ({}) on store {}: {}\n{}, {} UTC, {seconds} s\n\n",
        report.run,
        report.command,
        report.store,
        report.verdict.word(),
        printable(&report.server),
        minute(report.started_at),
    );
    let gate = report.gate.as_ref().map(|gate| gate_text::render(gate) + "\n").unwrap_or_default();
    [
        head,
        closing::undone(report),
        troubles(report),
        gate,
        settled(owned),
        items(owned),
        standings(owned, SHOWN),
        closing::render(report),
    ]
    .concat()
}

/// What `plan` and a run without `--apply` show; `all` lists every dataset that is known.
pub fn render_preview(report: &Report, owned: &OwnedReport, all: bool) -> String {
    let head = format!(
        "store {}: {}, {} UTC\n\n",
        report.store,
        printable(&report.server),
        minute(report.started_at)
    );
    let shown = if all { usize::MAX } else { SHOWN };
    [head, troubles(report), standings(owned, shown), closing::render(report)].concat()
}

fn separated(text: String) -> String {
    if text.is_empty() { text } else { text + "\n" }
}

fn troubles(report: &Report) -> String {
    let mut text = String::new();
    if let Some(why) = &report.stopped {
        let _ = writeln!(text, "stopped early: {}", printable(why));
    }
    text.push_str(&run_refusals(&report.refusals));
    for warning in &report.warnings {
        let _ = writeln!(text, "warning: {}", printable(warning));
    }
    separated(text)
}

fn settled(owned: &OwnedReport) -> String {
    let line = |text: String, settled: &super::owned::SettledDataset| {
        let (dataset, what) = (printable(&settled.dataset), printable(&settled.what));
        text + &format!("run {} was cut off: {dataset}: {what}\n", settled.run)
    };
    separated(owned.settled.iter().fold(String::new(), line))
}

fn items(owned: &OwnedReport) -> String {
    if owned.items.is_empty() {
        return String::new();
    }
    let dropped = owned.dropped().count();
    let weighed = match owned.bytes_dropped().0 {
        0 => String::new(),
        _ => format!(", {}", owned.bytes_dropped()),
    };
    let mut text = format!("dropped {}{weighed}\n", counted(dropped, "dataset"));
    // What did not go needs eyes more than what went.
    let (went, stayed): (Vec<&DatasetItem>, Vec<&DatasetItem>) =
        owned.items.iter().partition(|item| item.outcome == DatasetOutcome::Dropped);
    for list in [stayed, went] {
        list.iter().take(SHOWN).for_each(|item| text.push_str(&item_line(item)));
        text.push_str(&left_out(list.len(), SHOWN));
    }
    text + "\n"
}

fn item_line(item: &DatasetItem) -> String {
    let (dataset, why) = (printable(&item.dataset), printable(&item.why));
    let size = item.bytes.map(|bytes| format!(" ({bytes})")).unwrap_or_default();
    match &item.outcome {
        DatasetOutcome::Dropped => format!("  {dataset}{size}: {why}\n"),
        DatasetOutcome::Gone => format!("  {dataset}: somebody else dropped it\n"),
        DatasetOutcome::Kept { why } => format!("  {dataset}: stays, {}\n", printable(why)),
        DatasetOutcome::Unknown { why } => {
            format!("  {dataset}: nobody knows whether it is gone, {}\n", printable(why))
        }
        DatasetOutcome::NotTried { why } => format!("  {dataset}: not tried, {}\n", printable(why)),
        DatasetOutcome::Failed { message, hint } => {
            let hint = hint.as_ref().map(|hint| format!("    hint: {}\n", printable(hint)));
            format!("  {dataset}: failed, {}\n{}", printable(message), hint.unwrap_or_default())
        }
    }
}

fn left_out(count: usize, shown: usize) -> String {
    if count > shown { format!("  … and {} more\n", count - shown) } else { String::new() }
}

fn standings(owned: &OwnedReport, shown: usize) -> String {
    let mut table = plain(&["datasets", "number", "size"]);
    for group in &owned.groups {
        let size = if group.bytes.0 == 0 { String::new() } else { group.bytes.to_string() };
        table.add_row(vec![comfy_table::Cell::new(group.standing.word()), number(group.count), number(size)]);
    }
    table.add_row(vec![comfy_table::Cell::new("listed by the store"), number(owned.listed), number("")]);
    let mut text = indented(&table);
    for group in owned.groups.iter().filter(|group| shown == usize::MAX || group.standing.is_told()) {
        text.push_str(&list(group, shown));
    }
    text.push_str(&jobs(owned, shown));
    text
}

fn list(group: &Group, shown: usize) -> String {
    let mut text = format!("\n{}\n", group.standing.word());
    for line in group.datasets.iter().take(shown) {
        text.push_str(&dataset_line(line));
    }
    text + &left_out(group.count, shown.min(group.datasets.len()))
}

pub fn dataset_line(line: &DatasetLine) -> String {
    format!("  {}: {}\n", printable(&line.dataset), printable(&line.why))
}

fn jobs(owned: &OwnedReport, shown: usize) -> String {
    let mut text = String::new();
    if !owned.live_jobs.is_empty() {
        text.push_str("\njobs at work that may still claim something\n");
        for job in owned.live_jobs.iter().take(shown) {
            let wait = if job.datasets == 1 { "waits" } else { "wait" };
            let _ = writeln!(text, "  {}: {} {wait} for it", job.job, counted(job.datasets, "dataset"));
        }
        text.push_str(&left_out(owned.live_jobs.len(), shown));
    }
    for job in &owned.jobs_too_old {
        let _ = writeln!(text, "\njob {job} was at work for longer than any job takes: it counts as ended");
    }
    text
}

impl Standing {
    /// Whether the text lists some of them, and not only how many they are.
    fn is_told(self) -> bool {
        !matches!(self, Self::Owned | Self::Foreign)
    }
}
