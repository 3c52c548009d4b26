//! The jobs, units and lines of `packaging/` do the weekly run: real program, real servers, each answer of the gate.

use std::process::{Child, Stdio};

use sqlx::{AssertSqlSafe, Connection, Executor};

use super::job::jobs;
use super::place::{AFTER, BEFORE, Place};
use super::runner::{Ended, Execution, Missing};
use super::{cron, systemd};
use crate::support::{TestDatabase, eventually};

/// The layouts that do the whole run.
const LAYOUTS: [&str; 3] = ["one-step.yaml", "five-step.yaml", "two-job.yaml"];

fn last(mut executions: Vec<Execution>) -> Execution {
    executions.pop().expect("a job")
}

/// `gate` says no by being red; nothing else may be.
fn nobody_is_told(executions: &[Execution]) {
    for execution in executions {
        assert!(!execution.is_mailed, "{}", execution.log());
    }
}

#[tokio::test]
async fn a_closed_gate_drops_nothing_and_mails_nobody() {
    for layout in LAYOUTS {
        let mut place = Place::new("90 %").await;
        let executions = place.run(layout);
        nobody_is_told(&executions);
        let ended = if layout == "two-job.yaml" { Ended::Halted } else { Ended::Succeeded };
        let log = last(executions).that(ended).log();
        assert!(log.contains("the launcher has no row for"), "{layout}: {log}");
        assert_eq!((place.chunks().await, place.ticket()), (BEFORE, None), "{layout}");
    }
}

#[tokio::test]
async fn an_open_gate_drops_and_closes_the_ticket_and_a_second_run_finds_it_done() {
    for layout in LAYOUTS {
        let mut place = Place::due("90 %").await;
        let executions = place.run(layout);
        nobody_is_told(&executions);
        last(executions).that(Ended::Succeeded);
        assert_eq!((place.chunks().await, place.ticket().as_deref()), (AFTER, Some("dropped")), "{layout}");

        place.database.run("INSERT INTO t SELECT now() - interval '6 days'").await;
        let again = place.run(layout);
        nobody_is_told(&again);
        let ended = if layout == "two-job.yaml" { Ended::Halted } else { Ended::Succeeded };
        last(again).that(ended);
        assert_eq!(place.chunks().await, AFTER + 1, "{layout}: the ticket says dropped");
    }
}

#[tokio::test]
async fn a_run_that_is_at_work_makes_the_job_red_and_the_ticket_stays_open() {
    for layout in LAYOUTS {
        let mut place = Place::due("90 %").await;
        let at_work = AtWork::start(&place.database).await;
        let execution = last(place.run(layout)).that(Ended::Failed(75));
        assert!(execution.is_mailed, "{layout}");
        assert!(execution.log().contains("another run holds the lock"), "{}", execution.log());
        assert_eq!(place.ticket().as_deref(), Some("pending"), "{layout}");
        at_work.end().await;
        last(place.run(layout)).that(Ended::Succeeded);
        assert_eq!(place.ticket().as_deref(), Some("dropped"), "{layout}: the next try goes on");
    }
}

#[tokio::test]
async fn a_refusal_makes_the_job_red_and_the_ticket_does_not_say_dropped() {
    for layout in LAYOUTS {
        let mut place = Place::due("10 %").await;
        let execution = last(place.run(layout)).that(Ended::Failed(4));
        assert!(
            execution.is_mailed && execution.log().contains("caps.share_of_bytes"),
            "{}",
            execution.log()
        );
        assert_eq!(place.chunks().await, BEFORE, "{layout}");
        assert_eq!(place.ticket().as_deref(), Some("failed"), "{layout}");
    }
}

#[tokio::test]
async fn a_launcher_that_cannot_be_asked_is_told_by_every_layout() {
    for layout in LAYOUTS {
        let mut place = Place::due("90 %").await;
        place.lose_launcher();
        let execution = last(place.run(layout)).that(Ended::Failed(5));
        assert!(execution.is_mailed, "{layout}");
        assert_eq!((place.chunks().await, place.ticket()), (BEFORE, None), "{layout}");
    }
}

#[tokio::test]
async fn later_steps_fail_closed_on_an_answer_that_did_not_arrive() {
    for missing in [Missing::Empty, Missing::Literal] {
        let mut place = Place::due("90 %").await;
        place.rundeck.captures = false;
        place.rundeck.missing = missing;
        let execution = last(place.run("five-step.yaml")).that(Ended::Failed(2));
        assert_eq!(execution.steps.len(), 2, "{}", execution.log());
        assert!(execution.log().contains("the answer of the gate did not arrive"), "{}", execution.log());
        assert_eq!(place.chunks().await, BEFORE, "{missing:?}");
    }
}

#[tokio::test]
async fn the_gate_passes_on_what_later_steps_need() {
    let mut place = Place::due("90 %").await;
    let execution = last(place.run("five-step.yaml")).that(Ended::Succeeded);
    let passed = |name: &str| execution.data.get(name).map_or("", String::as_str);
    assert_eq!(
        (passed("go"), passed("vm"), passed("launcher_id")),
        ("yes", "pg1", "4711"),
        "{:?}",
        execution.data
    );
    assert!(
        passed("ticket").contains("timesweep_pg1_") && !passed("reason").is_empty(),
        "{:?}",
        execution.data
    );
}

