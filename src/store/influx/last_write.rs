//! When a database can have been written last. InfluxDB keeps no such instant: a point's time is what its
//! writer says, and a shard's end is in the future. What it has are counters of write requests, which
//! begin at zero with the server, and their samples in `_internal`, where those are kept.
//!
//! Later looks compare counters (`owned/changes.rs`). The first one tells of a counter at zero the server's
//! start, and of one above zero the first sample with that count, or now. Invariant: told is never less
//! than the last write.

use std::collections::HashMap;

use super::answer::{self, Series, Unusable};
use super::client::Client;
use super::snapshot::{self, Snapshot};
use crate::store::owned::changes::{Changes, Counter, Look};

/// A sample bears the time at which it was due, and is taken a little later.
const SAMPLES_MAY_LAG: i64 = 60_000_000;

/// Of each shard the highest count that was sampled, and the first instant of it.
pub type Samples = HashMap<u64, Sample>;

type Sample = (u64, i64);

/// Whether samples could tell more than the counters do.
pub fn wants_samples(changes: &Changes, snapshot: &Snapshot) -> bool {
    let mut new = snapshot
        .databases
        .iter()
        .filter(|name| name.0 != super::INTERNAL && !changes.knows(name, snapshot.started));
    new.any(|name| {
        snapshot.shards.get(name).is_some_and(|shards| shards.iter().any(|shard| shard.writes > 0))
    })
}

pub fn learn(changes: &mut Changes, snapshot: &Snapshot, samples: &Samples) {
    let counters = snapshot.databases.iter().map(|name| {
        let shards = snapshot.shards.get(name).into_iter().flatten();
        (name, shards.map(|shard| Counter { piece: shard.id, writes: shard.writes }).collect())
    });
    let look = Look { epoch: snapshot.started, now: snapshot.now, counters: counters.collect() };
    changes.learn(&look, |counter| first(counter, snapshot, samples));
}

/// A sample counts only with the count of now: whoever wrote after the last sample wrote just now.
fn first(counter: Counter, snapshot: &Snapshot, samples: &Samples) -> i64 {
    if counter.writes == 0 {
        return snapshot.started;
    }
    match samples.get(&counter.piece) {
        Some((count, at)) if *count == counter.writes => at.saturating_add(SAMPLES_MAY_LAG).min(snapshot.now),
        _ => snapshot.now,
    }
}

/// What the server has sampled since its start; nothing where it keeps no samples or takes too long.
pub async fn samples(client: &Client, started: i64) -> Samples {
    // Of several points with the highest value, `max` answers with the first.
    let statement = format!(
        "SELECT max(\"writeReq\") FROM \"_internal\"..\"shard\" WHERE time >= {started}u GROUP BY \"database\", \"id\""
    );
    let mut samples = Samples::new();
    let mut take = |_, table| {
        samples.extend(sample(&table).ok().flatten());
        Ok(())
    };
    match client.read_each(&[&statement], &mut take).await {
        Ok(()) => samples,
        Err(_) => Samples::new(),
    }
}

fn sample(table: &Series) -> Result<Option<(u64, Sample)>, Unusable> {
    let (time, max) = (table.column("time")?, table.column("max")?);
    let Some(row) = table.values.first() else { return Ok(None) };
    let at = i64::try_from(answer::number(row, time)?).map_err(|_| Unusable::Broken("no instant".into()))?;
    Ok(Some((snapshot::shard_id(table)?, (answer::number(row, max)?, at))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retention::ownership::OwnedName;
    use crate::store::influx::snapshot::Shard;

    const STARTED: i64 = 1_000_000_000;

    fn snapshot(now: i64, started: i64, writes: u64) -> Snapshot {
        let name = OwnedName("a".into());
        let shards = HashMap::from([(name.clone(), vec![Shard { id: 1, writes, bytes: 1 }])]);
        Snapshot { now: STARTED + now, started, databases: vec![name], shards }
    }

    #[test]
    fn a_sample_counts_only_with_the_count_of_now() {
        let late = 600_000_000;
        let of = |count| Samples::from([(1, (count, STARTED + 7))]);
        let first = |writes, samples: &Samples, now| {
            let mut changes = Changes::default();
            learn(&mut changes, &snapshot(now, STARTED, writes), samples);
            changes.last(&OwnedName("a".into())).expect("an instant") - STARTED
        };
        assert_eq!(first(5, &of(5), late), 7 + SAMPLES_MAY_LAG);
        assert_eq!(first(6, &of(5), late), late, "somebody wrote after the last sample");
        assert_eq!(first(5, &of(6), late), late, "a count that is not ours");
        assert_eq!(first(5, &Samples::new(), late), late);
        assert_eq!(first(0, &of(5), late), 0, "nothing was written since the start");
        assert_eq!(first(5, &of(5), 9), 9, "never later than now");
    }

    #[test]
    fn samples_are_asked_for_only_where_they_can_tell_something() {
        let mut changes = Changes::default();
        assert!(!wants_samples(&changes, &snapshot(10, STARTED, 0)));
        let written = snapshot(10, STARTED, 3);
        assert!(wants_samples(&changes, &written));
        learn(&mut changes, &written, &Samples::new());
        assert!(!wants_samples(&changes, &snapshot(20, STARTED, 4)));
        assert!(wants_samples(&changes, &snapshot(20, STARTED + 15, 4)));
    }
}
