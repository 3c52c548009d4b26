//! What shows that a database was written. InfluxDB keeps no such instant: a point's time is what its writer
//! says, and a shard's end is in the future. What it has are counters of write requests, one for each
//! shard, which begin at zero with the server.
//!
//! A counter of now and one of before a restart cannot be compared, and sizes on disk can be the same after a
//! write, so the server's start is part of the token. Invariant: after a write the token is another one,
//! whatever was restarted when; a restart makes every token another one, once.

use super::snapshot::Snapshot;
use crate::retention::ownership::OwnedName;

/// Shards get growing numbers and none twice, so between two looks with the same count of shards and the
/// same highest number no shard came or went; then each counter has only grown, and so has their sum.
pub fn change_token(snapshot: &Snapshot, name: &OwnedName) -> String {
    let shards = snapshot.shards.get(name).map(Vec::as_slice).unwrap_or_default();
    let newest = shards.iter().map(|shard| shard.id).max().unwrap_or_default();
    let writes: u128 = shards.iter().map(|shard| u128::from(shard.writes)).sum();
    format!("started {} shards {} newest {newest} writes {writes}", snapshot.started, shards.len())
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;
    use crate::store::influx::snapshot::Shard;

    fn token(started: i64, shards: &[(u64, u64)]) -> String {
        let name = OwnedName("a".into());
        let shard = |(id, writes): &(u64, u64)| Shard { id: *id, writes: *writes, bytes: 1 };
        let shards = HashMap::from([(name.clone(), shards.iter().map(shard).collect())]);
        let snapshot = Snapshot { now: started + 5, started, databases: vec![name.clone()], shards };
        change_token(&snapshot, &name)
    }

    #[test]
    fn whatever_can_have_been_written_makes_another_token() {
        let looks: [(i64, &[(u64, u64)]); 8] = [
            (10, &[]),
            (10, &[(1, 0)]),
            (10, &[(1, 3)]),
            (10, &[(1, 3), (2, 0)]),
            (10, &[(1, 3), (2, 1)]),
            (10, &[(2, 4)]),
            (10, &[(2, 1), (3, 3)]),
            // After a restart with as many writes as before.
            (20, &[(1, 3)]),
        ];
        let tokens: HashSet<String> = looks.iter().map(|(started, shards)| token(*started, shards)).collect();
        assert_eq!(tokens.len(), looks.len(), "{tokens:?}");
        assert_eq!(token(10, &[(2, 1), (1, 3)]), token(10, &[(1, 3), (2, 1)]), "in whatever order they come");
    }
}
