//! Who was connected, and whom the run ended.

use crate::report::Report;
use crate::report::sessions::{EndedSession, Ending, SessionReport};
use crate::report::table::{counted, minute};

use super::{Block, lines, table};

/// More are counted, not listed; the attached JSON has them all.
const MOST: usize = 40;

pub fn blocks(report: &Report) -> Vec<Block> {
    let Some(sessions) = &report.sessions else { return Vec::new() };
    let found = sessions.found.len();
    let connected = counted(found, "session");
    let mut said =
        vec![format!("mode {}: {connected} of the listed roles when the run began", sessions.mode)];
    said.extend(sessions.notes.iter().cloned());
    if found > MOST {
        said.push(format!("the first {MOST} of them are listed; the JSON has them all"));
    }
    let mut blocks = lines(&said);
    let header = ["ended", "how", "role", "application", "address", "in the way of", "what it ran"];
    blocks.extend(table(&header, sessions.ended.iter().map(ended_row).collect()));
    let header = [" process", "role", "application", "address", "state", " for", "what it ran"];
    blocks.extend(table(&header, sessions.found.iter().take(MOST).map(found_row).collect()));
    blocks
}

fn ended_row(ended: &EndedSession) -> Vec<String> {
    let how = match (ended.how, ended.done) {
        (Ending::Cancelled, true) => "cancelled",
        (Ending::Terminated, true) => "terminated",
        (Ending::Cancelled, false) => "was to be cancelled, and was not",
        (Ending::Terminated, false) => "was to be terminated, and is still there",
    };
    let session = &ended.session;
    vec![
        format!("{}, process {}", minute(ended.at), session.pid),
        how.into(),
        session.role.clone(),
        session.application.clone(),
        address(session),
        ended.in_the_way_of.clone().unwrap_or_else(|| "all of the role".into()),
        session.statement.clone(),
    ]
}

fn found_row(session: &SessionReport) -> Vec<String> {
    vec![
        session.pid.to_string(),
        session.role.clone(),
        session.application.clone(),
        address(session),
        session.state.clone(),
        format!("{} s", session.since_seconds),
        session.statement.clone(),
    ]
}

fn address(session: &SessionReport) -> String {
    session.address.clone().unwrap_or_else(|| "local".into())
}
