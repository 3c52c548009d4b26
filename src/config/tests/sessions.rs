//! `[stores.NAME.sessions]`: nobody is ended unless somebody wrote down who.

use super::*;
use crate::retention::sessions::{SessionMode, SessionRules};

fn sessions(rest: &str) -> SessionRules {
    with_store(rest).stores[0].sessions.clone()
}

#[test]
fn nobody_is_ended_unless_roles_and_a_mode_are_written() {
    let default = SessionRules::default();
    assert_eq!(sessions(""), default);
    assert_eq!(sessions("[stores.main.sessions]"), default);
    let told = sessions("sessions = { roles = [\"app\"] }");
    assert_eq!(told, SessionRules { roles: vec!["app".into()], ..default.clone() });
    let text = "[stores.main.sessions]\nroles = [\"app\", \"Über \\\"x\"]\nmode = \"terminate_blockers\"\npatience = \"2 min\"";
    let all = SessionRules {
        roles: vec!["app".into(), "Über \"x".into()],
        mode: SessionMode::TerminateBlockers,
        patience: Duration::from_mins(2),
    };
    assert_eq!(sessions(text), all);
}

#[test]
fn each_store_has_sessions_of_its_own() {
    let text = format!(
        "{STORE}sessions = {{ roles = [\"app\"], mode = \"terminate_all\" }}\n[stores.spare]\nurl = \"postgres://me@db/spare\""
    );
    let stores = parse(&text).expect("two stores").stores;
    assert_eq!(stores[0].sessions.mode, SessionMode::TerminateAll);
    assert_eq!(stores[1].sessions, SessionRules::default());
}

#[test]
fn a_mode_that_ends_sessions_needs_roles() {
    let way_out =
        "hint: name the roles whose sessions may be ended, such as roles = [\"app\"], or leave `mode` out";
    for mode in ["cancel_blockers", "terminate_blockers", "terminate_all"] {
        let said = format!(
            "t.toml, line 3: [stores.main.sessions] has `mode` `{mode}` and no `roles`: nobody may be ended\n{way_out}"
        );
        check_faults(&[(&format!("[stores.main.sessions]\nmode = \"{mode}\""), &said)]);
    }
}

#[test]
fn what_is_no_setting_of_sessions_is_refused() {
    let section = "[stores.main.sessions]\n";
    let place = "t.toml, line 4: `";
    for (line, said) in [
        (
            "roles = \"app\"",
            "roles` of [stores.main.sessions] has to be a list of texts, such as [\"…\"], and it is text",
        ),
        (
            "roles = [1]",
            "roles` of [stores.main.sessions] has to be text in double quotes, and it is a whole number",
        ),
        (
            "roles = []",
            "roles` of [stores.main.sessions] is an empty list\nhint: leave it out, or name at least one",
        ),
        ("roles = [\" \"]", "roles` of [stores.main.sessions]: a role has a name"),
        (
            "patience = \"500 ms\"",
            "patience` of [stores.main.sessions]: `500 ms` is outside of 1 s to 1 hour",
        ),
        ("patience = \"1 day\"", "patience` of [stores.main.sessions]: `1 day` is outside of 1 s to 1 hour"),
    ] {
        assert_eq!(fault(&format!("{STORE}{section}{line}")), format!("{place}{said}"), "{line}");
    }
    let unknown = fault(&format!("{STORE}{section}mode = \"kill\""));
    assert!(
        unknown.contains(
            "there is no `kill`; it is one of leave, cancel_blockers, terminate_blockers, terminate_all"
        ),
        "{unknown}"
    );
    let elsewhere = fault(&format!("{STORE}patience = \"1 s\""));
    assert!(elsewhere.contains("`patience` belongs to [stores.NAME.sessions]"), "{elsewhere}");
}
