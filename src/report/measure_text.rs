//! Disk, sizes and growth for people: what was measured, what follows from it, and what is unknown.
//!
//! Invariant: what is not known is called *unknown* and never left out or shown as zero.

use std::fmt::{Display, Write as _};

use comfy_table::Cell;

use crate::problem::printable;
use crate::retention::model::ByteCount;

use super::Report;
use super::measure::{
    DaysUntil, DiskForecast, DiskReading, DiskReport, FileSystemReading, FreedReport, SizeParts, TableMeasure,
};
use super::subject::whole_days;
use super::table::{counted, day, indented, number, plain};

/// The paragraphs of a run: disk, tables, growth, why chunks stay.
pub fn render(report: &Report) -> String {
    let mut text =
        report.disk.as_ref().map(|disk_report| disk(disk_report, report.freed.as_ref())).unwrap_or_default();
    text.push_str(&sizes(report));
    text.push_str(&growth(report));
    text.push_str(&kept(report));
    text
}

/// One paragraph, with an empty line after it. With `freed` it is that of a run, before and after; without it
/// there was one look only.
pub fn disk(report: &DiskReport, freed: Option<&FreedReport>) -> String {
    // Without a source nothing was read: a signal came first.
    let source = if report.source.is_empty() { "nothing" } else { &report.source };
    let mut text = format!("disk, read by {}\n", printable(source));
    let (run, newest) = (freed.is_some(), report.after.as_ref().or(report.before.as_ref()));
    if let Some(newest) = newest {
        text.push_str(&file_systems(newest, report.before.as_ref(), run));
        text.push_str(&parts(newest, report.before.as_ref(), run));
    }
    if let Some(freed) = freed {
        text.push_str(&difference(freed));
    }
    for forecast in &report.forecasts {
        text.push_str(&forecast_lines(forecast));
    }
    for why in &report.unknown {
        let _ = writeln!(text, "  unknown: {}", printable(why));
    }
    text + "\n"
}

fn known(value: Option<impl Display>) -> String {
    value.map_or_else(|| "unknown".into(), |value| value.to_string())
}

/// When the next chunk goes, for people.
pub fn next_goes(measure: &TableMeasure) -> String {
    match measure.next_due {
        None if measure.held => "held".into(),
        due => known(due.map(day)),
    }
}

fn file_systems(newest: &DiskReading, before: Option<&DiskReading>, run: bool) -> String {
    if newest.file_systems.is_empty() {
        return String::new();
    }
    let used: &[&str] = if run { &["used before", "used now"] } else { &["used"] };
    let mut table = plain(&[&["file system", "holds", "size"], used, &["free", "free inodes"]].concat());
    for system in &newest.file_systems {
        let used = |system: &FileSystemReading| format!("{:.0} %", system.used_percent());
        let mut row = vec![
            Cell::new(printable(&system.path)),
            Cell::new(printable(system.holds.join(", "))),
            number(system.size),
        ];
        let earlier = before.and_then(|reading| same(system, reading)).map(used);
        row.extend(run.then(|| number(known(earlier))));
        row.extend([number(used(system)), number(system.free), number(known(system.free_inodes))]);
        table.add_row(row);
    }
    indented(&table)
}

fn same<'a>(system: &FileSystemReading, reading: &'a DiskReading) -> Option<&'a FileSystemReading> {
    reading.file_systems.iter().find(|other| other.path == system.path)
}

fn parts(newest: &DiskReading, before: Option<&DiskReading>, run: bool) -> String {
    let mut table = plain(if run { &["", "before", "now"] } else { &["", "size"] });
    let mut add = |name: String, before: Option<ByteCount>, now: Option<ByteCount>| {
        let mut row = vec![Cell::new(name)];
        row.extend(run.then(|| number(known(before))));
        row.push(number(known(now)));
        table.add_row(row);
    };
    add("data".into(), before.and_then(|reading| reading.data), newest.data);
    add("write-ahead log".into(), before.and_then(|reading| reading.wal), newest.wal);
    for space in &newest.tablespaces {
        let same = |reading: &DiskReading| reading.tablespaces.iter().find(|s| s.name == space.name)?.bytes;
        add(format!("tablespace {}", printable(&space.name)), before.and_then(same), space.bytes);
    }
    indented(&table)
}

