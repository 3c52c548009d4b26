//! The report's section on sessions, for people: who was connected, whom the run ended, and what it could not.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::problem::printable;

use super::sessions::{EndedSession, Ending, SessionReport, SessionsReport};
use super::table::counted;

/// Of those who were connected only so many are named, and none that was idle.
const MOST_NAMED: usize = 10;

pub fn render(sessions: Option<&SessionsReport>) -> String {
    let Some(sessions) = sessions else { return String::new() };
    let mut text =
        format!("sessions of the listed roles (mode {}): {}\n", sessions.mode, count(&sessions.found));
    let busy: Vec<&SessionReport> = sessions.found.iter().filter(|session| session.state != "idle").collect();
    for session in busy.iter().take(MOST_NAMED) {
        let _ = writeln!(text, "  {}", described(session, ""));
    }
    if busy.len() > MOST_NAMED {
        let _ = writeln!(text, "  and {} more that were not idle", busy.len() - MOST_NAMED);
    }
    for ended in &sessions.ended {
        let _ = writeln!(text, "  {}", outcome(ended));
    }
    for note in &sessions.notes {
        let _ = writeln!(text, "  note: {}", printable(note));
    }
    text + "\n"
}

/// `12 connected: 1 active, 11 idle`.
fn count(found: &[SessionReport]) -> String {
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for session in found {
        *states.entry(&session.state).or_default() += 1;
    }
    let states: Vec<String> =
        states.iter().map(|(state, count)| format!("{count} {}", printable(state))).collect();
    if found.is_empty() {
        return "nobody was connected".into();
    }
    format!("{} connected, {}", counted(found.len(), "session"), states.join(", "))
}

/// One line for standard error, before a session is ended.
pub fn announcement(ended: &EndedSession) -> String {
    let doing = match ended.how {
        Ending::Cancelled => "trying to cancel the statement of",
        Ending::Terminated => "trying to terminate",
    };
    format!("{doing} {}", whom(ended))
}

/// What became of a session that the run tried to end.
pub fn outcome(ended: &EndedSession) -> String {
    let what = match (ended.how, ended.done) {
        (Ending::Cancelled, true) => "cancelled the statement of",
        (Ending::Terminated, true) => "terminated",
        (Ending::Cancelled, false) => "could not cancel the statement of",
        (Ending::Terminated, false) => "could not terminate",
    };
    format!("{what} {}", whom(ended))
}

fn whom(ended: &EndedSession) -> String {
    let way = ended.in_the_way_of.as_ref().map(|chunk| format!(" in the way of {}", printable(chunk)));
    described(&ended.session, &way.unwrap_or_default())
}

fn described(session: &SessionReport, way: &str) -> String {
    let or = |text: &'_ str, otherwise: &str| printable(if text.is_empty() { otherwise } else { text });
    format!(
        "process {} of role {} ({}, from {}, {} for {} s){way}: {}",
        session.pid,
        printable(&session.role),
        or(&session.application, "no name"),
        session.address.as_ref().map_or_else(|| "here".into(), printable),
        printable(&session.state),
        session.since_seconds,
        or(&session.statement, "no statement known")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(pid: i32, state: &str) -> SessionReport {
        SessionReport {
            pid,
            role: "app".into(),
            application: "psql".into(),
            address: Some("10.0.0.7".into()),
            state: state.into(),
            statement: "SELECT\n1".into(),
            since_seconds: 60,
        }
    }

    fn ended(how: Ending, done: bool) -> EndedSession {
        let in_the_way_of = Some("_hyper_1_2_chunk".into());
        EndedSession { session: session(9, "active"), how, in_the_way_of, at: 0, done }
    }

    #[test]
    fn five_hundred_sessions_take_a_dozen_lines_and_every_ended_one_its_own() {
        let found = (1..=500).map(|pid| session(pid, if pid <= 30 { "active" } else { "idle" })).collect();
        let ended: Vec<EndedSession> = (0..500).map(|_| ended(Ending::Terminated, true)).collect();
        let notes = vec!["7 more sessions of the listed roles were connected".into()];
        let report = SessionsReport { mode: "terminate_all".into(), found, ended: Vec::new(), notes };
        let text = render(Some(&report));
        assert_eq!(text.lines().count(), 14, "{text}");
        let said = "sessions of the listed roles (mode terminate_all): 500 sessions connected, 30 active, 470 idle\n";
        assert!(text.starts_with(said), "{text}");
        assert!(text.contains("\n  and 20 more that were not idle\n  note: 7 more sessions"), "{text}");
        let text = render(Some(&SessionsReport { ended, ..report }));
        assert_eq!(text.lines().count(), 514);
    }

    #[test]
    fn an_ended_session_is_told_with_all_that_is_known() {
        let who = "process 9 of role app (psql, from 10.0.0.7, active for 60 s) in the way of _hyper_1_2_chunk: SELECT 1";
        for (how, done, said) in [
            (Ending::Terminated, true, "terminated"),
            (Ending::Terminated, false, "could not terminate"),
            (Ending::Cancelled, true, "cancelled the statement of"),
            (Ending::Cancelled, false, "could not cancel the statement of"),
        ] {
            assert_eq!(outcome(&ended(how, done)), format!("{said} {who}"));
        }
        assert_eq!(announcement(&ended(Ending::Terminated, false)), format!("trying to terminate {who}"));
    }

    #[test]
    fn text_from_the_database_breaks_no_line_and_steers_no_terminal() {
        let nasty = || "a\u{1b}]0;x\u{7}\nerror: b\u{202e}".to_owned();
        let session = SessionReport {
            role: nasty(),
            application: nasty(),
            address: Some(nasty()),
            state: nasty(),
            statement: nasty(),
            ..session(1, "")
        };
        let ended = EndedSession {
            session: session.clone(),
            in_the_way_of: Some(nasty()),
            ..ended(Ending::Terminated, true)
        };
        let said = announcement(&ended);
        let (found, notes) = (vec![session], vec![nasty()]);
        let report = SessionsReport { mode: "leave".into(), found, ended: vec![ended], notes };
        for text in [said, render(Some(&report))] {
            assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
            assert!(!text.lines().any(|line| line.starts_with("error: b")), "{text}");
        }
    }
}
