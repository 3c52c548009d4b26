//! When a database can have been written last. InfluxDB keeps no such instant: a point's time is what its
//! writer says, and a shard's end is in the future. What it has are counters of write requests, which
//! begin at zero with the server, and their samples in `_internal`, where those are kept.
//!
//! Told is the latest instant that is possible, so that nobody who may have written is overlooked:
//! a counter that has grown since the last look: now; one that stands where it stood: what was told then;
//! one at zero: the server's start; one above zero at the first look: the first sample with that count,
//! or now. Invariant: what is told never lies before the last write, nor goes back.

use std::collections::HashMap;

use super::answer::{self, Series, Unusable};
use super::client::Client;
use super::snapshot::{self, Shard, Snapshot};
use crate::retention::ownership::OwnedName;

/// A sample bears the time at which it was due, and is taken a little later.
const SAMPLES_MAY_LAG: i64 = 60_000_000;

/// What earlier looks of this process have found.
#[derive(Default)]
pub struct Memory {
    started: i64,
    databases: HashMap<OwnedName, Seen>,
}

struct Seen {
    writes: HashMap<u64, u64>,
    last: Option<i64>,
}

/// Of each shard the highest count that was sampled, and the first instant of it.
pub type Samples = HashMap<u64, (u64, i64)>;

impl Memory {
    /// Whether samples could tell more than the counters do.
    pub fn wants_samples(&self, snapshot: &Snapshot) -> bool {
        let is_new = |name| !self.knows(name, snapshot.started);
        let written = |shards: &Vec<Shard>| shards.iter().any(|shard| shard.writes > 0);
        let named = |name: &&OwnedName| name.0 != super::INTERNAL;
        snapshot
            .databases
            .iter()
            .filter(named)
            .any(|name| is_new(name) && snapshot.shards.get(name).is_some_and(written))
    }

    fn knows(&self, name: &OwnedName, started: i64) -> bool {
        self.started == started && self.databases.contains_key(name)
    }

    /// Takes a look in; afterwards [`Memory::last_write`] answers for each of its databases.
    pub fn learn(&mut self, snapshot: &Snapshot, samples: &Samples) {
        let mut earlier = std::mem::take(&mut self.databases);
        let same_start = self.started == snapshot.started;
        self.started = snapshot.started;
        for name in &snapshot.databases {
            let shards = snapshot.shards.get(name).map_or(&[][..], Vec::as_slice);
            let before = earlier.remove(name);
            let counted = before.as_ref().filter(|_| same_start).map(|seen| &seen.writes);
            let bound = shards.iter().filter_map(|shard| bound(*shard, counted, snapshot, samples)).max();
            let last = before.as_ref().and_then(|seen| seen.last).max(bound);
            let writes = shards.iter().map(|shard| (shard.id, shard.writes)).collect();
            self.databases.insert(name.clone(), Seen { writes, last });
        }
    }

    /// `None` where nothing was ever written.
    pub fn last_write(&self, name: &OwnedName) -> Option<i64> {
        self.databases.get(name)?.last
    }
}

/// The latest instant of a write into this shard that an earlier look does not cover.
fn bound(
    shard: Shard,
    counted: Option<&HashMap<u64, u64>>,
    snapshot: &Snapshot,
    samples: &Samples,
) -> Option<i64> {
    match counted {
        Some(counted) if counted.get(&shard.id) == Some(&shard.writes) => None,
        Some(_) => Some(snapshot.now),
        None if shard.writes == 0 => Some(snapshot.started),
        None => Some(sampled(shard, snapshot, samples).unwrap_or(snapshot.now)),
    }
}

/// Only if the count of now was sampled: whoever wrote after the last sample wrote just now.
fn sampled(shard: Shard, snapshot: &Snapshot, samples: &Samples) -> Option<i64> {
    let (count, first) = samples.get(&shard.id)?;
    (*count == shard.writes).then_some(first.saturating_add(SAMPLES_MAY_LAG).min(snapshot.now))
}

/// What the server has sampled since its start; nothing where it keeps no samples or takes too long.
pub async fn samples(client: &Client, started: i64) -> Samples {
    // Of several points with the highest value, `max` answers with the first.
    let statement = format!(
        "SELECT max(\"writeReq\") FROM \"_internal\"..\"shard\" WHERE time >= {started}u GROUP BY \"database\", \"id\""
    );
    let Ok(answer) = client.read(&[&statement]).await else { return Samples::new() };
    let tables = answer.into_iter().flatten();
    tables.filter_map(|table| sample(&table).ok().flatten()).collect()
}

