//! The tables: sizes and chunks before and after, growth, and why the rest stays.

use crate::report::measure::{SizeParts, TableMeasure};
use crate::report::measure_text::next_goes;
use crate::report::{DatasetReport, Report};
use crate::retention::model::ByteCount;

use super::{Block, known, lines, table};

pub fn sizes(report: &Report) -> Vec<Block> {
    let header = ["table", " chunks before", " after", " dropped", " freed", " size before", " after"];
    let rows = report.datasets.iter().map(|dataset| {
        let measure = dataset.measure.as_ref();
        vec![
            dataset.name.to_string(),
            known((!report.from_journal).then_some(dataset.chunks_before)),
            known(measure.and_then(|measure| measure.chunks_after)),
            dataset.dropped().count().to_string(),
            dataset.bytes_freed().to_string(),
            known((!report.from_journal).then_some(dataset.bytes_before)),
            known(measure.and_then(|measure| measure.after.as_ref()).map(|after| after.total)),
        ]
    });
    let mut blocks = table(&header, rows.collect());
    if !blocks.is_empty() {
        blocks.push(Block::Chart("chunks"));
        blocks.extend(parts(report));
    }
    blocks
}

/// What the sizes are made of, for tables whose store tells.
fn parts(report: &Report) -> Vec<Block> {
    let header =
        ["table, in parts", " rows", " indexes", " TOAST", " compressed", " mean chunk", " largest chunk"];
    let rows = report.datasets.iter().filter_map(|dataset| {
        let measure = dataset.measure.as_ref()?;
        let newest = measure.after.as_ref().unwrap_or(&measure.before);
        let SizeParts { table, index, toast, compressed, .. } = newest;
        let parts = [*table, *index, *toast, *compressed, measure.mean_chunk, measure.largest_chunk];
        let any = parts.iter().any(Option::is_some);
        any.then(|| std::iter::once(dataset.name.to_string()).chain(parts.map(known)).collect())
    });
    table(&header, rows.collect())
}

pub fn growth(report: &Report) -> Vec<Block> {
    let measured = |dataset: &DatasetReport| Some((dataset.name.to_string(), dataset.measure.clone()?));
    let all: Vec<(String, TableMeasure)> = report.datasets.iter().filter_map(measured).collect();
    let header =
        ["table", " a day", " rows a day", " in a steady state", " a month more costs", "next chunk goes"];
    let rows = all.iter().map(|(name, measure)| {
        vec![
            name.clone(),
            known(measure.daily_bytes.and_then(volume)),
            known(measure.daily_rows.map(|rows| format!("{rows:.0}"))),
            known(measure.steady_state),
            known(measure.one_more_month),
            next_goes(measure),
        ]
    });
    let mut blocks = table(&header, rows.collect());
    if !blocks.is_empty() {
        blocks.insert(0, Block::Chart("size"));
    }
    let why = |(name, measure): &(String, TableMeasure)| {
        measure.why_unknown.as_ref().map(|why| format!("{name}: {why}"))
    };
    blocks.extend(lines(&all.iter().filter_map(why).collect::<Vec<_>>()));
    blocks
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn volume(daily: f64) -> Option<String> {
    daily.is_finite().then(|| {
        let sign = if daily < 0.0 { "-" } else { "" };
        format!("{sign}{}", ByteCount(daily.abs() as u64))
    })
}

pub fn kept(report: &Report) -> Vec<Block> {
    let rows = report.datasets.iter().flat_map(|dataset| {
        let row = |kept: &crate::report::Kept| {
            let (chunks, bytes) = (kept.chunks.to_string(), kept.bytes.to_string());
            vec![dataset.name.to_string(), chunks, bytes, kept.reason.clone()]
        };
        dataset.kept.iter().map(row).collect::<Vec<_>>()
    });
    let policies = report.datasets.iter().map(|dataset| {
        let policy = dataset.policy.as_deref().unwrap_or("no policy");
        format!("{}: {policy}", dataset.name)
    });
    let mut blocks = table(&["table", " chunks", " size", "why they stay"], rows.collect());
    blocks.extend(lines(&policies.collect::<Vec<_>>()));
    blocks
}
