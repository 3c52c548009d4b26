//! One drop at a time: a drop rewrites what the server knows of all databases, and everybody waits.
//!
//! Invariant: between the end of one drop and the start of the next lies at least the pause.

use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

pub struct Turn {
    pause: Duration,
    /// When the last drop ended.
    last: Mutex<Option<Instant>>,
}

/// Held while a drop is at work.
pub struct Held<'a>(MutexGuard<'a, Option<Instant>>);

impl Turn {
    pub fn new(pause: Duration) -> Self {
        Self { pause, last: Mutex::const_new(None) }
    }

    pub async fn take(&self) -> Held<'_> {
        let last = self.last.lock().await;
        if let Some(ended) = *last {
            tokio::time::sleep_until(ended + self.pause).await;
        }
        Held(last)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        *self.0 = Some(Instant::now());
    }
}