fn sample(table: &Series) -> Result<Option<(u64, (u64, i64))>, Unusable> {
    let (time, max) = (table.column("time")?, table.column("max")?);
    let Some(row) = table.values.first() else { return Ok(None) };
    let at = i64::try_from(answer::number(row, time)?).map_err(|_| Unusable::Broken("no instant".into()))?;
    Ok(Some((snapshot::shard_id(table)?, (answer::number(row, max)?, at))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTED: i64 = 1_000_000_000;

    fn snapshot(now: i64, started: i64, shards: &[(u64, u64)]) -> Snapshot {
        let shard = |(id, writes): &(u64, u64)| Shard { id: *id, writes: *writes, bytes: 1 };
        let shards = HashMap::from([(name(), shards.iter().map(shard).collect())]);
        Snapshot { now: STARTED + now, started, databases: vec![name()], shards }
    }

    fn name() -> OwnedName {
        OwnedName("a".into())
    }

    /// What is told after these looks, each counted from the start; every look with the same samples.
    fn told(looks: &[Snapshot], samples: &Samples) -> Vec<Option<i64>> {
        let mut memory = Memory::default();
        let look = |snapshot: &Snapshot| {
            memory.learn(snapshot, samples);
            memory.last_write(&name()).map(|at| at - STARTED)
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn a_counter_that_grows_was_written_just_now_and_one_that_stands_was_not() {
        let at = |now, writes| snapshot(now, STARTED, &[(1, writes)]);
        let looks = [at(10, 0), at(20, 0), at(30, 2), at(40, 2), at(50, 3), at(60, 3)];
        let told = told(&looks, &Samples::new());
        assert_eq!(told, [Some(0), Some(0), Some(30), Some(30), Some(50), Some(50)]);
    }

    #[test]
    fn a_database_that_was_never_written_tells_nothing() {
        assert_eq!(told(&[snapshot(10, STARTED, &[])], &Samples::new()), [None]);
    }

    #[test]
    fn a_shard_that_is_new_was_written_just_now_and_one_that_is_gone_was_not() {
        let looks = [
            snapshot(10, STARTED, &[(1, 0)]),
            snapshot(20, STARTED, &[(1, 0), (2, 0)]),
            snapshot(30, STARTED, &[(2, 0)]),
        ];
        assert_eq!(told(&looks, &Samples::new()), [Some(0), Some(20), Some(20)]);
    }

    #[test]
    fn a_restart_hides_what_was_written_before_it() {
        let looks = [
            snapshot(10, STARTED, &[(1, 5)]),
            snapshot(30, STARTED + 20, &[(1, 0)]),
            snapshot(40, STARTED + 20, &[(1, 5)]),
            snapshot(60, STARTED + 50, &[(1, 5)]),
        ];
        assert_eq!(told(&looks, &Samples::new()), [Some(10), Some(20), Some(40), Some(60)]);
    }

    #[test]
    fn a_database_that_is_made_again_is_another_one() {
        let gone = Snapshot { databases: Vec::new(), ..snapshot(20, STARTED, &[]) };
        let looks = [snapshot(10, STARTED, &[(1, 5)]), gone, snapshot(30, STARTED, &[(2, 5)])];
        assert_eq!(told(&looks, &Samples::new()), [Some(10), None, Some(30)]);
    }

    #[test]
    fn a_sample_counts_only_with_the_count_of_now() {
        let late = 600_000_000;
        let of = |count| Samples::from([(1, (count, STARTED + 7))]);
        let first = |writes, samples: &Samples| told(&[snapshot(late, STARTED, &[(1, writes)])], samples)[0];
        assert_eq!(first(5, &of(5)), Some(7 + SAMPLES_MAY_LAG));
        assert_eq!(first(6, &of(5)), Some(late), "somebody wrote after the last sample");
        assert_eq!(first(5, &of(6)), Some(late), "a count that is not ours");
        assert_eq!(first(5, &Samples::new()), Some(late));
        assert_eq!(first(0, &of(5)), Some(0));
        let soon = told(&[snapshot(9, STARTED, &[(1, 5)])], &of(5));
        assert_eq!(soon, [Some(9)], "never later than now");
    }

    #[test]
    fn samples_are_asked_for_only_where_they_can_tell_something() {
        let mut memory = Memory::default();
        assert!(!memory.wants_samples(&snapshot(10, STARTED, &[(1, 0)])));
        let written = snapshot(10, STARTED, &[(1, 3)]);
        assert!(memory.wants_samples(&written));
        memory.learn(&written, &Samples::new());
        assert!(!memory.wants_samples(&snapshot(20, STARTED, &[(1, 4)])));
        assert!(memory.wants_samples(&snapshot(20, STARTED + 15, &[(1, 4)])));
    }
}
