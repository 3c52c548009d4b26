//! One chunk on its way: its tries, and the pauses between them.
//!
//! Invariant: every chunk comes to an end. Its tries are counted, and what prolongs them (somebody's
//! patience, an ending) is bounded by whoever asks for it (`execute/blockers.rs`).

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::retention::plan::ChunkPlan;
use crate::state::IntentId;
use crate::sweep::execute::blockers::InTheWay;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The pauses between so many tries.
pub(super) fn pauses(attempts: u32) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .with_max_times(attempts.saturating_sub(1) as usize)
}

/// One chunk on its way.
#[derive(Debug)]
pub struct Item {
    pub plan: ChunkPlan,
    /// Written before the first try.
    pub intent: Option<IntentId>,
    pub tries: u32,
    /// What its last try waited for in vain.
    pub waited: Option<String>,
    pub in_the_way: InTheWay,
    /// Somebody in the way may be ended at this instant, so the chunk is tried until then.
    pub not_given_up_before: Option<Instant>,
    try_at_once: bool,
    pauses: ExponentialBackoff,
    all_pauses: ExponentialBuilder,
}

impl Item {
    pub(super) fn new(plan: &ChunkPlan, pauses: ExponentialBuilder) -> Self {
        Self {
            plan: plan.clone(),
            intent: None,
            tries: 0,
            waited: None,
            in_the_way: InTheWay::default(),
            not_given_up_before: None,
            try_at_once: false,
            pauses: pauses.build(),
            all_pauses: pauses,
        }
    }

    /// Whoever was in the way is gone: the chunk has all of its tries again.
    pub fn start_over(&mut self) {
        self.pauses = self.all_pauses.build();
        self.try_at_once = true;
    }

    /// How long to wait before the next try; `None` where there is none.
    pub(super) fn pause(&mut self, now: Instant) -> Option<Duration> {
        if std::mem::take(&mut self.try_at_once) {
            return Some(Duration::ZERO);
        }
        let until = self.not_given_up_before.take();
        let needed = || Some(until?.saturating_duration_since(now).min(LONGEST_PAUSE));
        self.pauses.next().or_else(needed)
    }
}
