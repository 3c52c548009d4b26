//! When a dataset can have been written last, for stores that count writes and keep no times.
//!
//! Told is the latest instant that is possible, so that nobody who may have written is overlooked: a
//! counter that differs from the last look: now; one that stands where it stood: what was told then. What
//! the first look tells of a counter is the store's to say. Invariant: what is told never lies before
//! the last write that the counters have seen, nor goes back.

use std::collections::HashMap;

use crate::retention::ownership::OwnedName;

/// Writes into one piece (a shard, a table) since counting began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    pub piece: u64,
    pub writes: u64,
}

/// What earlier looks of this process have found. Instants are microseconds since 1970 UTC.
#[derive(Default)]
pub struct Changes {
    /// When counting began: every counter starts anew with it.
    epoch: Option<i64>,
    datasets: HashMap<OwnedName, Seen>,
}

struct Seen {
    /// Piece and count, by piece: a table for each of 100,000 datasets would weigh more than all of this.
    writes: Box<[(u64, u64)]>,
    last: Option<i64>,
}

/// One look at all counters of a store.
pub struct Look<'a> {
    pub epoch: i64,
    /// Read after the counters.
    pub now: i64,
    pub counters: Vec<(&'a OwnedName, Vec<Counter>)>,
}

impl Changes {
    /// Whether a look since the same start of counting has seen this dataset.
    pub fn knows(&self, name: &OwnedName, epoch: i64) -> bool {
        self.epoch == Some(epoch) && self.datasets.contains_key(name)
    }

    /// Takes a look in. `first` tells the latest possible write of a counter that has no earlier look.
    pub fn learn(&mut self, look: &Look<'_>, first: impl Fn(Counter) -> i64) {
        let mut earlier = std::mem::take(&mut self.datasets);
        let same_epoch = self.epoch.replace(look.epoch) == Some(look.epoch);
        for (name, counters) in &look.counters {
            let before = earlier.remove(*name);
            let counted = before.as_ref().filter(|_| same_epoch).map(|seen| &seen.writes);
            let bound = |counter: &Counter| match counted {
                Some(counted) if counted.binary_search(&(counter.piece, counter.writes)).is_ok() => None,
                Some(_) => Some(look.now),
                None => Some(first(*counter)),
            };
            let last =
                before.as_ref().and_then(|seen| seen.last).max(counters.iter().filter_map(bound).max());
            let mut writes: Box<[(u64, u64)]> =
                counters.iter().map(|counter| (counter.piece, counter.writes)).collect();
            writes.sort_unstable();
            self.datasets.insert((*name).clone(), Seen { writes, last });
        }
    }

    /// `None` where there is nothing that could have been written into.
    pub fn last(&self, name: &OwnedName) -> Option<i64> {
        self.datasets.get(name)?.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Epoch, now, and pieces with their counts, where the dataset is there at all.
    type Seen<'a> = (i64, i64, Option<&'a [(u64, u64)]>);

    /// What is told of one dataset after these looks; zero counts since the epoch.
    fn told(looks: &[Seen<'_>]) -> Vec<Option<i64>> {
        let name = OwnedName("a".into());
        let mut changes = Changes::default();
        let counter = |(piece, writes): &(u64, u64)| Counter { piece: *piece, writes: *writes };
        let look = |(epoch, now, counters): &Seen<'_>| {
            let counters = counters.map(|counters| (&name, counters.iter().map(counter).collect()));
            let look = Look { epoch: *epoch, now: *now, counters: counters.into_iter().collect() };
            changes.learn(&look, |counter| if counter.writes == 0 { *epoch } else { *now });
            changes.last(&name)
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn a_counter_that_grows_was_written_just_now_and_one_that_stands_was_not() {
        let looks = [(10, 0), (20, 0), (30, 2), (40, 2), (50, 3), (60, 3)];
        let looks = looks.map(|(now, writes)| (now, vec![(1, writes)]));
        let looks: Vec<_> = looks.iter().map(|(now, counters)| (5, *now, Some(&counters[..]))).collect();
        assert_eq!(told(&looks), [Some(5), Some(5), Some(30), Some(30), Some(50), Some(50)]);
    }

    #[test]
    fn what_has_no_counter_tells_nothing() {
        assert_eq!(told(&[(0, 10, Some(&[])), (0, 20, Some(&[]))]), [None, None]);
    }

    #[test]
    fn a_piece_that_is_new_was_written_just_now_and_one_that_is_gone_was_not() {
        let looks: [Seen<'_>; 3] =
            [(0, 10, Some(&[(1, 0)])), (0, 20, Some(&[(1, 0), (2, 0)])), (0, 30, Some(&[(2, 0)]))];
        assert_eq!(told(&looks), [Some(0), Some(20), Some(20)]);
    }

    #[test]
    fn a_restart_hides_what_was_written_before_it() {
        let looks: [Seen<'_>; 4] = [
            (0, 10, Some(&[(1, 5)])),
            (20, 30, Some(&[(1, 0)])),
            (20, 40, Some(&[(1, 5)])),
            (50, 60, Some(&[(1, 5)])),
        ];
        assert_eq!(told(&looks), [Some(10), Some(20), Some(40), Some(60)]);
    }

    #[test]
    fn a_dataset_that_is_made_again_is_another_one() {
        let looks: [Seen<'_>; 3] = [(0, 10, Some(&[(1, 5)])), (0, 20, None), (0, 30, Some(&[(2, 5)]))];
        assert_eq!(told(&looks), [Some(10), None, Some(30)]);
    }
}
