//! Sessions that have done their work and wait for the next: connecting costs more than most reads, and
//! a session that has read about chunks drops them faster.
//!
//! Invariant: only a session without an open transaction is given back, and it is asked for an answer
//! before it is used again.

use std::sync::{Mutex, PoisonError};

use sqlx::Executor;
use sqlx::postgres::PgConnection;

use super::Server;
use crate::problem::Result;

pub struct Idle {
    server: Server,
    sessions: Mutex<Vec<PgConnection>>,
}

impl Idle {
    pub fn new(server: Server) -> Self {
        Self { server, sessions: Mutex::new(Vec::new()) }
    }

    /// A session that waits, or a new one, which is named after its first task.
    pub async fn take(&self, task: &str) -> Result<PgConnection> {
        while let Some(mut session) = self.pop() {
            let answer = session.execute(sqlx::raw_sql("SELECT 1"));
            match tokio::time::timeout(self.server.limits().wake, answer).await {
                Ok(Ok(_)) => return Ok(session),
                Ok(Err(_)) => {}
                // What has forgotten one connection has forgotten those beside it: each would cost as long.
                Err(_) => self.sessions.lock().unwrap_or_else(PoisonError::into_inner).clear(),
            }
        }
        self.server.connect(task).await
    }

    fn pop(&self) -> Option<PgConnection> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps a session for later. It must not be in a transaction.
    pub fn give_back(&self, session: PgConnection) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }
}
