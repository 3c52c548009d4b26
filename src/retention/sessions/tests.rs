use proptest::prelude::*;

use super::*;

fn session() -> SessionFacts {
    SessionFacts {
        pid: 42,
        started_at: Some(1),
        role: "app".into(),
        backend: Some("client backend".into()),
        in_our_database: true,
        ours: false,
        drops_chunks: false,
        application: "psql".into(),
        address: None,
        state: Some("active".into()),
        statement: "SELECT 1".into(),
        since_seconds: 60,
    }
}

fn rules(mode: SessionMode) -> SessionRules {
    SessionRules { roles: vec!["app".into(), "postgres".into()], mode, patience: Duration::from_secs(30) }
}

const LONG: Option<Duration> = Some(Duration::from_secs(30));
const SHORT: Option<Duration> = Some(Duration::from_secs(29));

#[test]
fn each_mode_ends_whom_it_names() {
    use Answer::{End, Leave};
    use SessionMode as M;
    let second = Duration::from_secs(1);
    for (mode, in_the_way_for, expected) in [
        (M::Leave, LONG, Leave(Left::Mode)),
        (M::Leave, None, Leave(Left::Mode)),
        (M::CancelBlockers, LONG, End(How::Cancel)),
        (M::CancelBlockers, SHORT, Leave(Left::Patience(second))),
        (M::CancelBlockers, None, Leave(Left::NotInTheWay)),
        (M::TerminateBlockers, LONG, End(How::Terminate)),
        (M::TerminateBlockers, SHORT, Leave(Left::Patience(second))),
        (M::TerminateBlockers, None, Leave(Left::NotInTheWay)),
        (M::TerminateAll, None, End(How::Terminate)),
        (M::TerminateAll, SHORT, End(How::Terminate)),
    ] {
        assert_eq!(may_be_ended(&session(), &rules(mode), in_the_way_for), expected, "{mode:?}");
    }
}

#[test]
fn an_idle_transaction_has_no_statement_to_cancel() {
    let idle = SessionFacts { state: Some("idle in transaction".into()), ..session() };
    let cancel = may_be_ended(&idle, &rules(SessionMode::CancelBlockers), LONG);
    assert_eq!(cancel, Answer::Leave(Left::NothingToCancel));
    let terminate = may_be_ended(&idle, &rules(SessionMode::TerminateBlockers), LONG);
    assert_eq!(terminate, Answer::End(How::Terminate));
}

#[test]
fn some_sessions_are_left_in_every_mode() {
    let backend = |name: &str| SessionFacts { backend: Some(name.into()), ..session() };
    let cases = [
        (SessionFacts { ours: true, ..session() }, Left::Ours),
        (SessionFacts { in_our_database: false, ..session() }, Left::OtherDatabase),
        (SessionFacts { role: "App".into(), ..session() }, Left::RoleNotListed),
        (SessionFacts { backend: None, ..session() }, Left::Hidden),
        (SessionFacts { started_at: None, ..session() }, Left::Hidden),
        (backend("walsender"), Left::NotAClient),
        (backend("autovacuum worker"), Left::NotAClient),
        (backend("parallel worker"), Left::NotAClient),
        (backend("TimescaleDB Background Worker Scheduler"), Left::NotAClient),
        (SessionFacts { drops_chunks: true, ..session() }, Left::DropsChunks),
    ];
    for (session, left) in cases {
        for (word, mode) in SessionMode::ALL {
            let answer = may_be_ended(&session, &rules(mode), LONG);
            assert_eq!(answer, Answer::Leave(left), "{word}: {session:?}");
        }
    }
}

#[test]
fn nobody_is_listed_by_default() {
    let default = SessionRules::default();
    assert_eq!((default.mode, default.roles.len()), (SessionMode::Leave, 0));
    let careless = SessionRules { mode: SessionMode::TerminateAll, ..default };
    assert_eq!(may_be_ended(&session(), &careless, LONG), Answer::Leave(Left::RoleNotListed));
}

fn anybody() -> impl Strategy<Value = SessionFacts> {
    let role = prop::sample::select(vec!["app", "postgres", "other", "", "APP", "app "]);
    let backends = vec![
        None,
        Some("client backend"),
        Some("walsender"),
        Some("background worker"),
        Some("autovacuum worker"),
    ];
    let states = vec![None, Some("active"), Some("idle"), Some("idle in transaction")];
    let start = prop::option::of(any::<i64>());
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (role, prop::sample::select(backends), prop::sample::select(states), start, flags).prop_map(
        |(role, backend, state, started_at, (in_our_database, ours, drops_chunks))| SessionFacts {
            role: role.into(),
            backend: backend.map(Into::into),
            state: state.map(Into::into),
            started_at,
            in_our_database,
            ours,
            drops_chunks,
            ..session()
        },
    )
}

proptest! {
    #[test]
    fn nobody_but_clients_of_the_listed_roles_in_this_database_is_ever_ended(
        session in anybody(),
        mode in prop::sample::select(SessionMode::ALL.to_vec()),
        roles in prop::collection::vec(prop::sample::select(vec!["app", "postgres", "nobody"]), 0..3),
        patience in 0_u64..100,
        in_the_way_for in prop::option::of(0_u64..100),
    ) {
        let rules = SessionRules {
            roles: roles.iter().map(ToString::to_string).collect(),
            mode: mode.1,
            patience: Duration::from_secs(patience),
        };
        if let Answer::End(_) = may_be_ended(&session, &rules, in_the_way_for.map(Duration::from_secs)) {
            prop_assert!(rules.mode != SessionMode::Leave);
            prop_assert!(roles.contains(&session.role.as_str()));
            prop_assert_eq!(session.backend.as_deref(), Some("client backend"));
            prop_assert!(session.in_our_database && !session.ours && !session.drops_chunks);
            prop_assert!(session.started_at.is_some());
            let waited_long = in_the_way_for.is_some_and(|waited| waited >= patience);
            prop_assert!(rules.mode == SessionMode::TerminateAll || waited_long);
        }
    }
}
