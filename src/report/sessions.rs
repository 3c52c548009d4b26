//! Who was connected to the store, and which sessions the run ended.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsReport {
    /// `leave`, `cancel_blockers`, `terminate_blockers` or `terminate_all`.
    pub mode: String,
    /// Sessions of the listed roles when the run began.
    pub found: Vec<SessionReport>,
    pub ended: Vec<EndedSession>,
    /// What could not be looked at or ended, one sentence each.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionReport {
    pub pid: i32,
    pub role: String,
    pub application: String,
    /// `None` for a local socket.
    pub address: Option<String>,
    pub state: String,
    /// What it runs or ran last, cut to one line; empty where our role may not see it.
    pub statement: String,
    /// Seconds since its transaction or its statement began.
    pub since_seconds: i64,
}

/// A session that the run ended, or tried to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedSession {
    pub session: SessionReport,
    pub how: Ending,
    /// The chunk that it kept us from; `None` where all sessions of a role were ended.
    pub in_the_way_of: Option<String>,
    /// Microseconds since 1970 UTC.
    pub at: i64,
    /// False where the server would not, or the session was still there afterwards.
    pub done: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Its statement was cancelled.
    Cancelled,
    /// Its connection was closed.
    Terminated,
}