fn difference(freed: &FreedReport) -> String {
    let Some(why) = &freed.difference else { return String::new() };
    let again = if freed.measured_again { ", measured again after a while" } else { "" };
    let measured = known(freed.measured);
    format!("  freed: {} expected, {measured} measured{again}: {}\n", freed.expected, printable(why))
}

fn forecast_lines(forecast: &DiskForecast) -> String {
    let path = printable(&forecast.path);
    let mut text = String::new();
    for (how, days) in [("with the policy", &forecast.with_policy), ("without it", &forecast.without_policy)]
    {
        let dates: Vec<String> = days.iter().filter_map(until).collect();
        if !dates.is_empty() {
            let _ = writeln!(text, "  {path}, {how}: {}", dates.join(", "));
        }
    }
    if let Some(why) = &forecast.why_none {
        let _ = writeln!(text, "  {path}: no date, {}", printable(why));
    }
    text
}

fn until(until: &DaysUntil) -> Option<String> {
    let when = match until.days? {
        days if days <= 0.0 => "reached".to_owned(),
        days if days < 1.0 => "in less than a day".into(),
        days => format!("in {}", whole_days(days.round())),
    };
    Some(format!("{} % {when}", until.percent))
}

fn sizes(report: &Report) -> String {
    let mut table = plain(&[
        "table",
        "chunks before",
        "after",
        "size before",
        "after",
        "heap",
        "index",
        "toast",
        "compressed",
    ]);
    for dataset in &report.datasets {
        let Some(measure) = &dataset.measure else { continue };
        let now =
            |part: fn(&SizeParts) -> Option<ByteCount>| number(known(measure.after.as_ref().and_then(part)));
        table.add_row(vec![
            Cell::new(&dataset.name),
            number(measure.chunks_before),
            number(known(measure.chunks_after)),
            number(measure.before.total),
            number(known(measure.after.as_ref().map(|after| after.total))),
            now(|parts| parts.table),
            now(|parts| parts.index),
            now(|parts| parts.toast),
            now(|parts| parts.compressed),
        ]);
    }
    paragraph(&table)
}

fn growth(report: &Report) -> String {
    let mut table = plain(&[
        "table",
        "mean chunk",
        "largest",
        "a day",
        "rows a day",
        "next goes",
        "steady state",
        "a month more",
    ]);
    let mut reasons = String::new();
    for dataset in &report.datasets {
        let Some(measure) = &dataset.measure else { continue };
        table.add_row(vec![
            Cell::new(&dataset.name),
            number(known(measure.mean_chunk)),
            number(known(measure.largest_chunk)),
            number(known(measure.daily_bytes.map(per_day))),
            number(known(measure.daily_rows.map(|rows| format!("~{rows:.0}")))),
            Cell::new(next_goes(measure)),
            number(known(measure.steady_state)),
            number(known(measure.one_more_month)),
        ]);
        if let Some(why) = &measure.why_unknown {
            let _ = writeln!(reasons, "  {}: {}", dataset.name, printable(why));
        }
    }
    if table.is_empty() { String::new() } else { indented(&table) + &reasons + "\n" }
}

/// Bytes of one day, for people.
pub fn per_day(bytes: f64) -> String {
    crate::retention::estimate::whole_bytes(bytes).map_or_else(|| "unknown".into(), |bytes| bytes.to_string())
}

fn kept(report: &Report) -> String {
    let mut table = plain(&["table", "stays", "size", "why"]);
    for dataset in &report.datasets {
        for kept in &dataset.kept {
            table.add_row(vec![
                Cell::new(&dataset.name),
                number(counted(kept.chunks, "chunk")),
                number(kept.bytes),
                Cell::new(printable(&kept.reason)),
            ]);
        }
    }
    paragraph(&table)
}

fn paragraph(table: &comfy_table::Table) -> String {
    if table.is_empty() { String::new() } else { indented(table) + "\n" }
}

#[cfg(test)]
mod tests;
