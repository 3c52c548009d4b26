//! The partition: before and after, what was freed, and when it will be full.

use crate::report::Report;
use crate::report::measure::{DaysUntil, DiskForecast, DiskReading, DiskReport, FreedReport};
use crate::report::subject::{same, whole_days};
use crate::retention::model::ByteCount;

use crate::report::table::counted;

use super::{Block, known, lines, table};

pub fn blocks(report: &Report) -> Vec<Block> {
    let mut blocks = Vec::new();
    if let Some(disk) = &report.disk {
        blocks.push(Block::Chart("disk"));
        blocks.extend(table(&["what", " before", " after"], sizes(disk)));
        blocks.extend(table(
            &["file system", " size", " used before", " used after", " free", " free inodes"],
            systems(disk),
        ));
    }
    blocks.extend(lines(&freed(report)));
    if let Some(disk) = &report.disk {
        let header = ["full", "policy", " 80 %", " 90 %", " 100 %", "from"];
        blocks.extend(table(&header, disk.forecasts.iter().flat_map(forecast).collect()));
        blocks.extend(lines(&unknown(disk)));
    }
    blocks
}

fn sizes(disk: &DiskReport) -> Vec<Vec<String>> {
    let of = |read: fn(&DiskReading) -> Option<ByteCount>| {
        [&disk.before, &disk.after].map(|reading| known(reading.as_ref().and_then(read)))
    };
    let mut rows = Vec::new();
    for (what, [before, after]) in
        [("data", of(|reading| reading.data)), ("write-ahead log", of(|reading| reading.wal))]
    {
        rows.push(vec![what.to_owned(), before, after]);
    }
    let newest = disk.after.as_ref().or(disk.before.as_ref());
    for space in newest.iter().flat_map(|reading| &reading.tablespaces) {
        let size = |reading: &Option<DiskReading>| {
            let spaces = &reading.as_ref()?.tablespaces;
            spaces.iter().find(|other| other.name == space.name)?.bytes
        };
        let name = format!("tablespace {}", space.name);
        rows.push(vec![name, known(size(&disk.before)), known(size(&disk.after))]);
    }
    rows
}

fn systems(disk: &DiskReport) -> Vec<Vec<String>> {
    let newest = disk.after.as_ref().or(disk.before.as_ref());
    let used = |reading: &Option<DiskReading>, path: &str| {
        let system = reading.as_ref().and_then(|reading| same(&reading.file_systems, path));
        known(system.map(|system| format!("{:.0} %", system.used_percent())))
    };
    let row = |system: &crate::report::measure::FileSystemReading| {
        let holds =
            if system.holds.is_empty() { String::new() } else { format!(" ({})", system.holds.join(", ")) };
        vec![
            format!("{}{holds}", system.path),
            system.size.to_string(),
            used(&disk.before, &system.path),
            used(&disk.after, &system.path),
            system.free.to_string(),
            known(system.free_inodes),
        ]
    };
    newest.iter().flat_map(|reading| &reading.file_systems).map(row).collect()
}

fn freed(report: &Report) -> Vec<String> {
    let by_sizes = |freed: &FreedReport| {
        let measured =
            freed.measured.map_or_else(|| "measured: unknown".into(), |bytes| format!("measured: {bytes}"));
        let again = if freed.measured_again { ", measured again after a short while" } else { "" };
        let why = freed.difference.as_ref().map(|why| format!("; the difference: {why}")).unwrap_or_default();
        format!("freed: {} by the sizes of the chunks, {measured}{again}{why}", freed.expected)
    };
    let database = report
        .bytes_before
        .zip(report.bytes_after)
        .map(|(before, after)| format!("the database: {before} before, {after} after"));
    report.freed.iter().map(by_sizes).chain(database).collect()
}

fn forecast(forecast: &DiskForecast) -> Vec<Vec<String>> {
    let row = |policy: &str, all: &[DaysUntil]| {
        let days = |percent: u8| {
            let found = all.iter().find(|until| until.percent == percent);
            found
                .and_then(|until| until.days)
                .map_or_else(|| "no date".into(), |days| format!("in {}", whole_days(days)))
        };
        let samples =
            format!("{} of {}", counted(forecast.samples, "sample"), whole_days(forecast.span_days.round()));
        vec![forecast.path.clone(), policy.to_owned(), days(80), days(90), days(100), samples]
    };
    let with = row("with", &forecast.with_policy);
    if forecast.without_policy.is_empty() {
        return vec![with];
    }
    vec![with, row("without", &forecast.without_policy)]
}

fn unknown(disk: &DiskReport) -> Vec<String> {
    let source = (!disk.source.is_empty()).then(|| format!("read from {}", disk.source));
    let unknown = disk.unknown.iter().map(|what| format!("unknown: {what}"));
    let no_date = disk.forecasts.iter().filter_map(|forecast| {
        forecast.why_none.as_ref().map(|why| format!("no date for {}: {why}", forecast.path))
    });
    source.into_iter().chain(unknown).chain(no_date).collect()
}
