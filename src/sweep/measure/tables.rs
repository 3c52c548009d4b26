//! Each table before and after a run: its size by parts, its growth, its chunks on the time axis, and
//! why the others stay.

use crate::report::measure::{ChunkMark, Fate, SizeParts, SizePoint, TableMeasure};
use crate::report::{DatasetReport, ItemOutcome, Kept, Report};
use crate::retention::estimate::table::estimate;
use crate::retention::facts::DatasetFacts;
use crate::retention::model::ByteCount;
use crate::retention::plan::{ChunkPlan, DatasetPlan, Plan};
use crate::retention::reason::{Decision, Reason};
use crate::state::SizeSample;

use super::{Measuring, Parts};

/// A year and a month: what a chart shows at most.
const HISTORY: i64 = 396 * 86_400_000_000;
/// More points than this no chart can show.
const MOST_POINTS: usize = 120;

pub(super) async fn fill(
    measuring: Measuring<'_>,
    plan: &Plan,
    before: &Parts,
    after: &Parts,
    at: i64,
    report: &mut Report,
) {
    let taken = sizes_after(measuring, plan, after, at, report);
    let kept = measuring.state.add_size_samples(&taken).await;
    let since = measuring.facts.now.saturating_sub(HISTORY);
    let known = measuring.state.size_samples(&measuring.facts.identity, since).await;
    let (samples, trouble) = match (kept, known) {
        (Ok(()), Ok(samples)) => (samples, None),
        (_, Err(problem)) | (Err(problem), _) => (taken, Some(problem.sentence)),
    };
    let trouble = trouble.or_else(|| before.why_unknown.clone()).or_else(|| after.why_unknown.clone());
    for (dataset, planned) in report.datasets.iter_mut().zip(&plan.datasets) {
        let Some(facts) = measuring.facts.datasets.iter().find(|facts| facts.name == planned.name) else {
            continue;
        };
        let mut measure = growth(measuring, planned, facts);
        measure.before = before
            .by_table
            .get(&planned.name)
            .cloned()
            .unwrap_or(SizeParts { total: planned.bytes(), ..SizeParts::default() });
        measure.after = after.by_table.get(&planned.name).cloned();
        measure.chunks_before = dataset.chunks_before;
        measure.chunks_after = Some(dataset.chunks_before - gone(dataset));
        measure.why_unknown = measure.why_unknown.or_else(|| trouble.clone());
        measure.history = history(&samples, planned);
        measure.chunks = planned.chunks.iter().map(|chunk| mark(chunk, dataset)).collect();
        dataset.kept = kept_by_reason(planned);
        dataset.measure = Some(measure);
    }
}

/// What follows from the chunks alone.
pub(super) fn growth(measuring: Measuring<'_>, plan: &DatasetPlan, facts: &DatasetFacts) -> TableMeasure {
    let found = estimate(plan, facts, measuring.facts.now, &measuring.config.rules.zone);
    TableMeasure {
        mean_chunk: found.mean_chunk,
        largest_chunk: found.largest_chunk,
        daily_bytes: found.daily_bytes,
        daily_rows: found.daily_rows,
        next_due: found.next_due,
        held: found.held,
        steady_state: found.steady_state,
        one_more_month: found.one_more_month,
        why_unknown: found.why_unknown,
        ..TableMeasure::default()
    }
}

/// Chunks that are not there any more, whoever dropped them.
fn gone(dataset: &DatasetReport) -> usize {
    dataset.items.iter().filter(|item| is_gone(&item.outcome)).count()
}

fn is_gone(outcome: &ItemOutcome) -> bool {
    matches!(outcome, ItemOutcome::Dropped | ItemOutcome::Gone)
}

fn sizes_after(
    measuring: Measuring<'_>,
    plan: &Plan,
    after: &Parts,
    at: i64,
    report: &Report,
) -> Vec<SizeSample> {
    let sample = |(dataset, planned): (&DatasetReport, &DatasetPlan)| {
        Some(SizeSample {
            store: measuring.config.name.clone(),
            identity: measuring.facts.identity.clone(),
            dataset: planned.name.clone(),
            at,
            bytes: after.by_table.get(&planned.name)?.total,
            chunks: (dataset.chunks_before - gone(dataset)) as u64,
        })
    };
    report.datasets.iter().zip(&plan.datasets).filter_map(sample).collect()
}

/// The table's samples, thinned evenly; the newest stays.
fn history(samples: &[SizeSample], plan: &DatasetPlan) -> Vec<SizePoint> {
    let of_table = samples.iter().filter(|sample| sample.dataset == plan.name);
    let all: Vec<SizePoint> = of_table.map(|s| SizePoint { at: s.at, bytes: s.bytes }).collect();
    let step = all.len().div_ceil(MOST_POINTS).max(1);
    let mut thinned: Vec<SizePoint> = all.into_iter().rev().step_by(step).collect();
    thinned.reverse();
    thinned
}

fn mark(chunk: &ChunkPlan, dataset: &DatasetReport) -> ChunkMark {
    let range = chunk.chunk.range;
    // Items are sorted by their ends.
    let found =
        dataset.items.binary_search_by_key(&(range.end, range.start), |i| (i.range.end, i.range.start));
    let outcome = found.ok().map(|index| &dataset.items[index].outcome);
    let fate = match (outcome, chunk.decision, &chunk.reason) {
        (Some(outcome), _, _) if is_gone(outcome) => Fate::Dropped,
        (Some(_), _, _) | (None, Decision::Drop | Decision::Refuse, _) => Fate::Stayed,
        (None, Decision::Keep, Reason::Held { .. }) => Fate::Held,
        (None, Decision::Keep, _) => Fate::Kept,
    };
    ChunkMark { start: range.start, end: range.end, bytes: chunk.chunk.bytes(), fate }
}

/// In the order in which the reasons first appear, oldest chunk first.
fn kept_by_reason(plan: &DatasetPlan) -> Vec<Kept> {
    let mut kept: Vec<Kept> = Vec::new();
    for chunk in plan.chunks.iter().filter(|chunk| chunk.decision != Decision::Drop) {
        let reason = chunk.reason.sentence(&plan.axis);
        let bytes = chunk.chunk.bytes().unwrap_or(ByteCount(0));
        match kept.iter_mut().find(|kept| kept.reason == reason) {
            Some(same) => {
                same.chunks += 1;
                same.bytes = same.bytes.saturating_add(bytes);
            }
            None => kept.push(Kept { reason, chunks: 1, bytes }),
        }
    }
    kept
}
