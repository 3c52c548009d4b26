//! What the lines of the broker have done, for metrics and for the page of health.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::troubles::Troubles;

/// A queue that was seen empty so long ago may hold messages.
const SEEN_LATELY: Duration = Duration::from_secs(20);

#[derive(Debug, Default)]
pub struct Counters {
    pub deletions: LineCounters,
    pub results: LineCounters,
}

/// Of one queue, since the start.
#[derive(Debug, Default)]
pub struct LineCounters {
    /// Events that are committed; a message that came twice counts twice.
    recorded: AtomicU64,
    batches: AtomicU64,
    /// Messages that nobody can read, now in the queue for dead letters.
    dead_letters: AtomicU64,
    interruptions: AtomicU64,
    listens: AtomicBool,
    heard: Mutex<Heard>,
    stands_by: AtomicBool,
    trouble: Mutex<Option<String>>,
    /// Another orchestrator is at work, and nothing else is wrong.
    waits: AtomicBool,
    /// What was in hand could not be committed: that it listens again proves nothing.
    cannot_take: AtomicBool,
    pub(crate) troubles: Troubles,
}

/// What may still wait unheard.
#[derive(Debug, Default, Clone, Copy)]
struct Heard {
    /// The queue was seen empty for the first time since anything went wrong.
    since: Option<Instant>,
    /// And for the last time, with nothing in hand since.
    last: Option<Instant>,
}

impl LineCounters {
    /// One that tells a trouble once for all that share this.
    pub fn sharing(troubles: &Troubles) -> Self {
        Self { troubles: troubles.clone(), ..Self::default() }
    }

    pub fn recorded(&self) -> u64 {
        self.recorded.load(Ordering::Relaxed)
    }

    pub fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }

    pub fn dead_letters(&self) -> u64 {
        self.dead_letters.load(Ordering::Relaxed)
    }

    /// How often the line broke off and was taken up again.
    pub fn interruptions(&self) -> u64 {
        self.interruptions.load(Ordering::Relaxed)
    }

    /// Whether messages can come in at this moment.
    pub fn listens(&self) -> bool {
        self.listens.load(Ordering::Relaxed)
    }

    /// For how long everything that came was taken at once; `None` while anything is in hand, or may wait.
    pub fn has_heard_all_for(&self) -> Option<Duration> {
        let Heard { since, last } = *self.heard();
        last.filter(|last| last.elapsed() < SEEN_LATELY)?;
        since.map(|since| since.elapsed())
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is in hand, and the broker says that nothing waits.
    pub(super) fn seen_empty(&self) {
        let now = Instant::now();
        let mut heard = self.heard();
        *heard = Heard { since: heard.since.or(Some(now)), last: Some(now) };
    }

    pub(super) fn in_hand(&self) {
        self.heard().last = None;
    }

    /// What was in hand took long, or there was more of it than one batch holds.
    pub(super) fn fell_behind(&self) {
        *self.heard() = Heard::default();
    }

    /// Whether another replica has the queue at this moment.
    pub fn stands_by(&self) -> bool {
        self.stands_by.load(Ordering::Relaxed)
    }

    /// Whether it waits for an orchestrator of the other kind to be stopped.
    pub fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    pub(super) fn waiting(&self, waits: bool) {
        self.waits.store(waits, Ordering::Relaxed);
    }

    /// Whether the last batch could not be committed.
    pub(super) fn cannot_take(&self) -> bool {
        self.cannot_take.load(Ordering::Relaxed)
    }

    pub(super) fn took(&self, has_worked: bool) {
        self.cannot_take.store(!has_worked, Ordering::Relaxed);
    }

    /// Why nothing comes in, or not all of it goes out, while that is so.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn begun(&self) {
        self.listens.store(true, Ordering::Relaxed);
        *self.heard() = Heard::default();
        self.standing_by(false);
        self.waiting(false);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn ended(&self) {
        self.listens.store(false, Ordering::Relaxed);
        *self.heard() = Heard::default();
    }

    pub(super) fn standing_by(&self, stands_by: bool) {
        self.stands_by.store(stands_by, Ordering::Relaxed);
    }

    pub(crate) fn interrupted(&self, why: &str) {
        self.interruptions.fetch_add(1, Ordering::Relaxed);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
    }

    /// It goes on, but something waits; `None`: nothing does.
    pub(crate) fn held_up(&self, why: Option<&str>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = why.map(str::to_owned);
    }

    pub(crate) fn batch_done(&self, recorded: usize, dead_letters: usize) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.recorded.fetch_add(recorded as u64, Ordering::Relaxed);
        self.dead_letters.fetch_add(dead_letters as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_is_heard_since_the_queue_was_seen_empty_and_nothing_went_wrong() {
        let (counters, second) = (LineCounters::default(), Duration::from_secs(1));
        counters.begun();
        assert_eq!(counters.has_heard_all_for(), None, "what was there before us");
        counters.seen_empty();
        tokio::time::advance(second).await;
        assert_eq!(counters.has_heard_all_for(), Some(second));
        counters.in_hand();
        assert_eq!(counters.has_heard_all_for(), None);
        counters.seen_empty();
        assert_eq!(counters.has_heard_all_for(), Some(second), "what is done at once interrupts nothing");
        for wrong in [LineCounters::fell_behind, LineCounters::ended, LineCounters::begun] {
            wrong(&counters);
            assert_eq!(counters.has_heard_all_for(), None);
            counters.seen_empty();
            assert_eq!(counters.has_heard_all_for(), Some(Duration::ZERO));
            tokio::time::advance(second).await;
        }
        tokio::time::advance(SEEN_LATELY).await;
        assert_eq!(counters.has_heard_all_for(), None, "the broker says nothing any more");
    }
}
