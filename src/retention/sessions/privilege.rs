//! What `check` says about ending sessions: roles that are not there, and privileges that are missing.

use super::{SessionMode, SessionRules};
use crate::retention::facts::ConnectionFacts;
use crate::retention::name::quote_identifier;

/// A role of `sessions.roles` as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleFacts {
    pub name: String,
    /// False where the server has no such role.
    pub known: bool,
    pub superuser: bool,
    /// Our role is a member of it, or the role itself.
    pub is_ours: bool,
}

/// One sentence for each thing that would keep the configured mode from working.
pub fn advice(
    settings: &SessionRules,
    roles: &[RoleFacts],
    us: &ConnectionFacts,
    sees_other_sessions: bool,
) -> Vec<String> {
    let mut advice: Vec<String> =
        roles.iter().filter(|role| !role.known).map(|role| unknown(&role.name)).collect();
    if us.superuser || settings.mode == SessionMode::Leave {
        return advice;
    }
    let mode = settings.mode.word();
    let known = || roles.iter().filter(|role| role.known);
    let superusers = known().filter(|role| role.superuser);
    advice.extend(superusers.map(|role| superuser(&role.name, mode)));
    let foreign = || known().filter(|role| !role.superuser && !role.is_ours);
    if foreign().next().is_some() {
        let names = list(foreign().map(|role| role.name.as_str()));
        if !us.may_signal_backends {
            advice.push(missing(&names, mode, "end", "pg_signal_backend", &us.role));
        }
        if !sees_other_sessions {
            advice.push(missing(&names, mode, "see enough of", "pg_read_all_stats", &us.role));
        }
    }
    advice
}

/// Whether our role needs no privilege: it is a member of every listed role whose sessions can be ended at all.
pub fn is_member_of_all(roles: &[RoleFacts]) -> bool {
    let mut ordinary = roles.iter().filter(|role| role.known && !role.superuser).peekable();
    ordinary.peek().is_some() && ordinary.all(|role| role.is_ours)
}

fn unknown(role: &str) -> String {
    format!(
        "`sessions.roles` names {role}, and this server has no such role; names are compared letter by letter"
    )
}

fn superuser(role: &str, mode: &str) -> String {
    format!(
        "`sessions.mode` is `{mode}`, but {role} is a superuser and our role is none: its sessions are left alone"
    )
}

fn missing(names: &str, mode: &str, what: &str, privilege: &str, us: &str) -> String {
    format!(
        "`sessions.mode` is `{mode}`, but our role may not {what} sessions of {names}, which are left alone: \
         GRANT {privilege} TO {};",
        quote_identifier(us)
    )
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str, superuser: bool, is_ours: bool) -> RoleFacts {
        RoleFacts { name: name.into(), known: true, superuser, is_ours }
    }

    fn said(mode: SessionMode, us: &ConnectionFacts, sees: bool) -> Vec<String> {
        let settings = SessionRules { mode, ..SessionRules::default() };
        let gone = RoleFacts { known: false, ..role("gone", false, false) };
        let roles =
            [role("app", false, false), role("postgres", true, false), role("own", false, true), gone];
        advice(&settings, &roles, us, sees)
    }

    #[test]
    fn a_member_of_every_listed_role_needs_no_privilege() {
        let gone = RoleFacts { known: false, ..role("gone", false, false) };
        assert!(is_member_of_all(&[role("a", false, true), role("postgres", true, false), gone.clone()]));
        assert!(!is_member_of_all(&[role("a", false, true), role("b", false, false)]));
        assert!(!is_member_of_all(&[gone]) && !is_member_of_all(&[]));
    }

    #[test]
    fn what_keeps_a_mode_from_working_is_said_with_the_grant() {
        let us = ConnectionFacts { role: "sweeper".into(), ..ConnectionFacts::default() };
        let gone = "`sessions.roles` names gone, and this server has no such role; names are compared letter by letter";
        assert_eq!(said(SessionMode::Leave, &us, false), [gone]);
        let superuser = "`sessions.mode` is `terminate_all`, but postgres is a superuser and our role is none: its sessions are left alone";
        let end = "`sessions.mode` is `terminate_all`, but our role may not end sessions of app, which are left alone: GRANT pg_signal_backend TO \"sweeper\";";
        let see = "`sessions.mode` is `terminate_all`, but our role may not see enough of sessions of app, which are left alone: GRANT pg_read_all_stats TO \"sweeper\";";
        assert_eq!(said(SessionMode::TerminateAll, &us, false), [gone, superuser, end, see]);
        let granted = ConnectionFacts { may_signal_backends: true, ..us.clone() };
        assert_eq!(said(SessionMode::TerminateAll, &granted, true), [gone, superuser]);
        let all_powerful = ConnectionFacts { superuser: true, ..us };
        assert_eq!(said(SessionMode::TerminateAll, &all_powerful, true), [gone]);
    }
}
