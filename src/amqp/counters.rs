//! What the lines of the broker have done, for metrics and for the page of health.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::troubles::Troubles;

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
    listens_since: Mutex<Option<Instant>>,
    stands_by: AtomicBool,
    trouble: Mutex<Option<String>>,
    /// Another orchestrator is at work, and nothing else is wrong.
    waits: AtomicBool,
    /// What was in hand could not be committed: that it listens again proves nothing.
    cannot_take: AtomicBool,
    pub(crate) troubles: Troubles,
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

    /// For how long messages have come in without a break; `None` while none do.
    pub fn has_listened_for(&self) -> Option<Duration> {
        self.since().map(|since| since.elapsed())
    }

    fn since(&self) -> Option<Instant> {
        *self.listens_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_since(&self, since: Option<Instant>) {
        *self.listens_since.lock().unwrap_or_else(PoisonError::into_inner) = since;
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
        self.set_since(Some(Instant::now()));
        self.standing_by(false);
        self.waiting(false);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn ended(&self) {
        self.listens.store(false, Ordering::Relaxed);
        self.set_since(None);
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
