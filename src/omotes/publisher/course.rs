//! What whoever sends letters remembers from one round to the next.
//!
//! Invariant: where the broker refused a letter that has to arrive, nothing else of its job leaves before it is
//! tried again; letters of other jobs go on.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::omotes::letter::Letter;
use crate::retention::ownership::JobId;

/// A queue that is full needs time to get emptier.
const PAUSE: Duration = Duration::from_secs(5);
/// Permissions that are being granted anew, or whoever has a queue for himself, may take so long. Then clients are
/// told: they wait for a result for ever.
const PATIENCE: Duration = Duration::from_mins(10);

#[derive(Debug, Default)]
pub(super) struct Course {
    pub has_sent: bool,
    /// Sending many letters broke off, perhaps over one of them: each goes alone, so that it is known which.
    pub one_by_one: bool,
    pub has_told_refusal: bool,
    pub held: Held,
    /// Workflows whose queue is closed to us, and since when.
    closed: HashMap<String, Instant>,
    /// Why letters wait; each reason is told once, until nothing waits any more.
    told: BTreeSet<String>,
}

impl Course {
    /// The letter was refused, and what else there is of its job waits with it.
    pub fn hold(&mut self, job: JobId, why: &str) {
        self.held.hold(job, Instant::now());
        if self.told.insert(why.to_owned()) {
            tracing::warn!(job = %job.0, "{why}; letters of the job wait and are tried again, others go on");
        }
    }

    /// Everything has left that can leave.
    pub fn has_sent_all(&mut self) {
        if self.held.jobs.is_empty() && !self.told.is_empty() {
            self.tell_nothing();
            tracing::info!("no letter is held back any more");
        }
    }

    /// Somebody else sends, and knows what waits.
    pub fn tell_nothing(&mut self) {
        self.told.clear();
    }

    /// Why letters wait.
    pub fn trouble(&self) -> Option<&str> {
        self.told.first().map(String::as_str)
    }

    /// Whether tasks wait for this queue, which is closed to us; not for ever.
    pub fn waits_for(&mut self, workflow: &str, now: Instant) -> bool {
        let since = *self.closed.entry(workflow.to_owned()).or_insert(now);
        now.saturating_duration_since(since) < PATIENCE
    }

    pub fn is_open(&mut self, workflow: &str) {
        self.closed.remove(workflow);
    }
}

/// Jobs whose letter the broker refused.
#[derive(Debug, Default)]
pub(super) struct Held {
    jobs: HashSet<JobId>,
    /// Workflows whose tasks need not even be read.
    workflows: BTreeSet<String>,
    until: Option<Instant>,
}

impl Held {
    /// All are released together, a pause after the first.
    fn hold(&mut self, job: JobId, now: Instant) {
        self.jobs.insert(job);
        self.until.get_or_insert(now + PAUSE);
    }

    /// Together with a job of it.
    pub fn hold_workflow(&mut self, workflow: &str) {
        self.workflows.insert(workflow.to_owned());
    }

    pub fn workflows(&self) -> Vec<String> {
        self.workflows.iter().cloned().collect()
    }

    pub fn holds(&self, job: JobId) -> bool {
        self.jobs.contains(&job)
    }

    pub fn jobs(&self) -> Vec<JobId> {
        self.jobs.iter().copied().collect()
    }

    /// Whether there are some that are to be tried again now; nobody is held then.
    pub fn release(&mut self, now: Instant) -> bool {
        let is_due = self.until.is_some_and(|until| until <= now);
        if is_due {
            *self = Self::default();
        }
        is_due
    }

    /// The letters of other jobs.
    pub fn without(&self, letters: Vec<(i64, Letter)>) -> Vec<(i64, Letter)> {
        letters.into_iter().filter(|(_, letter)| !self.holds(letter.job)).collect()
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
        held.hold(full, now);
        held.hold(full, now + PAUSE / 2);
        assert_eq!(held.without(letters()), vec![(2, letter(other))]);
        assert!(!held.release(now));
        assert!(held.release(now + PAUSE), "the first one says until when");
        assert_eq!(held.without(letters()).len(), 3);
        assert!(!held.release(now + PAUSE), "nobody is left to be released");
    }

    #[test]
    fn a_queue_that_stays_closed_is_not_waited_for_for_ever() {
        let (mut course, now) = (Course::default(), Instant::now());
        assert!(course.waits_for("one", now));
        assert!(course.waits_for("other", now + PATIENCE / 2));
        assert!(course.waits_for("one", now + PATIENCE / 2));
        assert!(!course.waits_for("one", now + PATIENCE));
        assert!(course.waits_for("other", now + PATIENCE));
        course.is_open("one");
        assert!(course.waits_for("one", now + PATIENCE), "it is another time");
    }

    #[test]
    fn why_letters_wait_is_known_until_none_does() {
        let (mut course, job) = (Course::default(), JobId(Uuid::from_u128(1)));
        course.hold(job, "full");
        course.has_sent_all();
        assert_eq!(course.trouble(), Some("full"));
        assert!(course.held.release(Instant::now() + PAUSE));
        assert_eq!(course.trouble(), Some("full"), "nobody knows yet");
        course.has_sent_all();
        assert_eq!(course.trouble(), None);
    }
}
