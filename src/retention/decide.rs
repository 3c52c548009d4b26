//! One dataset's facts and policy in, a decision with its reason for every chunk out.
//!
//! The order of the rules is the order of this file: what cannot be judged is kept first, then what the
//! policy keeps, then what protects single chunks. Invariant: a chunk is dropped only if its whole
//! range lies before the cutoff and it is not the newest; the answer equals the server's own
//! `show_chunks(older_than => cutoff)` but for what is protected.

use jiff::tz::TimeZone;

use super::facts::{DatasetFacts, Hold};
use super::guard;
use super::model::Chunk;
use super::plan::ChunkPlan;
use super::policy::{self, NoCutoff, Policy};
use super::reason::{Decision, Reason};
use super::rules::GuardSettings;
use super::time_axis::{Position, TimeAxis, TimeKind};

/// What deciding needs beside the dataset itself.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    pub now: i64,
    pub zone: &'a TimeZone,
    pub holds: &'a [Hold],
    pub guards: GuardSettings,
}

/// The decisions for one dataset.
#[derive(Debug, Clone)]
pub struct Decided {
    pub cutoff: Option<Position>,
    pub chunks: Vec<ChunkPlan>,
}

pub fn decide(dataset: &DatasetFacts, policy: Option<&Policy>, around: Circumstances<'_>) -> Decided {
    let axis = TimeAxis::new(dataset.kind.clone(), policy.and_then(|p| p.integer_unit));
    let cutoff = policy
        .and_then(|p| p.drop_after)
        .map(|after| policy::cutoff(after, &axis, around.now, dataset.integer_now, around.zone));
    let now = axis.position_of_now(around.now, dataset.integer_now, around.zone);
    let ranks = Ranks::new(&dataset.chunks, now);
    let mut chunks: Vec<ChunkPlan> = dataset
        .chunks
        .iter()
        .enumerate()
        .map(|(index, chunk)| {
            let reason = first_reason(dataset, policy, cutoff.as_ref(), &ranks, index, around);
            let also_held = also_held(dataset, chunk, &reason, around);
            ChunkPlan { also_held, ..planned(chunk, reason, policy, &axis, around.zone) }
        })
        .collect();
    keep_ranges_around_kept_chunks(&mut chunks);
    Decided { cutoff: cutoff.and_then(Result::ok), chunks }
}

fn first_reason(
    dataset: &DatasetFacts,
    policy: Option<&Policy>,
    cutoff: Option<&Result<Position, NoCutoff>>,
    ranks: &Ranks,
    index: usize,
    around: Circumstances<'_>,
) -> Reason {
    let chunk = &dataset.chunks[index];
    let Some(policy) = policy else { return Reason::NoPolicy };
    cannot_be_judged(dataset, chunk, cutoff)
        .or_else(|| kept_by_policy(chunk, policy, cutoff, ranks, index))
        .or_else(|| protected(dataset, chunk, ranks, index, around))
        .unwrap_or_else(|| let_go(policy, cutoff, ranks, index))
}

fn cannot_be_judged(
    dataset: &DatasetFacts,
    chunk: &Chunk,
    cutoff: Option<&Result<Position, NoCutoff>>,
) -> Option<Reason> {
    if let TimeKind::Other(name) = &dataset.kind {
        return Some(Reason::NoCutoff { problem: NoCutoff::UnsupportedTimeType(name.clone()) });
    }
    if dataset.integer_now_error.is_some() {
        return Some(Reason::NoCutoff { problem: NoCutoff::IntegerNowFails });
    }
    if let Some(Err(problem)) = cutoff {
        return Some(Reason::NoCutoff { problem: problem.clone() });
    }
    if is_tiered(chunk) {
        return Some(Reason::Tiered);
    }
    if !chunk.range.is_well_formed() {
        return Some(Reason::MalformedRange);
    }
    (!chunk.range.has_end()).then_some(Reason::NoEnd)
}

fn is_tiered(chunk: &Chunk) -> bool {
    chunk.parts.iter().any(|part| part.state.tiered)
}

fn kept_by_policy(
    chunk: &Chunk,
    policy: &Policy,
    cutoff: Option<&Result<Position, NoCutoff>>,
    ranks: &Ranks,
    index: usize,
) -> Option<Reason> {
    if let Some(Ok(cutoff)) = cutoff
        && !chunk.range.lies_before(*cutoff)
    {
        return Some(Reason::NotExpired { cutoff: *cutoff });
    }
    let keep = policy.keep_newest?;
    match ranks.of(index) {
        None => Some(Reason::InTheFuture),
        Some(rank) if rank <= keep => Some(Reason::AmongNewest { keep, rank }),
        Some(_) => None,
    }
}

