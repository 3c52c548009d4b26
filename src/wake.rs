//! Waking the loop, and what it says about itself: all that the ways in (REST, AMQP) know of the daemon.
//!
//! A wake carries no order: the pass looks at state alone. Invariants: wakes that come together are one pass,
//! and a wake that comes while a pass is at work is another one after it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use serde::Serialize;
use tokio::sync::Notify;

/// A handle that wakes the loop; copies wake the same one.
#[derive(Debug, Clone, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    pub fn wake(&self) {
        self.0.notify_one();
    }

    /// Waits for a wake, also for one that came before.
    pub async fn woken(&self) {
        self.0.notified().await;
    }

    /// Forgets a wake that came before.
    pub fn forget(&self) {
        let _ = self.0.notified().now_or_never();
    }
}

/// What the loop says about itself. Copies show the same.
#[derive(Debug, Clone, Default)]
pub struct Status(Arc<Mutex<LoopStatus>>);

/// Instants are microseconds since 1970 UTC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LoopStatus {
    pub at_work: bool,
    pub last_pass: Option<i64>,
    /// The last pass in one word.
    pub last_verdict: Option<&'static str>,
    /// The last pass that did all it was to do.
    pub last_success: Option<i64>,
    pub last_error: Option<String>,
    pub last_error_at: Option<i64>,
    pub errors_in_a_row: u32,
    pub next_pass: Option<i64>,
    /// The ways in, and what is wrong with them; `None` where nothing is.
    pub ways_in: BTreeMap<&'static str, Option<String>>,
}

impl Status {
    pub fn get(&self) -> LoopStatus {
        self.held().clone()
    }

    pub fn change(&self, change: impl FnOnce(&mut LoopStatus)) {
        change(&mut self.held());
    }

    fn held(&self) -> MutexGuard<'_, LoopStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
