//! Holds: pins on tables and chunks, and what they keep.

use super::story::Story;
use crate::real::support::{TestDatabase, eventually};

const POLICY: &str =
    "[[policies]]\ntable = \"*\"\ndrop_after = \"3 days\"\n[caps]\nshare_of_bytes = \"90 %\"";
const CHUNK: &str = "_timescaledb_internal._hyper_1_2_chunk";

#[tokio::test]
async fn a_hold_keeps_its_chunk_or_table_until_it_is_removed() {
    let database = TestDatabase::new().await;
    database.daily_table("kept", 8).await;
    database.daily_table("whole", 8).await;
    let mut story = Story::new(&database);
    story.configure(POLICY);
    story.step(0, &["hold", "list"]);
    story.step(0, &["hold", "add", CHUNK, "--reason", "an audit", "--author", "ann", "--until", "2 weeks"]);
    story.step(0, &["hold", "add", "whole", "--reason", "a migration", "--author", "bob"]);
    story.step(0, &["hold", "list"]);
    story.step(0, &["plan"]);
    story.step(0, &["run", "--apply"]);
    assert_eq!(database.chunks("kept").await, 5);
    assert_eq!(database.chunks("whole").await, 8);
    story.step(0, &["explain", CHUNK]);
    story.step(0, &["explain", "whole"]);
    story.step(0, &["hold", "remove", "2"]);
    story.step(2, &["hold", "remove", "2"]);
    story.step(0, &["hold", "list", "--all"]);
    story.step(0, &["run", "--apply"]);
    assert_eq!(database.chunks("kept").await, 5);
    assert_eq!(database.chunks("whole").await, 4);
    insta::assert_snapshot!(story.text());
}

#[tokio::test]
async fn a_hold_ends_by_itself() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 8).await;
    database.configuration(POLICY);
    // Long enough for the plan that has to see it, short enough to wait for.
    database
        .ran(&["hold", "add", "t", "--reason", "x", "--author", "ann", "--until", "4 seconds"])
        .with_code(0);
    let plan = database.ran(&["plan"]).with_code(0);
    assert!(plan.out.contains("hold 1 by ann until "), "{}", plan.out);
    let no_longer_listed = async || database.ran(&["hold", "list"]).out == "no holds\n";
    eventually("the hold expires", no_longer_listed).await;
    let all = database.ran(&["hold", "list", "--all", "--output", "json"]).with_code(0).json();
    assert_eq!(all["holds"][0]["removed_at"], serde_json::Value::Null);
    database.ran(&["run", "--apply"]).with_code(0);
    assert_eq!(database.chunks("t").await, 4);
}

#[tokio::test]
async fn what_cannot_be_held_is_said_and_nothing_is_written() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 3).await;
    let mut story = Story::new(&database);
    story.configure(POLICY);
    let cases: [&[&str]; 8] = [
        &["hold", "add", "nothing", "--reason", "x"],
        &["hold", "add", "_timescaledb_internal._hyper_1_99_chunk", "--reason", "x"],
        &["hold", "add", "t*", "--reason", "x"],
        &["hold", "add", "t"],
        &["hold", "add", "t", "--reason", "x", "--until", "2020-01-01"],
        &["hold", "add", "t", "--reason", "x", "--until", "soon"],
        &["hold", "remove", "1"],
        &["hold", "remove", "one"],
    ];
    for arguments in cases {
        story.step(2, arguments);
    }
    story.step(0, &["hold", "list", "--all"]);
    insta::assert_snapshot!(story.text());
}