fn protected(
    dataset: &DatasetFacts,
    chunk: &Chunk,
    ranks: &Ranks,
    index: usize,
    around: Circumstances<'_>,
) -> Option<Reason> {
    if ranks.is_newest(index) {
        return Some(Reason::NewestChunk);
    }
    if chunk.parts.iter().any(|part| part.state.frozen) {
        return Some(Reason::Frozen);
    }
    guard::hold::held(&dataset.name, chunk, around.holds, around.now).or_else(|| {
        guard::dependants::aggregate_would_lose(dataset, chunk, around.guards.continuous_aggregates)
    })
}

/// Its age keeps it for now, and then a hold.
fn also_held(
    dataset: &DatasetFacts,
    chunk: &Chunk,
    reason: &Reason,
    around: Circumstances<'_>,
) -> Option<Reason> {
    let by_age = matches!(reason, Reason::NotExpired { .. } | Reason::InTheFuture);
    by_age.then(|| guard::hold::held(&dataset.name, chunk, around.holds, around.now)).flatten()
}

fn let_go(
    policy: &Policy,
    cutoff: Option<&Result<Position, NoCutoff>>,
    ranks: &Ranks,
    index: usize,
) -> Reason {
    match (cutoff, policy.keep_newest, ranks.of(index)) {
        (Some(Ok(cutoff)), _, _) => Reason::Expired { cutoff: *cutoff },
        (_, Some(keep), Some(rank)) => Reason::BeyondNewest { keep, rank },
        // A policy has one of the two; without either nothing may go.
        _ => Reason::NoPolicy,
    }
}

fn decision_of(reason: &Reason) -> Decision {
    match reason {
        Reason::Expired { .. } | Reason::BeyondNewest { .. } => Decision::Drop,
        Reason::NotMaterialized { .. } | Reason::InRefreshWindow { .. } => Decision::Refuse,
        _ => Decision::Keep,
    }
}

fn planned(
    chunk: &Chunk,
    reason: Reason,
    policy: Option<&Policy>,
    axis: &TimeAxis,
    zone: &TimeZone,
) -> ChunkPlan {
    let after = policy.and_then(|p| p.drop_after);
    let due =
        after.filter(|_| chunk.range.has_end()).and_then(|a| policy::due(a, axis, chunk.range.end, zone));
    ChunkPlan { chunk: chunk.clone(), decision: decision_of(&reason), reason, due, also_held: None }
}

/// `drop_chunks` on a range takes everything inside it, so a chunk whose range includes one that
/// stays has to stay as well. Such nests exist where a space-partitioned table changed its interval.
fn keep_ranges_around_kept_chunks(chunks: &mut [ChunkPlan]) {
    if !has_overlaps(chunks) {
        return;
    }
    loop {
        let found = chunks.iter().enumerate().find_map(|(index, outer)| {
            if outer.decision != Decision::Drop {
                return None;
            }
            let inner = chunks.iter().find(|inner| {
                inner.decision != Decision::Drop
                    && inner.chunk.range != outer.chunk.range
                    && outer.chunk.range.contains(inner.chunk.range)
            })?;
            Some((index, inner.chunk.parts.first()?.relation.clone()))
        });
        let Some((index, kept)) = found else { return };
        chunks[index].decision = Decision::Keep;
        chunks[index].reason = Reason::SurroundsKept { kept };
    }
}

/// Ranges are sorted by end, so neighbours are enough.
fn has_overlaps(chunks: &[ChunkPlan]) -> bool {
    chunks.windows(2).any(|pair| pair[0].chunk.range.end > pair[1].chunk.range.start)
}

/// The place of each chunk counted from the newest that has begun; future chunks have none.
struct Ranks {
    by_index: Vec<Option<u32>>,
    newest: Option<usize>,
    newest_begun: Option<usize>,
}

impl Ranks {
    fn new(chunks: &[Chunk], now: Option<Position>) -> Self {
        // Tiered data has no range of its own here; counted, it would pass for the newest chunk.
        let mut order: Vec<usize> = (0..chunks.len()).filter(|index| !is_tiered(&chunks[*index])).collect();
        order.sort_by_key(|index| std::cmp::Reverse((chunks[*index].range.end, chunks[*index].range.start)));
        let begun = |index: &usize| now.is_none_or(|now| chunks[*index].range.start <= now);
        let mut by_index = vec![None; chunks.len()];
        for (rank, index) in (1_u32..).zip(order.iter().copied().filter(|index| begun(index))) {
            by_index[index] = Some(rank);
        }
        let newest_begun = order.iter().copied().find(|index| begun(index));
        Self { by_index, newest: order.first().copied(), newest_begun }
    }

    fn of(&self, index: usize) -> Option<u32> {
        self.by_index[index]
    }

    fn is_newest(&self, index: usize) -> bool {
        self.newest == Some(index) || self.newest_begun == Some(index)
    }
}

#[cfg(test)]
mod tests;
