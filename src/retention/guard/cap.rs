//! Stops a run that would drop more of a table than anybody expects: a mistyped retention, a wrong clock.
//!
//! A cap refuses the table as a whole instead of dropping a part: a part of a mistake is a mistake, too.
//! It never blocks a preview, and a person who has read the plan can override it once, by its id.

use super::{GuardName, Refusal};
use crate::retention::model::ByteCount;
use crate::retention::plan::ChunkPlan;
use crate::retention::reason::Decision;
use crate::retention::rules::Caps;
use crate::retention::time_axis::Position;

/// `now` is the table's own now, where it has one.
pub fn over_the_cap(chunks: &[ChunkPlan], caps: Caps, now: Option<Position>) -> Vec<Refusal> {
    let going = |chunk: &&ChunkPlan| chunk.decision == Decision::Drop;
    let count = chunks.iter().filter(going).count() as u64;
    if count == 0 {
        return Vec::new();
    }
    [too_many_bytes(chunks, caps), too_large(chunks, caps), too_many(count, caps), nothing_left(chunks, now)]
        .into_iter()
        .flatten()
        .collect()
}

fn too_many(count: u64, caps: Caps) -> Option<Refusal> {
    (count > caps.chunks).then(|| {
        Refusal::new(
            GuardName::CapCount,
            format!("{count} chunks would go, more than the cap of {}", caps.chunks),
            override_hint("caps.chunks"),
        )
    })
}

fn too_many_bytes(chunks: &[ChunkPlan], caps: Caps) -> Option<Refusal> {
    let whole = known_bytes(chunks.iter());
    let going = known_bytes(chunks.iter().filter(|chunk| chunk.decision == Decision::Drop));
    let unknown = chunks.iter().any(|c| c.decision == Decision::Drop && c.chunk.bytes().is_none());
    let share = caps.share_of_bytes;
    if going.0 <= share.of(whole.0) && !unknown {
        return None;
    }
    let sentence = if unknown {
        "the size of a chunk that would go is unknown, so the cap cannot be checked".to_owned()
    } else {
        format!("{going} of {whole} would go, more than the cap of {share}")
    };
    Some(Refusal::new(GuardName::CapBytes, sentence, override_hint("caps.share_of_bytes")))
}

fn too_large(chunks: &[ChunkPlan], caps: Caps) -> Option<Refusal> {
    let allowed = caps.bytes?;
    let going = known_bytes(chunks.iter().filter(|chunk| chunk.decision == Decision::Drop));
    (going > allowed).then(|| {
        Refusal::new(
            GuardName::CapBytes,
            format!("{going} would go, more than the cap of {allowed}"),
            override_hint("caps.bytes"),
        )
    })
}

/// The newest chunk is kept by deciding already; this looks at the outcome, whatever decided it.
fn nothing_left(chunks: &[ChunkPlan], now: Option<Position>) -> Option<Refusal> {
    let stays = |chunk: &ChunkPlan| {
        chunk.decision != Decision::Drop && now.is_none_or(|now| chunk.chunk.range.start <= now)
    };
    (!chunks.iter().any(stays)).then(|| {
        Refusal::new(
            GuardName::CapAll,
            "every chunk that holds data up to now would go",
            "nothing changes this answer; a table that is not needed any more is dropped by hand",
        )
    })
}

fn known_bytes<'a>(chunks: impl Iterator<Item = &'a ChunkPlan>) -> ByteCount {
    chunks.filter_map(|chunk| chunk.chunk.bytes()).sum()
}

fn override_hint(setting: &str) -> String {
    format!(
        "read the plan, save it with `plan --out FILE` and run `apply FILE --override-caps PLAN-ID` once, or raise `{setting}`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retention::reason::Reason;
    use crate::retention::rules::Share;
    use crate::retention::testing::{DAY, NOW, chunk};

    fn plan(decisions: &[(Decision, u64)]) -> Vec<ChunkPlan> {
        let mut day = -i64::try_from(decisions.len()).expect("few");
        decisions
            .iter()
            .map(|(decision, bytes)| {
                day += 1;
                let mut chunk = chunk(1, day - 1, day);
                chunk.parts[0].bytes = Some(ByteCount(*bytes));
                ChunkPlan { chunk, decision: *decision, reason: Reason::NoPolicy, due: None, also_held: None }
            })
            .collect()
    }

    fn guards(chunks: &[ChunkPlan], caps: Caps) -> Vec<GuardName> {
        over_the_cap(chunks, caps, Some(NOW)).into_iter().map(|refusal| refusal.guard).collect()
    }

    fn caps(percent: f64, chunks: u64) -> Caps {
        Caps { share_of_bytes: Share::from_percent(percent).expect("share"), chunks, bytes: None }
    }

    #[test]
    fn a_cap_counts_chunks_and_bytes() {
        use Decision::{Drop, Keep};
        let half = plan(&[(Drop, 50), (Keep, 50)]);
        assert_eq!(guards(&half, caps(50.0, 1)), []);
        assert_eq!(guards(&half, caps(49.0, 1)), [GuardName::CapBytes]);
        let two = plan(&[(Drop, 1), (Drop, 1), (Keep, 50)]);
        assert_eq!(guards(&two, caps(50.0, 1)), [GuardName::CapCount]);
        let amount = Caps { bytes: Some(ByteCount(1)), ..caps(50.0, 9) };
        assert_eq!(guards(&two, amount), [GuardName::CapBytes]);
    }

    #[test]
    fn nothing_to_drop_is_never_over_a_cap() {
        assert_eq!(guards(&plan(&[(Decision::Keep, 1)]), caps(1.0, 0)), []);
        assert_eq!(guards(&[], caps(1.0, 0)), []);
    }

    #[test]
    fn an_unknown_size_counts_as_over_the_cap() {
        let mut chunks = plan(&[(Decision::Drop, 1), (Decision::Keep, 100)]);
        chunks[0].chunk.parts[0].bytes = None;
        assert_eq!(guards(&chunks, caps(50.0, 9)), [GuardName::CapBytes]);
    }

    #[test]
    fn all_of_the_data_never_goes_even_if_future_chunks_stay() {
        let mut chunks = plan(&[(Decision::Drop, 1), (Decision::Keep, 100)]);
        chunks[1].chunk.range.start = NOW + DAY;
        chunks[1].chunk.range.end = NOW + 2 * DAY;
        let refusals = over_the_cap(&chunks, caps(100.0, 9), Some(NOW));
        assert_eq!(refusals[0].guard, GuardName::CapAll);
        assert!(!refusals[0].is_cap(), "nobody can override this one");
    }
}
