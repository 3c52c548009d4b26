//! What a look at the store tells of a dataset, and when it can have been written last.
//!
//! A store that keeps no times gives a token instead: one that differs from the remembered one says that
//! somebody wrote since, or that nobody can tell. Invariant: a change counts from the end of the look that
//! found it, which is never before the write; and it never goes back.

use std::sync::Arc;

use super::{Ledger, OwnedName, SeenDataset};

/// A dataset as one look at the store found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    pub name: OwnedName,
    /// The last write that the store can show, microseconds since 1970 UTC.
    pub last_change: Option<i64>,
    /// The same as long as nobody can have written in between.
    pub change_token: Option<Arc<str>>,
}

impl SeenDataset {
    /// The first sight of it. What came before has no instant: this one counts where the store tells none.
    fn new(now: i64) -> Self {
        Self { first_seen: now, last_change: None, change_token: None, absent_since: None }
    }

    fn learn(&mut self, sighting: &Sighting, now: i64) {
        if self.change_token != sighting.change_token {
            self.last_change = self.last_change.max(Some(now));
        }
        self.last_change = self.last_change.max(sighting.last_change);
        self.change_token.clone_from(&sighting.change_token);
    }

    /// It was gone: what is there now is new, or was overlooked.
    fn come_back(&mut self, now: i64) {
        if self.absent_since.take().is_some() {
            self.first_seen = now;
            self.last_change = self.last_change.map(|_| now);
        }
    }
}

impl Ledger {
    /// `read_by`: the end of the look.
    pub(super) fn see(&mut self, sighting: &Sighting, read_by: i64) {
        if let Some(seen) = self.datasets.get_mut(&sighting.name) {
            seen.come_back(read_by);
            seen.learn(sighting, read_by);
            return;
        }
        let Sighting { name, last_change, change_token } = sighting.clone();
        let seen = SeenDataset { last_change, change_token, ..SeenDataset::new(read_by) };
        self.datasets.insert(name, seen);
    }

    /// A second look right before a drop. It brings nothing back that a check did not find.
    pub fn see_again(&mut self, sighting: &Sighting, read_by: i64) {
        let seen = self.datasets.get_mut(&sighting.name);
        if let Some(seen) = seen.filter(|seen| seen.absent_since.is_none()) {
            seen.learn(sighting, read_by);
        }
    }

    /// A registered dataset that a list does not hold. `proves`: the list proves something about what no check has
    /// ever found.
    pub(super) fn miss(&mut self, name: &OwnedName, proves: bool, now: i64) {
        if let Some(seen) = self.datasets.get_mut(name) {
            seen.absent_since.get_or_insert(now);
        } else if proves {
            let seen = SeenDataset { absent_since: Some(now), ..SeenDataset::new(now) };
            self.datasets.insert(name.clone(), seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(last_change: Option<i64>, token: Option<&str>) -> Sighting {
        let change_token = token.map(Arc::from);
        Sighting { name: OwnedName("e".into()), last_change, change_token }
    }

    /// The epoch after each of these looks, at 10, 20, 30, …; `None` is a list without it.
    fn epochs(looks: &[Option<(Option<i64>, Option<&str>)>]) -> Vec<i64> {
        let mut ledger = Ledger::default();
        let name = OwnedName("e".into());
        let look = |(now, look): (i64, &Option<_>)| {
            match look {
                Some((last_change, token)) => ledger.see(&sighting(*last_change, *token), now),
                None => ledger.miss(&name, true, now),
            }
            ledger.epoch(&name).expect("an epoch")
        };
        (1..).map(|look| look * 10).zip(looks).map(look).collect()
    }

    #[test]
    fn a_token_that_differs_is_a_change_of_now_and_one_that_stands_is_not() {
        let token = |text| Some((None, Some(text)));
        let looks = [token("a"), token("a"), token("b"), token("b"), token("a")];
        assert_eq!(epochs(&looks), [10, 10, 30, 30, 50], "the first sight counts until something changes");
    }

    #[test]
    fn a_token_that_comes_or_goes_missing_is_a_change() {
        let (with, without) = (Some((None, Some("a"))), Some((None, None)));
        assert_eq!(epochs(&[with, without, without, with, with]), [10, 20, 20, 40, 40]);
    }

    #[test]
    fn what_the_store_tells_counts_beside_its_token_and_nothing_goes_back() {
        let told = |at, token| Some((Some(at), token));
        assert_eq!(epochs(&[told(5, None), told(3, None), told(12, None)]), [5, 5, 12]);
        assert_eq!(epochs(&[told(5, Some("a")), told(7, Some("a")), told(7, Some("b"))]), [5, 7, 30]);
    }

    #[test]
    fn what_comes_back_is_new_whatever_its_token_is() {
        let token = Some((None, Some("a")));
        assert_eq!(epochs(&[token, None, token, token]), [10, 10, 30, 30]);
        let changed = Some((None, Some("b")));
        assert_eq!(epochs(&[token, changed, None, changed]), [10, 20, 20, 40], "not the change from before");
    }

    #[test]
    fn a_second_look_takes_a_change_in_and_brings_nothing_back() {
        let mut ledger = Ledger::default();
        ledger.see(&sighting(None, Some("a")), 10);
        ledger.see_again(&sighting(None, Some("a")), 20);
        assert_eq!(ledger.epoch(&OwnedName("e".into())), Some(10));
        ledger.see_again(&sighting(None, Some("b")), 30);
        assert_eq!(ledger.epoch(&OwnedName("e".into())), Some(30));
        ledger.miss(&OwnedName("e".into()), true, 40);
        ledger.see_again(&sighting(None, Some("c")), 50);
        assert_eq!(ledger.datasets[&OwnedName("e".into())].absent_since, Some(40));
    }
}
