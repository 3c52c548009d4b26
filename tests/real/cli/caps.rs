//! Caps stop a run, never a preview, and a person can override them once.

use super::story::Story;
use crate::real::support::TestDatabase;

#[tokio::test]
async fn a_cap_refuses_the_run_and_one_override_lets_one_plan_through() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 10).await;
    let mut story = Story::new(&database);
    story.configure("[[policies]]\ntable = \"t\"\ndrop_after = \"3 days\"");
    story.step(0, &["plan", "--out", "plan.json"]);
    story.step(0, &["run"]);
    story.step(4, &["check"]);
    story.step(4, &["run", "--apply"]);
    story.step(4, &["apply", "plan.json"]);
    story.step(2, &["apply", "plan.json", "--override-caps", "01a201b4-0000-7000-8000-000000000000"]);
    story.step(2, &["apply", "plan.json", "--override-caps", "yes"]);
    assert_eq!(database.chunks("t").await, 10);
    let plan = std::fs::read_to_string(database.file("plan.json")).expect("the plan");
    let plan: serde_json::Value = serde_json::from_str(&plan).expect("JSON");
    let id = plan["plan"]["id"].as_str().expect("an id");
    let read_only = |switch: &str| {
        format!("ALTER DATABASE {} SET default_transaction_read_only = {switch}", database.name)
    };
    story.note("a run that is refused anyway does not use the override up");
    database.run_outside(&read_only("on")).await;
    story.step(4, &["apply", "plan.json", "--override-caps", id]);
    database.run_outside(&read_only("off")).await;
    story.step(0, &["apply", "plan.json", "--override-caps", id]);
    assert_eq!(database.chunks("t").await, 4);
    story.step(4, &["apply", "plan.json", "--override-caps", id]);
    insta::assert_snapshot!(story.text());
}

#[tokio::test]
async fn each_cap_names_its_own_setting() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 10).await;
    let policy = "[[policies]]\ntable = \"t\"\ndrop_after = \"3 days\"";
    for (cap, sentence, setting) in [
        ("share_of_bytes = \"10 %\"", "would go, more than the cap of 10 %", "`caps.share_of_bytes`"),
        (
            "chunks = 5\nshare_of_bytes = \"100 %\"",
            "6 chunks would go, more than the cap of 5",
            "`caps.chunks`",
        ),
        (
            "bytes = \"1 KiB\"\nshare_of_bytes = \"100 %\"",
            "would go, more than the cap of 1.0 KiB",
            "`caps.bytes`",
        ),
    ] {
        database.configuration(&format!("{policy}\n[caps]\n{cap}"));
        database.ran(&["plan"]).with_code(0);
        let ran = database.ran(&["run", "--apply"]).with_code(4);
        assert!(ran.out.contains(sentence) && ran.out.contains(setting), "{}", ran.out);
        assert_eq!(database.chunks("t").await, 10, "{cap}");
    }
}
