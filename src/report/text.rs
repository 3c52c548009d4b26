//! A report for people: errors and warnings first, then what was freed, then why the rest stayed.

use std::fmt::Write as _;

use crate::retention::drift::DriftKind;

use super::plan_text::{run_refusals, table_refusals};
use super::table::{counted, indented, minute, number, plain};
use super::{DatasetReport, ItemOutcome, ItemReport, Report, Verdict};

pub fn render(report: &Report) -> String {
    let mut text = headline(report);
    text.push_str(&troubles(report));
    text.push_str(&settled(report));
    text.push_str(&drifts(report));
    text.push_str(&freed_table(report));
    text.push_str(&stayed(report));
    text.push_str(&totals(report));
    text
}

fn outcome(report: &Report) -> &'static str {
    match report.verdict {
        Verdict::Refused if report.chunks_dropped() > 0 => "partly refused",
        Verdict::Done => "done",
        Verdict::NothingToDo => "nothing to do",
        Verdict::Partial => "partial",
        Verdict::Refused => "refused",
        Verdict::Busy => "busy",
        Verdict::Interrupted => "interrupted",
    }
}

fn headline(report: &Report) -> String {
    let seconds = (report.ended_at - report.started_at).max(0) / 1_000_000;
    format!(
        "run {} ({}) on store {}: {}\n{}, {} UTC, {seconds} s\n\n",
        report.run,
        report.command,
        report.store,
        outcome(report),
        report.identity,
        minute(report.started_at),
    )
}

fn troubles(report: &Report) -> String {
    let mut text = String::new();
    if let Some(why) = &report.stopped {
        let _ = writeln!(text, "stopped early: {why}");
    }
    text.push_str(&run_refusals(&report.refusals));
    for warning in &report.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    for dataset in report.datasets.iter().filter(|d| !d.refusals.is_empty() || !d.warnings.is_empty()) {
        let _ = writeln!(text, "{}", dataset.name);
        text.push_str(&table_refusals(&dataset.refusals));
        for warning in &dataset.warnings {
            let _ = writeln!(text, "  warning: {warning}");
        }
    }
    separated(text)
}

fn separated(text: String) -> String {
    if text.is_empty() { text } else { text + "\n" }
}

fn settled(report: &Report) -> String {
    let mut text = String::new();
    for item in &report.settled {
        let what = if item.dropped { "was dropped" } else { "is still there" };
        let _ = writeln!(text, "run {} was cut off: {} of {} {what}", item.run, item.chunk, item.dataset);
    }
    separated(text)
}

fn drifts(report: &Report) -> String {
    let mut text = String::new();
    for alike in report.drifts.chunk_by(|a, b| a.dataset == b.dataset && a.what == b.what) {
        let first = &alike[0];
        let what = match &first.what {
            DriftKind::Gone => "skipped, gone already".to_owned(),
            DriftKind::Changed(what) => format!("left out, {what}"),
        };
        let more = match alike.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let _ = writeln!(text, "{}{more} of {}: {what}", first.chunk, first.dataset);
    }
    for dataset in &report.datasets {
        for left in &dataset.left_out {
            let _ = writeln!(text, "{} of {}: left out, {}", left.chunk, dataset.name, left.reason);
        }
    }
    separated(text)
}

fn freed_table(report: &Report) -> String {
    let mut table = plain(&["table", "dropped", "freed", "chunks before", "size before"]);
    let mut any = false;
    for dataset in report.datasets.iter().filter(|dataset| dataset.dropped().next().is_some()) {
        any = true;
        table.add_row(vec![
            comfy_table::Cell::new(&dataset.name),
            number(dataset.dropped().count()),
            number(dataset.bytes_freed()),
            number(dataset.chunks_before),
            number(dataset.bytes_before),
        ]);
    }
    if any { indented(&table) + "\n" } else { String::new() }
}

fn stayed(report: &Report) -> String {
    let mut text = String::new();
    for (dataset, item) in report.items() {
        if item.outcome != ItemOutcome::Dropped {
            text.push_str(&stayed_line(dataset, item));
        }
    }
    separated(text)
}

fn stayed_line(dataset: &DatasetReport, item: &ItemReport) -> String {
    let head = format!("{} of {} ({})", item.chunk, dataset.name, item.shown_range);
    match &item.outcome {
        ItemOutcome::Dropped => String::new(),
        ItemOutcome::Gone => format!("{head}: somebody else dropped it\n"),
        ItemOutcome::Changed { what } => format!("{head}: left alone, {what}\n"),
        ItemOutcome::NotTried { why } => format!("{head}: not tried, {why}\n"),
        ItemOutcome::Failed { message, hint } => {
            let hint = hint.as_ref().map(|hint| format!("  hint: {hint}\n")).unwrap_or_default();
            format!("{head}: failed, {message}\n{hint}")
        }
        ItemOutcome::Blocked { tries, why, blockers } => {
            let mut text = format!(
                "{head}: still locked after {}, {why}\n",
                if *tries == 1 { "1 try".into() } else { format!("{tries} tries") }
            );
            for blocker in blockers {
                let _ = writeln!(
                    text,
                    "  blocked by process {} of role {} ({}, {}, for {} s): {}",
                    blocker.pid,
                    blocker.role,
                    blocker.backend,
                    blocker.state,
                    blocker.age_seconds,
                    blocker.statement
                );
            }
            text
        }
    }
}

fn totals(report: &Report) -> String {
    let dropped = match report.chunks_dropped() {
        0 => "dropped nothing".to_owned(),
        count => format!("dropped {}, {} by their sizes", counted(count, "chunk"), report.bytes_expected()),
    };
    let size = match (report.bytes_measured(), report.bytes_after) {
        (Some(measured), Some(after)) if measured.0 > 0 && report.chunks_dropped() > 0 => {
            format!("the database is {measured} smaller, {after} now")
        }
        (_, Some(after)) => format!("the database is {after} now"),
        _ => "the database's size is unknown".into(),
    };
    format!("{dropped}; {size}\n")
}
