//! May this session be ended? Facts about it and the settings in, an answer with its reason out.
//!
//! Invariant: a session of ours, of another database, of a role that is not listed, of the server itself
//! or of another drop is never ended, whatever the mode; neither is one that cannot be seen clearly.

pub mod privilege;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

/// What a run does with sessions of the listed roles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SessionMode {
    /// Nothing: whoever is in the way is named in the report.
    #[default]
    Leave,
    CancelBlockers,
    TerminateBlockers,
    /// All of them, once, before the first drop.
    TerminateAll,
}

impl SessionMode {
    pub const ALL: [(&'static str, Self); 4] = [
        ("leave", Self::Leave),
        ("cancel_blockers", Self::CancelBlockers),
        ("terminate_blockers", Self::TerminateBlockers),
        ("terminate_all", Self::TerminateAll),
    ];

    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, mode)| *mode == self).map_or("leave", |(word, _)| word)
    }

    pub fn ends_blockers(self) -> bool {
        matches!(self, Self::CancelBlockers | Self::TerminateBlockers)
    }
}

/// `[stores.NAME.sessions]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRules {
    /// Nobody of another role is ever ended; compared letter by letter.
    pub roles: Vec<String>,
    pub mode: SessionMode,
    /// How long a session may be in the way of a chunk before it is ended.
    pub patience: Duration,
}

impl Default for SessionRules {
    fn default() -> Self {
        Self { roles: Vec::new(), mode: SessionMode::Leave, patience: Duration::from_secs(30) }
    }
}

/// A session as the store shows it to our role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFacts {
    pub pid: i32,
    /// Microseconds since 1970 UTC; tells a session from a later one with the same process id. `None`
    /// where our role may not see it.
    pub started_at: Option<i64>,
    pub role: String,
    /// `client backend`, `walsender`, …; `None` where our role may not see it.
    pub backend: Option<String>,
    pub in_our_database: bool,
    /// Of this run, or of any other timesweep.
    pub ours: bool,
    /// It is dropping chunks, by whatever statement.
    pub drops_chunks: bool,
    pub application: String,
    /// `None` for a local socket.
    pub address: Option<String>,
    pub state: Option<String>,
    /// What it runs or ran last, cut to one line; empty where our role may not see it.
    pub statement: String,
    /// Since its transaction or its statement began.
    pub since_seconds: i64,
}

/// How a session is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Its statement is cancelled; its connection stays.
    Cancel,
    /// Its connection is closed.
    Terminate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    End(How),
    Leave(Left),
}

/// Why a session is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    Ours,
    OtherDatabase,
    RoleNotListed,
    Hidden,
    NotAClient,
    DropsChunks,
    Mode,
    NotInTheWay,
    /// It may be in the way for so long still.
    Patience(Duration),
    NothingToCancel,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours => f.write_str("it is one of ours"),
            Self::OtherDatabase => f.write_str("it is connected to another database"),
            Self::RoleNotListed => f.write_str("its role is not listed in `sessions.roles`"),
            Self::Hidden => {
                f.write_str("our role may not see what it is and since when (pg_read_all_stats would do)")
            }
            Self::NotAClient => f.write_str("it is a process of the server, not a client"),
            Self::DropsChunks => f.write_str("it drops chunks itself"),
            Self::Mode => f.write_str("`sessions.mode` is `leave`"),
            Self::NotInTheWay => f.write_str("it is not in the way"),
            Self::Patience(left) => write!(f, "it may be in the way for {} s more", left.as_secs()),
            Self::NothingToCancel => f.write_str(
                "it runs no statement that could be cancelled; `terminate_blockers` would close its connection",
            ),
        }
    }
}

/// The rule. `in_the_way_for`: how long the session was seen to hold a lock on a chunk that shall go.
pub fn may_be_ended(
    session: &SessionFacts,
    rules: &SessionRules,
    in_the_way_for: Option<Duration>,
) -> Answer {
    match protection(session, rules) {
        Some(left) => Answer::Leave(left),
        None => by_mode(session, rules, in_the_way_for),
    }
}

/// What holds in every mode.
fn protection(session: &SessionFacts, rules: &SessionRules) -> Option<Left> {
    if session.ours {
        return Some(Left::Ours);
    }
    if !session.in_our_database {
        return Some(Left::OtherDatabase);
    }
    if !rules.roles.contains(&session.role) {
        return Some(Left::RoleNotListed);
    }
    let (Some(_), Some(backend)) = (session.started_at, &session.backend) else { return Some(Left::Hidden) };
    if backend != "client backend" {
        return Some(Left::NotAClient);
    }
    session.drops_chunks.then_some(Left::DropsChunks)
}

fn by_mode(session: &SessionFacts, rules: &SessionRules, in_the_way_for: Option<Duration>) -> Answer {
    let how = match rules.mode {
        SessionMode::Leave => return Answer::Leave(Left::Mode),
        SessionMode::TerminateAll => return Answer::End(How::Terminate),
        SessionMode::CancelBlockers => How::Cancel,
        SessionMode::TerminateBlockers => How::Terminate,
    };
    let Some(waited) = in_the_way_for else { return Answer::Leave(Left::NotInTheWay) };
    if how == How::Cancel && session.state.as_deref() != Some("active") {
        return Answer::Leave(Left::NothingToCancel);
    }
    match rules.patience.checked_sub(waited) {
        Some(left) if !left.is_zero() => Answer::Leave(Left::Patience(left)),
        _ => Answer::End(how),
    }
}
