//! What whoever sends letters remembers from one round to the next.
//!
//! Invariant: where the broker refused a letter that has to arrive, nothing else of its job leaves before it is
//! tried again; letters of other jobs go on.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::omotes::letter::Letter;
use crate::retention::ownership::JobId;

/// A queue that is full needs time to get emptier.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Course {
    pub has_sent: bool,
    /// The broker closed a channel over one of many letters: each goes alone, so that it is known which.
    pub one_by_one: bool,
    pub has_told_refusal: bool,
    pub held: Held,
}

/// Jobs whose letter the broker refused.
#[derive(Debug, Default)]
pub(super) struct Held {
    jobs: HashSet<JobId>,
    until: Option<Instant>,
    /// How many letters were passed over when letters were read last.
    pub passed_over: usize,
}

impl Held {
    /// Whether this is the first one since all were released.
    pub fn hold(&mut self, job: JobId, now: Instant) -> bool {
        self.jobs.insert(job);
        self.until.replace(self.until.unwrap_or(now + PAUSE)).is_none()
    }

    pub fn holds(&self, job: JobId) -> bool {
        self.jobs.contains(&job)
    }

    /// Whether there are some that are to be tried again now; nobody is held then.
    pub fn release(&mut self, now: Instant) -> bool {
        let is_due = self.until.is_some_and(|until| until <= now);
        if is_due {
            *self = Self::default();
        }
        is_due
    }

    /// The letters of other jobs, and whether there may be more of them further on.
    pub fn without(&mut self, letters: Vec<(i64, Letter)>) -> (Vec<(i64, Letter)>, bool) {
        let all = letters.len();
        let others: Vec<_> = letters.into_iter().filter(|(_, letter)| !self.holds(letter.job)).collect();
        let passed_over = all - others.len();
        let before = std::mem::replace(&mut self.passed_over, passed_over);
        (others, passed_over > before)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::omotes::letter::Content;

    #[test]
    fn letters_of_a_held_job_wait_and_others_go_on() {
        let (mut held, now) = (Held::default(), Instant::now());
        let [full, other] = [1, 2].map(|number| JobId(Uuid::from_u128(number)));
        let letter = |job| Letter { job, content: Content::Result(Vec::new()) };
        let letters = || vec![(1, letter(full)), (2, letter(other)), (3, letter(full))];
        assert!(held.hold(full, now));
        assert!(!held.hold(full, now + PAUSE / 2), "the first one says until when");
        assert_eq!(held.without(letters()), (vec![(2, letter(other))], true));
        assert_eq!(held.without(letters()), (vec![(2, letter(other))], false), "no more of them than before");
        assert!(!held.release(now));
        assert!(held.release(now + PAUSE));
        assert_eq!(held.without(letters()).0.len(), 3);
        assert!(!held.release(now + PAUSE), "nobody is left to be released");
    }
}
