//! The shape of what is printed: JSON for programs, text for people, one exit code for each outcome.

use std::process::Stdio;

use super::story::Story;
use crate::real::support::TestDatabase;

const POLICY: &str =
    "[[policies]]\ntable = \"t\"\ndrop_after = \"3 days\"\n[caps]\nshare_of_bytes = \"90 %\"";
const FIRST: &str = "_timescaledb_internal._hyper_1_1_chunk";
const SECOND: &str = "_timescaledb_internal._hyper_1_2_chunk";

#[tokio::test]
async fn a_day_with_timesweep_reads_like_this() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 8).await;
    database.daily_table("u", 2).await;
    database.run("ANALYZE t").await;
    let mut story = Story::new(&database);
    story.configure(POLICY);
    for arguments in [
        &["check"] as &[&str],
        &["plan"],
        &["plan", "--all"],
        &["report", "--list"],
        &["explain", FIRST],
        &["explain", "_timescaledb_internal._hyper_1_8_chunk"],
        &["explain", "t"],
        &["explain", "u"],
        &["run"],
        &["run", "--apply"],
        &["run", "--apply"],
        &["explain", FIRST],
        &["report", "--list"],
        &["report"],
    ] {
        story.step(0, arguments);
    }
    story.step(2, &["explain", "_timescaledb_internal._hyper_1_99_chunk"]);
    story.step(2, &["report", "no-such-run"]);
    insta::assert_snapshot!(story.text());
}

#[test]
fn help_names_every_verb() {
    let help = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_timesweep"))
            .args(arguments)
            .env_clear()
            .output()
            .expect("timesweep starts");
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    insta::assert_snapshot!(help(&["--help"]));
    let version = help(&["--version"]);
    let commit = version.strip_prefix("timesweep 0.1.0 (").and_then(|rest| rest.strip_suffix(")\n"));
    assert!(commit.is_some_and(|commit| commit == "unknown" || commit.len() >= 7), "{version}");
}

#[tokio::test]
async fn the_last_line_is_one_json_object_whatever_happens() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 8).await;
    database.configuration(POLICY);
    for (code, arguments) in [
        (0, &["check"] as &[&str]),
        (0, &["plan"]),
        (0, &["plan", "--all", "--out", "plan.json"]),
        (10, &["plan", "--detailed-exitcode"]),
        (0, &["run"]),
        (0, &["hold", "list"]),
        (0, &["hold", "add", SECOND, "--reason", "x"]),
        (0, &["hold", "list"]),
        (0, &["hold", "list", "--all"]),
        (0, &["explain", FIRST]),
        (0, &["explain", "t"]),
        (3, &["apply", "plan.json"]),
        (0, &["explain", FIRST]),
        (0, &["hold", "remove", "1"]),
        (0, &["run", "--apply"]),
        (0, &["run", "--apply"]),
        (0, &["plan", "--detailed-exitcode"]),
        (0, &["report"]),
        (0, &["report", "--list"]),
        (2, &["explain", "nothing"]),
        (2, &["hold", "remove", "1"]),
        (2, &["report", "nothing"]),
        (2, &["apply", "missing.json"]),
        (2, &["check", "--config", "missing.toml"]),
    ] {
        let mut all = vec!["--output", "json"];
        all.extend(arguments);
        let ran = database.ran(&all).with_code(code);
        let json = ran.json();
        assert!(json.is_object(), "{arguments:?}: {json}");
        if code == 2 {
            assert_eq!(json["exit_code"], code, "{arguments:?}");
            assert!(ran.err.contains(json["error"]["sentence"].as_str().expect("a sentence")), "{}", ran.err);
        }
    }
}

#[tokio::test]
async fn nothing_is_coloured_and_a_closed_pipe_is_no_error() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 8).await;
    database.configuration(POLICY);
    for variable in ["NO_COLOR", "TERM"] {
        for arguments in [&["plan"] as &[&str], &["plan", "--all"], &["explain", "nothing"], &["--help"]] {
            let mut command = database.timesweep(arguments);
            let output = command.env(variable, "1").output().expect("timesweep starts");
            let printed = [output.stdout, output.stderr].concat();
            assert!(!printed.contains(&0x1b), "{variable} {arguments:?}");
        }
    }
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let child = database.timesweep(&["plan", "--all"]).stdout(writer).stderr(Stdio::piped()).spawn();
    drop(reader);
    let output = child.expect("timesweep starts").wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
