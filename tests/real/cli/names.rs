//! A name is data: whatever it holds, its table is planned, held, applied and explained like any other.

use timesweep::retention::name::{RelationName, quote_identifier};

use super::story::Story;
use crate::real::support::TestDatabase;

fn odd_names() -> Vec<RelationName> {
    vec![
        RelationName::new("public", "quo\"te"),
        RelationName::new("public", "semi;colon'; DROP TABLE innocent; --"),
        RelationName::new("public", "two\nlines\ttab \u{1b}[31mred"),
        RelationName::new("public", "star*.dot\\ %s $1"),
        RelationName::new("My \"Schema\"", "Größe 表 😀"),
        // 63 bytes, the last letter has two.
        RelationName::new("public", format!("{}é", "x".repeat(61))),
    ]
}

async fn database_with(names: &[RelationName]) -> TestDatabase {
    let database = TestDatabase::new().await;
    database.run("CREATE TABLE innocent (x int); CREATE SCHEMA \"My \"\"Schema\"\"\"").await;
    for name in names {
        let quoted = format!("{}.{}", quote_identifier(&name.schema), quote_identifier(&name.name));
        database.daily_table(&quoted, 6).await;
    }
    database.configuration("[[policies]]\ntable = \"*.*\"\ndrop_after = \"3 days\"");
    database
}

async fn chunks(database: &TestDatabase) -> i64 {
    database.number("SELECT count(*) FROM timescaledb_information.chunks").await
}

#[tokio::test]
async fn odd_names_go_through_the_whole_cycle() {
    let names = odd_names();
    let database = database_with(&names).await;
    let file = database.file("plan.json").display().to_string();
    let plan = database.ran(&["plan", "--out", &file, "--output", "json"]).with_code(0).json();
    let planned: Vec<RelationName> = plan["datasets"]
        .as_array()
        .expect("datasets")
        .iter()
        .map(|dataset| serde_json::from_value(dataset["name"].clone()).expect("a name"))
        .collect();
    for name in &names {
        assert!(planned.contains(name), "{name}");
        database.ran(&["hold", "add", &name.to_string(), "--reason", "odd\u{1b}[31m\nred"]).with_code(0);
    }
    let holds = database.ran(&["hold", "list"]).with_code(0).out;
    assert!(holds.contains("odd\\u{1b}[31m red") && !holds.contains('\u{1b}'), "{holds:?}");
    database.ran(&["apply", &file]).with_code(3);
    assert_eq!(chunks(&database).await, 36);
    for number in 1..=names.len() {
        database.ran(&["hold", "remove", &number.to_string()]).with_code(0);
    }
    database.ran(&["apply", &file]).with_code(0);
    assert_eq!(chunks(&database).await, 24);
    for (index, name) in names.iter().enumerate() {
        let of_table = database.ran(&["explain", &name.to_string()]).with_code(0);
        assert!(of_table.out.contains("0 of 4 chunks would go"), "{}", of_table.out);
        let dropped = format!("_timescaledb_internal._hyper_{}_{}_chunk", index + 1, index * 6 + 1);
        let of_chunk = database.ran(&["explain", &dropped]).with_code(0);
        assert!(of_chunk.out.contains(&format!("from {name} ")), "{}", of_chunk.out);
    }
    assert_eq!(database.number("SELECT count(*) FROM innocent").await, 0);
}

#[tokio::test]
async fn odd_names_break_no_line_and_steer_no_terminal() {
    let database = database_with(&odd_names()).await;
    let mut story = Story::new(&database);
    story.step(0, &["check"]);
    let plan = story.step(0, &["plan"]);
    story.step(0, &["run", "--apply"]);
    assert!(!plan.out.contains('\u{1b}'), "{}", plan.out);
    insta::assert_snapshot!(story.text());
}
