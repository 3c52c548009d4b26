//! A configuration that is wrong: file, line and setting are named, and nothing is opened.

use super::story::Story;
use crate::real::support::TestDatabase;

#[tokio::test]
async fn a_wrong_setting_is_named_with_its_line_and_a_way_out() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 3).await;
    let cases = [
        ("plan", "[[policies]]\ntable = \"t\"\ndrop_afer = \"3 days\""),
        ("plan", "[[policies]]\ntable = \"t\"\nshare_of_bytes = \"3 %\""),
        ("plan", "[[policies]]\ntable = \"t\"\ndrop_after = \"30m\""),
        ("plan", "[[policies]]\ntable = \"t\"\ndrop_after = \"-3 days\""),
        ("plan", "[[policies]]\ntable = \"t\"\ndrop_after = 0"),
        ("plan", "[[policies]]\ntable = \"t\"\nkeep_newest = 0"),
        ("plan", "[[policies]]\ntable = \"t\""),
        ("plan", "[[policies]]\ndrop_after = \"3 days\""),
        (
            "plan",
            "[[policies]]\ntable = \"t\"\nkeep_newest = 1\n[[policies]]\ntable = \"public.t\"\nkeep_newest = 2",
        ),
        ("plan", "[[policies]]\ntable = \"t\"\ndrop_after = "),
        ("plan", "[stores.other]\nurl = \"postgres://me:geheim@localhost/x\""),
        ("plan", "[stores.other]\nurl = { env = \"NOT_SET\" }"),
        ("plan", "[stores.other]\nurl = \"postgres://me@localhost/x\""),
        ("plan --store othr", "[stores.other]\nurl = \"postgres://me@localhost/x\""),
        ("run --apply", "lock_timeout = \"400 ms\"\n[[policies]]\ntable = \"t\"\ndrop_after = \"1 day\""),
        ("run --apply", "lock_timeout = \"1 hour\""),
        ("run --apply", "zone = \"Europe/Amsterdm\""),
        ("run --apply", "[guards]\nmax_clock_skew = \"0 s\""),
    ];
    let mut story = Story::new(&database);
    for (command, settings) in cases {
        let arguments: Vec<&str> = command.split(' ').collect();
        story.configure(settings).step(2, &arguments);
    }
    let text = story.text();
    insta::assert_snapshot!(text);
    assert!(!text.replace("me:geheim@localhost/x\"", "").contains("geheim"), "a password was printed");
    assert_eq!(database.chunks("t").await, 3);
    database.configuration("");
    assert_eq!(database.runs_that_began(), 0);
}

#[tokio::test]
async fn a_configuration_or_state_that_cannot_be_opened_is_named() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 3).await;
    let mut story = Story::new(&database);
    story.step(2, &["plan", "--config", "missing.toml"]);
    story.with("TIMESWEEP_URL", &database.url);
    std::fs::write(database.file("not-a-folder"), "").expect("a file");
    std::fs::write(
        database.file("text.db"),
        "this is no database, and it is long enough to be looked at\n".repeat(99),
    )
    .expect("a file");
    for (code, state) in [(2, "not-a-folder/state.db"), (2, "."), (5, "text.db")] {
        let path = database.file(state).display().to_string();
        let arguments = ["run", "--apply", "--table", "t", "--drop-after", "1 day", "--state", &path];
        story.step(code, &arguments);
    }
    insta::assert_snapshot!(story.text());
    assert_eq!(database.chunks("t").await, 3);
}
