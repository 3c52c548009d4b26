//! What a person types wrong: one sentence, a hint, the right exit code, and nothing is touched.

use super::story::Story;
use crate::real::support::{Ran, TestDatabase};

/// No run began, and every chunk is there.
async fn nothing_was_touched(database: &TestDatabase, table: &str, chunks: i64) {
    assert_eq!(database.chunks(table).await, chunks);
    assert_eq!(database.runs_that_began(), 0);
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_named_with_the_reason() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 5).await;
    let stranger = database.role("stranger").await;
    database.run(&format!("REVOKE CONNECT ON DATABASE {} FROM PUBLIC", database.name)).await;
    let other_place = |place: &str| format!("postgres://me:geheim@{place}/x");
    let missing = database.url.replace(&database.name, "no_such_database");
    let cases = [
        (2, "another kind of url", "mysql://me:geheim@localhost/x".to_owned()),
        (2, "no url at all", "localhost geheim".to_owned()),
        (2, "a url that ends early", "postgres://me:geheim@[::1".to_owned()),
        (2, "a port that is none", other_place("127.0.0.1:port")),
        (5, "a port where nobody listens", other_place("127.0.0.1:1")),
        (5, "a wrong password", database.url_as(&stranger, "geheim")),
        (5, "an unknown database", missing),
        (5, "a database that the role may not connect to", database.url_as(&stranger, "secret")),
    ];
    let state = database.file("state.db").display().to_string();
    let mut story = Story::new(&database);
    for (code, what, url) in &cases {
        story.note(what).with("TIMESWEEP_URL", url);
        story.step(*code, &["run", "--apply", "--table", "t", "--drop-after", "3 days", "--state", &state]);
    }
    let text = story.text();
    insta::assert_snapshot!(text);
    assert!(!text.contains("geheim") && !text.contains("secret"), "a password was printed");
    nothing_was_touched(&database, "t", 5).await;
}

/// The resolver's own words differ from machine to machine.
#[tokio::test]
async fn an_unknown_host_is_named() {
    let database = TestDatabase::without_extension().await;
    let mut command = database.timesweep(&["plan", "--table", "t", "--drop-after", "3 days"]);
    command.env("TIMESWEEP_URL", "postgres://me:geheim@host.invalid/x");
    let ran = Ran::from(command.output().expect("timesweep starts")).with_code(5);
    assert!(
        ran.err.starts_with("error: cannot connect to host.invalid:5432/x as me\n  because: "),
        "{}",
        ran.err
    );
    assert!(ran.err.ends_with("\nhint: check the host name and the network\n"), "{}", ran.err);
    assert!(!ran.err.contains("geheim"), "{}", ran.err);
}

#[tokio::test]
async fn what_is_no_hypertable_is_told_with_what_it_is() {
    let database = TestDatabase::new().await;
    database.daily_table("conditions", 3).await;
    database
        .run(
            "CREATE TABLE plain (ts timestamptz); CREATE VIEW looks AS SELECT * FROM plain; \
             CREATE MATERIALIZED VIEW kept AS SELECT * FROM plain; CREATE INDEX plain_ts ON plain (ts); \
             CREATE TABLE parts (ts timestamptz) PARTITION BY RANGE (ts); \
             CREATE TABLE mat (ts timestamptz NOT NULL); SELECT create_hypertable('mat', 'ts'); \
             CREATE VIEW daily AS SELECT * FROM conditions; \
             INSERT INTO _timescaledb_catalog.continuous_agg (mat_hypertable_id, raw_hypertable_id, user_view_schema, \
               user_view_name, partial_view_schema, partial_view_name, direct_view_schema, direct_view_name) \
             SELECT m.id, r.id, 'public', 'daily', 'x', 'x', 'x', 'x' \
             FROM _timescaledb_catalog.hypertable m, _timescaledb_catalog.hypertable r \
             WHERE m.table_name = 'mat' AND r.table_name = 'conditions'",
        )
        .await;
    let mut story = Story::new(&database);
    story.with("TIMESWEEP_URL", &database.url);
    let chunk = "_timescaledb_internal._hyper_1_1_chunk";
    for table in [
        "condition",
        "nowhere.near",
        "elsewhere.conditions",
        "Conditions",
        "plain",
        "looks",
        "kept",
        "daily",
        "plain_ts",
        "parts",
        chunk,
        "a.b.c",
        "\"open",
    ] {
        story.step(2, &["plan", "--table", table, "--drop-after", "3 days"]);
    }
    story.note("a pattern that matches nothing is no mistake: the table may come");
    story.step(0, &["plan", "--table", "nowhere.*", "--drop-after", "3 days"]);
    insta::assert_snapshot!(story.text());
    nothing_was_touched(&database, "conditions", 3).await;
}