/// A job that goes on after midnight closes the ticket of the day that its gate named, whatever becomes of it.
#[tokio::test]
async fn five_steps_over_midnight_close_the_ticket_of_the_day_on_which_they_began() {
    for (caps, ended, word) in [("90 %", Ended::Succeeded, "dropped"), ("10 %", Ended::Failed(4), "failed")] {
        let mut place = Place::due(caps).await;
        place.shell("timesweep gate").with_code(0);
        let yesterday = place.move_ticket_to_yesterday();
        let mut job = jobs("five-step.yaml").remove(0);
        let passed = format!("printf 'RUNDECK:DATA:go = yes\\nRUNDECK:DATA:day = {yesterday}\\n'");
        job.sequence.commands[0].script = Some(passed);
        place.run_job(&job).that(ended);
        assert_eq!(place.tickets(), [(yesterday.to_string(), word.to_owned())], "{caps}");
    }
}

#[tokio::test]
async fn a_secret_that_did_not_arrive_is_named_and_nothing_is_touched() {
    let mut place = Place::due("90 %").await;
    place.rundeck.keys.clear();
    let execution = last(place.run("one-step.yaml")).that(Ended::Failed(2));
    assert!(execution.log().contains("TIMESWEEP_"), "{}", execution.log());
    assert_eq!((place.chunks().await, place.ticket()), (BEFORE, None));
}

#[tokio::test]
async fn the_job_that_closes_a_ticket_keeps_the_next_run_from_working() {
    let mut place = Place::due("90 %").await;
    place.shell("timesweep gate").with_code(0);
    last(place.run("close-ticket.yaml")).that(Ended::Succeeded);
    assert_eq!(place.ticket().as_deref(), Some("dropped"));
    last(place.run("one-step.yaml")).that(Ended::Succeeded);
    assert_eq!(place.chunks().await, BEFORE);
}

#[tokio::test]
async fn systemd_skips_a_closed_gate_and_fails_on_one_that_cannot_be_asked() {
    let condition = systemd::command("ExecCondition");
    let closed = Place::new("90 %").await;
    closed.shell(&condition).with_code(1);
    closed.lose_launcher();
    closed.shell(&condition).with_code(255);
    let open = Place::due("90 %").await;
    open.shell(&condition).with_code(0);
    open.shell(&systemd::command("ExecStart")).with_code(0);
    assert_eq!((open.chunks().await, open.ticket().as_deref()), (AFTER, Some("dropped")));
    open.shell(&condition).with_code(1);
}

/// cron mails what is printed, so whatever is printed has to be worth a mail.
#[tokio::test]
async fn cron_prints_nothing_for_a_closed_gate_and_everything_else() {
    let line = cron::command();
    let printed = |place: &Place| {
        let ran = place.shell(&line);
        [ran.out, ran.err].concat()
    };
    let closed = Place::new("90 %").await;
    assert_eq!(printed(&closed), "");
    closed.lose_launcher();
    assert!(printed(&closed).contains("launcher"));
    let refused = Place::due("10 %").await;
    assert!(printed(&refused).contains("caps.share_of_bytes"));
    let open = Place::due("90 %").await;
    assert!(printed(&open).contains("dropped 4 chunks"));
    assert_eq!(printed(&open), "");
}

/// Every job is in a file that one of these tests runs.
#[test]
fn no_job_is_left_out() {
    let run: usize = LAYOUTS.iter().chain(&["close-ticket.yaml"]).map(|file| jobs(file).len()).sum();
    assert_eq!(run, super::job::all_jobs().len());
}

/// A run without a gate that cannot end: a reader holds one chunk of a table of its own.
struct AtWork {
    child: Child,
    reader: sqlx::postgres::PgConnection,
}

impl AtWork {
    async fn start(database: &TestDatabase) -> Self {
        database.daily_table("held", 20).await;
        database.configuration(
            "attempts = 100\n[[policies]]\ntable = \"held\"\ndrop_after = \"3 days\"\n[caps]\nshare_of_bytes = \"100 %\"",
        );
        let mut reader = database.connect().await;
        let oldest = "SELECT min(chunk::text) FROM show_chunks('held') chunk";
        let chunk: String = sqlx::query_scalar(oldest).fetch_one(&mut reader).await.expect("a chunk");
        let lock = format!("BEGIN; LOCK TABLE {chunk} IN ACCESS SHARE MODE");
        reader.execute(AssertSqlSafe(lock)).await.expect("the lock");
        let child =
            database.timesweep(&["run", "--apply"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        eventually("all other chunks are gone", async || database.chunks("held").await == 5).await;
        Self { child: child.expect("timesweep starts"), reader }
    }

    async fn end(mut self) {
        self.reader.execute("ROLLBACK").await.expect("rollback");
        self.reader.close().await.expect("closed");
        assert!(self.child.wait().expect("it ends").success());
    }
}
