//! Protects what depends on a dataset: continuous aggregates that would lose rows, foreign keys that
//! make every drop fail.
//!
//! Dropping raw chunks does not touch an aggregate's rows, but it logs an invalidation, and the next
//! refresh that reaches the dropped range finds nothing there and deletes the rows (timescaledb
//! issues 2198, 2570). Rows that were never materialized are lost at once.

use super::{GuardName, Refusal};
use crate::retention::facts::{AggregateFacts, DatasetFacts, RefreshWindow};
use crate::retention::model::Chunk;
use crate::retention::reason::Reason;
use crate::retention::rules::OnDependants;

/// Why an aggregate would lose data if this chunk went.
pub fn aggregate_would_lose(dataset: &DatasetFacts, chunk: &Chunk, setting: OnDependants) -> Option<Reason> {
    if setting == OnDependants::Allow {
        return None;
    }
    dataset.aggregates.iter().find_map(|aggregate| would_lose(aggregate, chunk))
}

fn would_lose(aggregate: &AggregateFacts, chunk: &Chunk) -> Option<Reason> {
    let view = aggregate.view.clone();
    if aggregate.not_materialized.iter().any(|range| range.overlaps(chunk.range)) {
        return Some(Reason::NotMaterialized { view });
    }
    let reached = match aggregate.refresh {
        RefreshWindow::None => false,
        RefreshWindow::From(position) => chunk.range.end > position,
        RefreshWindow::Unlimited => true,
    };
    reached.then_some(Reason::InRefreshWindow { view })
}

/// A foreign key that points at a hypertable makes the server refuse every drop of its chunks,
/// referenced or not.
pub fn foreign_key_points_here(dataset: &DatasetFacts) -> Option<Refusal> {
    let key = dataset.inbound_foreign_keys.first()?;
    Some(Refusal::new(
        GuardName::ForeignKey,
        format!(
            "the foreign key {} of {} points at it, and the server refuses every drop while it does",
            key.constraint, key.table
        ),
        format!(
            "drop the constraint ({} on {}), and add it again NOT VALID after the run if it is needed",
            key.constraint, key.table
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retention::facts::ForeignKey;
    use crate::retention::name::RelationName;
    use crate::retention::testing::{DAY, NOW, chunk, daily};
    use crate::retention::time_axis::TimeRange;

    fn dataset(not_materialized: Vec<TimeRange>, refresh: RefreshWindow) -> DatasetFacts {
        let view = RelationName::new("public", "daily");
        DatasetFacts { aggregates: vec![AggregateFacts { view, not_materialized, refresh }], ..daily("t", 3) }
    }

    #[test]
    fn an_aggregate_keeps_what_it_would_lose() {
        let old = chunk(1, -30, -29);
        let view = RelationName::new("public", "daily");
        let touching = TimeRange::new(i64::MIN, NOW - 30 * DAY + 1);
        let beside = TimeRange::new(NOW - 29 * DAY, i64::MAX);
        let lost = Some(Reason::NotMaterialized { view: view.clone() });
        let reached = Some(Reason::InRefreshWindow { view });
        let cases = [
            (dataset(vec![], RefreshWindow::None), None),
            (dataset(vec![touching], RefreshWindow::None), lost),
            (dataset(vec![beside], RefreshWindow::None), None),
            (dataset(vec![], RefreshWindow::From(NOW - 29 * DAY)), None),
            (dataset(vec![], RefreshWindow::From(NOW - 29 * DAY - 1)), reached.clone()),
            (dataset(vec![], RefreshWindow::Unlimited), reached),
        ];
        for (table, expected) in cases {
            assert_eq!(
                aggregate_would_lose(&table, &old, OnDependants::Refuse),
                expected,
                "{:?}",
                table.aggregates
            );
            assert_eq!(aggregate_would_lose(&table, &old, OnDependants::Allow), None);
        }
    }

    #[test]
    fn an_inbound_foreign_key_refuses_the_table() {
        let mut table = daily("t", 3);
        assert_eq!(foreign_key_points_here(&table), None);
        let key = ForeignKey { table: RelationName::new("public", "child"), constraint: "child_fk".into() };
        table.inbound_foreign_keys.push(key);
        let refusal = foreign_key_points_here(&table).expect("refused");
        assert!(refusal.sentence.contains("child_fk of public.child"));
    }
}
