//! Several databases whose configurations share one state file and a store name.

use serde_json::Value;

use super::support::{Ran, TestDatabase};

const RULES: &str =
    "[[policies]]\ntable = \"public.*\"\ndrop_after = \"3 days\"\n[caps]\nshare_of_bytes = \"100 %\"";
const CHUNK: &str = "_timescaledb_internal._hyper_1_2_chunk";

/// Two databases that have a table and chunks of the same names.
async fn two() -> (TestDatabase, TestDatabase) {
    let both = (TestDatabase::new().await, TestDatabase::new().await);
    for database in [&both.0, &both.1] {
        database.daily_table("events", 8).await;
        database.configuration(RULES);
    }
    both
}

/// With the state of the other one.
fn ran(database: &TestDatabase, state: &TestDatabase, arguments: &[&str]) -> Ran {
    let state = state.file("state.db").display().to_string();
    database.ran(&[&["--state", &state], arguments].concat())
}

#[tokio::test]
async fn a_hold_pins_nothing_in_another_database_that_shares_the_state() {
    let (ours, other) = two().await;
    for target in [CHUNK, "events"] {
        ran(&ours, &ours, &["hold", "add", target, "--reason", "an audit"]).with_code(0);
    }
    let run = ran(&other, &ours, &["run", "--apply"]).with_code(0);
    assert!(!run.out.contains("hold "), "{}", run.out);
    assert_eq!(other.chunks("events").await, 4);
    ran(&ours, &ours, &["run", "--apply"]).with_code(0);
    assert_eq!(ours.chunks("events").await, 8);
    let list = ran(&other, &ours, &["hold", "list"]).with_code(0).out;
    assert_eq!(list.matches(&format!("{} of cluster ", ours.name)).count(), 2, "{list}");
}

#[tokio::test]
async fn a_hold_still_holds_on_a_database_that_was_made_again_and_says_so() {
    let database = TestDatabase::new().await;
    database.daily_table("events", 8).await;
    database.configuration(RULES);
    database.ran(&["hold", "add", "events", "--reason", "an audit", "--author", "ann"]).with_code(0);
    database.make_again().await;
    database.daily_table("events", 8).await;
    let run = database.ran(&["run", "--apply"]).with_code(0).out;
    assert!(run.contains("warning: hold 1 on public.events was set on an earlier database"), "{run}");
    assert_eq!(database.chunks("events").await, 8);
    let explained = database.ran(&["explain", "events"]).with_code(0).out;
    assert!(explained.contains("hold 1 by ann, set on another database"), "{explained}");
}

#[tokio::test]
async fn a_report_is_that_of_the_configurations_own_database() {
    let (ours, other) = two().await;
    let plan = ours.file("plan.json").display().to_string();
    ran(&ours, &ours, &["plan", "--out", &plan]).with_code(0);
    ran(&ours, &ours, &["run", "--apply"]).with_code(0);
    let nothing = ran(&other, &ours, &["report"]).with_code(2).err;
    assert!(nothing.contains(&format!("/{} in the state, only on other databases", other.name)), "{nothing}");
    ran(&other, &ours, &["apply", &plan]).with_code(4);
    let last = |database| ran(database, &ours, &["report", "--output", "json"]).with_code(0).json();
    assert_eq!(last(&ours)["identity"]["database"], ours.name);
    let refused = last(&other);
    assert_eq!((&refused["verdict"], &refused["past_runs"]), (&"refused".into(), &Value::Null));
    assert_eq!((&refused["plan"], &refused["identity"]["database_oid"]), (&Value::Null, &Value::Null));

    let listed = ran(&ours, &ours, &["report", "--list"]).with_code(0).out;
    for shown in
        [format!("/{} ", ours.name), format!("/{} ", other.name), " done ".into(), " refused ".into()]
    {
        assert!(listed.contains(&shown), "{shown}: {listed}");
    }
    let of_store = ran(&other, &ours, &["report", "--list", "--store", "main"]).with_code(0).out;
    assert!(of_store.contains(&other.name) && !of_store.contains(&ours.name), "{of_store}");
    for arguments in [["report", "--store", "nope"].as_slice(), &["report", "--list", "--store", "nope"]] {
        let said = ran(&ours, &ours, arguments).with_code(2).err;
        assert!(said.contains("no store `nope`"), "{said}");
    }
    let id = last(&ours)["run"].as_str().expect("an id").to_owned();
    for letters in [id.as_str(), &id[24..]] {
        let found = ran(&other, &ours, &["report", letters, "--output", "json"]).with_code(0).json();
        assert_eq!(found["identity"]["database"], ours.name, "an id finds any run");
    }
}
