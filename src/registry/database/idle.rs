//! Connections that wait for the next unit of work.
//!
//! Invariant: one that waited for long is asked before anything depends on it: a firewall that forgot it would
//! leave its unit, and all behind that, without an answer for minutes.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::connection::Connection;

/// No firewall forgets so fast.
const FRESH: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Idle(Mutex<Vec<(Instant, Connection)>>);

impl Idle {
    pub(super) fn give_back(&self, connection: Connection) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), connection));
    }

    /// Where one does not answer, all are thrown away: the others came the same way, and each would be waited for.
    pub(super) async fn one_that_answers(&self) -> Option<Connection> {
        while let Some((since, mut connection)) = self.pop() {
            if since.elapsed() < FRESH || connection.answers().await {
                return Some(connection);
            }
            self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        None
    }

    fn pop(&self) -> Option<(Instant, Connection)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}
