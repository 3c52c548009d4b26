//! What a role needs: membership of the tables' owner, and nothing else.

use super::story::Story;
use crate::real::support::{Ran, TestDatabase};

const POLICY: &str =
    "[[policies]]\ntable = \"t\"\ndrop_after = \"3 days\"\n[caps]\nshare_of_bytes = \"90 %\"";

#[tokio::test]
async fn a_role_that_owns_nothing_is_refused_and_a_member_of_the_owner_can_do_all() {
    let database = TestDatabase::new().await;
    let owner = database.role("owner").await;
    let tool = database.role("tool").await;
    database.daily_table("t", 10).await;
    database.run(&format!("ALTER TABLE t OWNER TO {owner}; GRANT ALL ON t TO {tool}")).await;
    let mut story = Story::new(&database);
    story.configure(POLICY).with("TEST_DATABASE_URL", &database.url_as(&tool, "secret"));
    story.step(4, &["check"]);
    story.step(4, &["run", "--apply"]);
    assert_eq!(database.chunks("t").await, 10);
    database.run(&format!("GRANT {owner} TO {tool}")).await;
    story.note(&format!("GRANT {owner} TO {tool};"));
    story.step(0, &["check"]);
    story.step(0, &["plan", "--out", "plan.json"]);
    story.step(
        0,
        &["hold", "add", "_timescaledb_internal._hyper_1_1_chunk", "--reason", "x", "--author", "ann"],
    );
    story.step(0, &["run", "--apply"]);
    assert_eq!(database.chunks("t").await, 5);
    story.step(0, &["hold", "remove", "1"]);
    story.step(0, &["apply", "plan.json"]);
    assert_eq!(database.chunks("t").await, 4);
    story.step(0, &["explain", "_timescaledb_internal._hyper_1_1_chunk"]);
    database.run(&format!("GRANT pg_read_all_stats TO {tool}")).await;
    story.note(&format!("GRANT pg_read_all_stats TO {tool};"));
    story.step(0, &["check"]);
    insta::assert_snapshot!(story.text());
}

#[tokio::test]
async fn a_member_of_the_listed_role_needs_no_privilege_and_check_knows_it() {
    let database = TestDatabase::new().await;
    let (app, tool) = (database.role("app").await, database.role("tool").await);
    let sessions = format!("[stores.main.sessions]\nroles = [\"{app}\"]\nmode = \"terminate_blockers\"\n");
    database.configuration(&sessions);
    let check = || {
        let mut command = database.timesweep(&["check"]);
        command.env("TEST_DATABASE_URL", database.url_as(&tool, "secret"));
        Ran::from(command.output().expect("timesweep starts")).with_code(0).out
    };
    let grant = format!("GRANT pg_signal_backend TO \"{tool}\"");
    let missing = check();
    assert!(missing.contains("    cannot end other sessions ") && missing.contains(&grant), "{missing}");
    database.run(&format!("GRANT {app} TO {tool}")).await;
    let member = check();
    assert!(member.contains(&format!("    can end sessions of {app}, as a member; ")), "{member}");
    assert!(!member.contains(&grant), "{member}");
}