#[tokio::test]
async fn a_database_without_the_extension_is_told_so_by_every_verb() {
    let database = TestDatabase::without_extension().await;
    database.configuration("[[policies]]\ntable = \"t\"\ndrop_after = \"3 days\"");
    let expected = format!(
        "error: database {} has no timescaledb extension\n\
         hint: check the database's name, or run CREATE EXTENSION timescaledb in it\n",
        database.name
    );
    let verbs: [&[&str]; 6] = [
        &["check"],
        &["plan"],
        &["run"],
        &["run", "--apply"],
        &["explain", "t"],
        &["hold", "add", "t", "--reason", "x"],
    ];
    for verb in verbs {
        let ran = database.ran(verb).with_code(2);
        assert_eq!(ran.err, expected, "{verb:?}");
        assert_eq!(ran.out, "", "{verb:?}");
    }
}

#[tokio::test]
async fn arguments_that_mean_nothing_are_refused_before_anything_is_opened() {
    let database = TestDatabase::without_extension().await;
    let mut story = Story::new(&database);
    story.note("no configuration at all").step(2, &["plan"]);
    story.step(2, &["run", "--apply", "--table", "t", "--drop-after", "3 days"]);
    story.with("TIMESWEEP_URL", "postgres://nobody@127.0.0.1:1/nothing");
    for span in ["soon", "", "0 days", "-3 days", "3 days ago", "30m", "0", "-5", "99999999 years"] {
        story.step(2, &["plan", "--table", "t", &format!("--drop-after={span}")]);
    }
    let cases: [&[&str]; 8] = [
        &["plan", "--table", "t"],
        &["plan", "--drop-after", "3 days"],
        &["plan", "--table", "t", "--keep-newest", "0"],
        &["plan", "--table", "t", "--keep-newest=-1"],
        &["plan", "--url", "postgres://me:geheim@127.0.0.1/x", "--table", "t", "--drop-after", "3 days"],
        &["plan", "--config", "timesweep.toml", "--table", "t"],
        &["explain", "t.*"],
        &["hold", "add", "t", "--reason", "x", "--until", "2020-01-01"],
    ];
    for arguments in cases {
        story.step(2, arguments);
    }
    insta::assert_snapshot!(story.text());
}

#[tokio::test]
async fn a_read_only_database_can_be_planned_and_not_dropped_from() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 10).await;
    database.configuration(
        "[[policies]]\ntable = \"t\"\ndrop_after = \"3 days\"\n[caps]\nshare_of_bytes = \"90 %\"",
    );
    database.run(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name)).await;
    let mut story = Story::new(&database);
    story.step(0, &["plan"]);
    story.step(4, &["run", "--apply"]);
    insta::assert_snapshot!(story.text());
    assert_eq!(database.chunks("t").await, 10);
}

#[test]
fn a_typed_url_beside_a_configuration_is_refused_because_one_database_would_be_meant() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("prod.toml");
    std::fs::write(&config, "[stores.main]\nurl = \"postgres://me@127.0.0.1:1/prod\"\n").expect("written");
    for (by_argument, by_environment) in [(true, false), (false, true)] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_timesweep"));
        command.env_clear().current_dir(folder.path()).args([
            "--url",
            "postgres://me@127.0.0.1:1/staging",
            "plan",
        ]);
        if by_argument {
            command.arg("--config").arg(&config);
        }
        if by_environment {
            command.env("TIMESWEEP_CONFIG", &config);
        }
        let output = command.output().expect("timesweep starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("which database is meant?"), "{said}");
    }
}

/// With a blank instead of `=` it looks like another argument.
#[tokio::test]
async fn a_negative_span_is_called_negative_however_it_is_written() {
    let database = TestDatabase::without_extension().await;
    let mut command = database.timesweep(&["plan", "--table", "t", "--drop-after", "-45 days"]);
    command.env("TIMESWEEP_URL", "postgres://nobody@127.0.0.1:1/nothing");
    let ran = Ran::from(command.output().expect("timesweep starts")).with_code(2);
    assert_eq!(
        ran.err.lines().next(),
        Some("error: --drop-after: `-45 days`: a retention cannot be negative")
    );
}
