//! Compares a saved plan with the facts of now: what of it may still be done.
//!
//! Gone = skipped; changed = left out and shown; new = never touched. Invariant: the selection that comes
//! out of here is a subset of what the plan said, and deciding goes on from the fresh facts.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::facts::StoreFacts;
use super::model::{ByteCount, Chunk};
use super::name::DatasetName;
use super::plan::Plan;
use super::time_axis::TimeRange;

/// The chunks that a saved plan allows, by dataset and exact range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection(HashSet<(DatasetName, TimeRange)>);

impl Selection {
    pub fn includes(&self, dataset: &DatasetName, range: TimeRange) -> bool {
        self.0.contains(&(dataset.clone(), range))
    }
}

/// A planned chunk that is not as the plan says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    pub dataset: DatasetName,
    pub chunk: String,
    pub range: TimeRange,
    pub what: DriftKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftKind {
    /// Not there any more: skipped.
    Gone,
    /// Not as planned: left out.
    Changed(String),
}

/// A chunk that grew by more than this, and by more than a hundredth, holds other data than the person saw
/// who read the plan. Below it lies what vacuum adds: a free-space map and a visibility map.
const GROWTH_FLOOR: u64 = 64 << 10;

pub fn compare(saved: &Plan, facts: &StoreFacts) -> (Selection, Vec<Drift>) {
    let mut selection = Selection::default();
    let mut drifts = Vec::new();
    for dataset in &saved.datasets {
        let fresh = facts.datasets.iter().find(|fresh| fresh.name == dataset.name);
        let fresh_chunks = fresh.map_or(&[][..], |fresh| fresh.chunks.as_slice());
        let by_range: HashMap<TimeRange, &Chunk> = fresh_chunks.iter().map(|c| (c.range, c)).collect();
        let oids: HashSet<u32> = fresh_chunks.iter().flat_map(|c| c.parts.iter().map(|p| p.oid)).collect();
        for planned in dataset.going().map(|going| &going.chunk) {
            match difference(planned, by_range.get(&planned.range).copied(), &oids) {
                None => {
                    selection.0.insert((dataset.name.clone(), planned.range));
                }
                Some(what) => drifts.push(Drift {
                    dataset: dataset.name.clone(),
                    chunk: planned.label(),
                    range: planned.range,
                    what,
                }),
            }
        }
    }
    (selection, drifts)
}

fn difference(planned: &Chunk, fresh: Option<&Chunk>, oids: &HashSet<u32>) -> Option<DriftKind> {
    let any_left = planned.parts.iter().any(|part| oids.contains(&part.oid));
    let Some(fresh) = fresh else {
        let changed = || DriftKind::Changed("its range is another one now".into());
        return Some(if any_left { changed() } else { DriftKind::Gone });
    };
    let identity = |chunk: &Chunk| -> HashSet<(u32, String)> {
        chunk.parts.iter().map(|part| (part.oid, part.relation.to_string())).collect()
    };
    if identity(planned) != identity(fresh) {
        let what = if any_left { "its parts are others now" } else { "it was dropped and made again" };
        return Some(DriftKind::Changed(what.into()));
    }
    grown(planned.bytes(), fresh.bytes())
}

fn grown(planned: Option<ByteCount>, fresh: Option<ByteCount>) -> Option<DriftKind> {
    let (Some(planned), Some(fresh)) = (planned, fresh) else { return None };
    let allowed = planned.0.saturating_add(u64::max(planned.0 / 100, GROWTH_FLOOR));
    (fresh.0 > allowed).then(|| DriftKind::Changed(format!("it grew from {planned} to {fresh}")))
}

#[cfg(test)]
mod tests {
    use super::super::model::StoreName;
    use super::super::plan::{Drawing, draw};
    use super::super::rules::Rules;
    use super::super::testing::{DAY, chunk, daily, rule, store};
    use super::*;

    fn saved(facts: &StoreFacts) -> Plan {
        let rules = Rules { policies: vec![rule(Some("public.t"), Some("6 days"))], ..Rules::default() };
        let drawing =
            Drawing { id: uuid::Uuid::nil(), made_by: "test".into(), store: StoreName("main".into()) };
        draw(drawing, facts, &rules, &[], None)
    }

    #[test]
    fn gone_is_skipped_changed_is_left_out_and_new_is_not_selected() {
        let before = store(vec![daily("t", 12)]);
        let plan = saved(&before);
        assert_eq!(plan.going(), 5);
        let mut now = before.clone();
        let chunks = &mut now.datasets[0].chunks;
        let new_range = chunk(77, -30, -29);
        chunks[1].parts[0].oid = 900;
        chunks[2].parts[0].bytes = Some(ByteCount(3 << 20));
        chunks[3].range.end += DAY / 2;
        chunks[0] = new_range.clone();
        let (selection, drifts) = compare(&plan, &now);
        let kinds: Vec<String> = drifts.iter().map(|d| format!("{:?}", d.what)).collect();
        assert_eq!(
            kinds,
            [
                "Gone",
                "Changed(\"it was dropped and made again\")",
                "Changed(\"it grew from 1000 B to 3.0 MiB\")",
                "Changed(\"its range is another one now\")"
            ]
        );
        let name = &now.datasets[0].name;
        assert!(!selection.includes(name, new_range.range));
        assert!(selection.includes(name, now.datasets[0].chunks[4].range));
        assert_eq!(selection.0.len(), 1);
    }

    #[test]
    fn a_table_that_is_gone_leaves_nothing_to_do() {
        let plan = saved(&store(vec![daily("t", 12)]));
        let (selection, drifts) = compare(&plan, &store(vec![]));
        assert_eq!(selection, Selection::default());
        assert!(drifts.iter().all(|drift| drift.what == DriftKind::Gone));
    }
}
