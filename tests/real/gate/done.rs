//! What a `dropped` stands for: one database, all of its work, and a launcher that knows.

use super::launcher::move_some_accounts;
use super::launcher_server::{BOTH, TestLauncher, open_today, today};
use super::runs::{DAYS, Gated, RULES, STAYING, TOLD};

#[tokio::test]
async fn two_configurations_that_share_a_ticket_are_told_and_neither_is_left_out() {
    let one = Gated::new(&open_today()).await;
    let folder = one.database.file("").display().to_string();
    let shared = format!("{}[gate.ticket]\nfolder = {folder:?}\n", open_today());
    let two = Gated::new(&shared).await;
    one.run(0);
    for arguments in [
        &["run", "--apply"] as &[&str],
        &["run", "--apply", "--go", "yes"],
        &["gate"],
        &["ticket", "close", "--status", "dropped"],
        &["ticket", "close", "--status", "failed", "--take-back"],
    ] {
        let ran = two.ran(arguments).with_code(4);
        assert!(ran.err.contains(&one.database.name) && ran.err.contains("`prefix`"), "{}", ran.err);
    }
    assert_eq!((two.chunks().await, one.word().as_deref()), (i64::from(DAYS), Some("dropped")));
    assert_eq!(one.run(0)["verdict"], "skipped", "the first one's work is done");

    let own = format!("{shared}prefix = \"two\"\n");
    two.database.configuration(&format!("{RULES}[gate]\nvm_name = \"pg1\"\n{own}"));
    assert_eq!(two.run(0)["verdict"], "done");
    assert_eq!(two.chunks().await, STAYING);
}

#[tokio::test]
async fn a_ticket_that_another_program_closed_counts_for_everybody() {
    let gated = Gated::new(&open_today()).await;
    let ticket = gated.database.file(&format!("timesweep_pg1_{}", today()));
    std::fs::write(ticket, format!("17,pg1,due,dba,{0},{0},dropped\n", today())).expect("a ticket");
    assert_eq!(gated.run(0)["verdict"], "skipped");
    gated.ran(&["ticket", "close", "--status", "partial"]).with_code(4);
    gated.ran(&["ticket", "close", "--status", "partial", "--take-back"]).with_code(0);
    assert_eq!(gated.run(0)["verdict"], "done");
    gated.ran(&["ticket", "close", "--status", "failed", "--take-back"]).with_code(0);
    gated.ran(&["ticket", "close"]).with_code(0);
    assert_eq!(gated.run(0)["verdict"], "skipped", "closed by hand is closed");
}

#[tokio::test]
async fn a_launcher_that_was_not_told_is_told_later_and_once() {
    for server in BOTH {
        let launcher = TestLauncher::on(server).await;
        launcher.row(17, "pg1", "due", &format!("{} 02:00:00", today())).await;
        let url = launcher.account("w", "SELECT", "").await;
        let gated = Gated::with_launcher(&url, TOLD).await;
        let missing = "the launcher does not know that the day is done";
        let first = gated.run(0);
        assert_eq!((first["verdict"].as_str(), gated.word().as_deref()), (Some("done"), Some("dropped")));
        assert!(first["warnings"].to_string().contains(missing), "{first}");
        let kept = gated.ran(&["report", "--output", "json"]).with_code(0).json();
        assert_eq!(kept, first, "the journal has the report as it was told");

        let second = gated.run(0);
        assert_eq!(second["verdict"], "skipped");
        assert!(second["warnings"].to_string().contains(missing), "{second}");
        let shown = gated.ran(&["report"]).with_code(0).out;
        assert!(shown.contains("warning: ") && shown.contains(missing), "{shown}");
        let by_hand = gated.ran(&["ticket", "close"]).with_code(3);
        assert!(
            by_hand.err.contains(missing) && by_hand.out.contains(": dropped, was dropped"),
            "{by_hand:?}"
        );

        let grant = format!("GRANT UPDATE ON {0}.* TO 'w{0}'@'%'", launcher.database);
        launcher.run(&grant).await;
        let third = gated.run(0);
        assert_eq!(third["warnings"], serde_json::json!([]));
        assert!(
            third["gate"]["reason"].as_str().is_some_and(|why| why.ends_with("has been told now")),
            "{third}"
        );
        assert_eq!(launcher.status_of(17).await, "done");
        launcher.run(&format!("UPDATE {}.launcher SET status = 'due'", launcher.database)).await;
        gated.run(0);
        assert_eq!(launcher.status_of(17).await, "due", "it is told once");
        gated.ran(&["ticket", "close"]).with_code(0);
        assert_eq!(launcher.status_of(17).await, "done", "and whenever a person closes the ticket");
    }
}

#[tokio::test]
async fn a_launcher_that_keeps_nothing_by_itself_is_told_for_good() {
    for server in BOTH {
        let launcher = TestLauncher::on(server).await;
        move_some_accounts(&launcher).await;
        launcher.row(17, "pg1", "due", &format!("{} 02:00:00", today())).await;
        let gated = Gated::with_launcher(&launcher.account("open", "SELECT, UPDATE", "").await, TOLD).await;
        assert_eq!(gated.run(0)["warnings"], serde_json::json!([]));
        assert_eq!(launcher.status_of(17).await, "done", "{server:?}");
    }
}

#[tokio::test]
async fn a_policy_that_stands_for_no_table_is_work_that_is_not_done() {
    let gated = Gated::new(&open_today()).await;
    let path = gated.database.file("timesweep.toml");
    let text = std::fs::read_to_string(&path).expect("the configuration");
    let slip = "[[policies]]\ntable = \"metric.*\"\ndrop_after = \"3 days\"\n";
    std::fs::write(&path, text.replacen("[[policies]]", &format!("{slip}[[policies]]"), 1)).expect("written");
    let report = gated.run(3);
    assert_eq!((report["verdict"].as_str(), gated.word().as_deref()), (Some("partial"), Some("partial")));
    assert_eq!(report["unmatched_policies"], serde_json::json!(["metric.*"]));
    assert_eq!(gated.chunks().await, STAYING, "the others go");
    let said = gated.ran(&["report"]).with_code(0).out;
    assert!(said.contains("not done: the policy for metric.* matches nothing"), "{said}");
    std::fs::write(&path, text).expect("written");
    assert_eq!(
        (gated.run(0)["verdict"].as_str(), gated.word().as_deref()),
        (Some("nothing_to_do"), Some("dropped"))
    );
}

/// The second look at the disk sends the signal to the run that asked for it, and would then take long.
#[tokio::test]
async fn a_termination_while_a_done_run_measures_leaves_it_done() {
    let gated = Gated::new(&open_today()).await;
    let before = gated.database.file("before").display().to_string();
    let script = format!("mkdir '{before}' 2>/dev/null && exit 1; kill -TERM $PPID; exec sleep 100");
    let path = gated.database.file("timesweep.toml");
    let text = std::fs::read_to_string(&path).expect("the configuration");
    let command = ["sh", "-c", &script];
    std::fs::write(&path, format!("{text}[disk]\ncommand = {command:?}\n")).expect("written");
    let report = gated.run(0);
    assert!(report["disk"]["unknown"].to_string().contains("a signal ended the run"), "{report}");
    assert_eq!((report["verdict"].as_str(), report["stopped"].as_str()), (Some("done"), None));
    assert_eq!((gated.chunks().await, gated.word().as_deref()), (STAYING, Some("dropped")));
}
