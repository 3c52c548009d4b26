//! Whose sessions a run ends on a real server: in each mode exactly those it may, and nobody else.

use std::process::{Child, Stdio};

use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use timesweep::state::State;

use super::direct;
use super::ledger::{dropped_items, items};
use super::support::{Ran, TestDatabase, eventually, url_of};

/// `public.t` has ten chunks, of which six shall go. Our role owns it and may end sessions; `app` is listed, and
/// so are our role and the superuser; `other` is not.
struct Cast {
    database: TestDatabase,
    tool: String,
    app: String,
    other: String,
}

/// A session of somebody, and the process it has.
struct Actor {
    session: PgConnection,
    pid: i64,
}

impl Cast {
    async fn new(settings: &str) -> Self {
        let database = TestDatabase::new().await;
        let (tool, app) = (database.role("tool").await, database.role("app").await);
        let other = database.role("other").await;
        database.daily_table("t", 10).await;
        database
            .run(&format!(
                "ALTER TABLE t OWNER TO {tool}; GRANT SELECT ON t TO {app}, {other}; \
                 GRANT pg_signal_backend, pg_read_all_stats TO {tool}"
            ))
            .await;
        let cast = Self { database, tool, app, other };
        cast.configure(settings);
        cast
    }

    fn configure(&self, settings: &str) {
        let roles = format!("roles = [\"{}\", \"{}\", \"postgres\"]", self.app, self.tool);
        self.database.configuration(&format!(
            "attempts = 4\n[stores.main.sessions]\n{roles}\n{settings}\n[[policies]]\ntable = \"public.*\"\n\
             drop_after = \"3 days\"\n[caps]\nshare_of_bytes = \"100 %\""
        ));
    }

    async fn connect(&self, role: &str) -> Actor {
        let url =
            if role == "postgres" { self.database.url.clone() } else { self.database.url_as(role, "secret") };
        Actor::connect(&url).await
    }

    /// In a transaction that has read this chunk and does nothing more.
    async fn in_the_way(&self, role: &str, chunk: u32) -> Actor {
        let mut actor = self.connect(role).await;
        actor.session.execute("BEGIN").await.expect("begin");
        actor.session.execute(AssertSqlSafe(read(chunk))).await.expect("read");
        actor
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = self.database.timesweep(arguments);
        command.env("TEST_DATABASE_URL", self.database.url_as(&self.tool, "secret"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn start(&self) -> Child {
        self.command(&["run", "--apply", "--output", "json"]).spawn().expect("timesweep starts")
    }

    fn ran(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().expect("timesweep starts"))
    }

    fn run(&self, code: i32) -> (Value, String) {
        let ran = self.ran(&["run", "--apply", "--output", "json"]).with_code(code);
        (ran.json(), ran.err)
    }
}

impl Actor {
    async fn connect(url: &str) -> Self {
        let mut session = PgConnection::connect(url).await.expect("a session");
        let pid: i32 =
            sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut session).await.expect("a pid");
        Self { session, pid: pid.into() }
    }

    async fn is_connected(&mut self) -> bool {
        self.session.execute("SELECT 1").await.is_ok()
    }
}

fn chunk_name(number: u32) -> String {
    format!("_timescaledb_internal._hyper_1_{number}_chunk")
}

fn read(chunk: u32) -> String {
    format!("SELECT count(*) FROM {}", chunk_name(chunk))
}

/// Process ids of those whom the report calls ended.
fn ended(report: &Value, done: bool) -> Vec<i64> {
    let all = report["sessions"]["ended"].as_array().expect("ended sessions");
    let pids = all.iter().filter(|ended| ended["done"] == done);
    pids.map(|ended| ended["session"]["pid"].as_i64().expect("a pid")).collect()
}

fn notes(report: &Value) -> String {
    report["sessions"]["notes"].to_string()
}

fn blocked(report: &Value) -> Vec<String> {
    items(report, "blocked").iter().map(|item| item["chunk"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn blockers_are_terminated_after_patience_if_they_are_clients_of_a_listed_role() {
    let cast = Cast::new("mode = \"terminate_blockers\"\npatience = \"1 s\"").await;
    let mut listed = cast.in_the_way(&cast.app, 1).await;
    let mut unlisted = cast.in_the_way(&cast.other, 2).await;
    let mut superuser = cast.in_the_way("postgres", 3).await;
    let mut elsewhere = cast.connect(&cast.app).await;
    let (report, said) = cast.run(3);
    assert_eq!((ended(&report, true), ended(&report, false)), (vec![listed.pid], vec![superuser.pid]));
    assert!(!listed.is_connected().await);
    for actor in [&mut unlisted, &mut superuser, &mut elsewhere] {
        assert!(actor.is_connected().await, "process {} was ended: {said}", actor.pid);
    }
    assert_eq!(blocked(&report), [chunk_name(2), chunk_name(3)]);
    assert_eq!(dropped_items(&report), 4);
    let mut all = report["sessions"]["ended"].as_array().expect("sessions").iter();
    let told = all.find(|ended| ended["session"]["pid"] == listed.pid).expect("the one that was ended");
    let (session, how) = (&told["session"], &told["how"]);
    assert_eq!((session["role"].as_str(), how.as_str()), (Some(cast.app.as_str()), Some("terminated")));
    assert_eq!(
        (session["state"].as_str(), session["address"].as_str()),
        (Some("idle in transaction"), Some("127.0.0.1"))
    );
    assert_eq!(session["statement"].as_str(), Some(read(1).as_str()));
    assert_eq!(told["in_the_way_of"].as_str(), Some(chunk_name(1).as_str()));
    let waited =
        told["at"].as_i64().expect("an instant") - report["started_at"].as_i64().expect("an instant");
    assert!(waited >= 1_000_000, "it was ended after {waited} microseconds");
    assert!(
        notes(&report).contains("sessions of role postgres could not be ended: permission denied"),
        "{report}"
    );
    let line = format!("trying to terminate process {} of role {} (", listed.pid, cast.app);
    assert!(
        said.contains(&line) && said.contains(&format!("in the way of {}: SELECT", chunk_name(1))),
        "{said}"
    );
    assert!(said.contains(&format!("could not terminate process {} of role", superuser.pid)), "{said}");
    let text = cast.ran(&["report"]).with_code(0).out;
    assert!(text.contains(&format!("  terminated process {} of role {} (", listed.pid, cast.app)), "{text}");
    assert!(
        text.contains(&format!("  could not terminate process {} of role postgres (", superuser.pid)),
        "{text}"
    );
}

#[tokio::test]
async fn blockers_are_cancelled_where_they_run_a_statement_and_stay_connected() {
    let cast = Cast::new("mode = \"cancel_blockers\"\npatience = \"1 s\"").await;
    let mut active = cast.connect(&cast.app).await;
    let mut idle = cast.in_the_way(&cast.app, 2).await;
    let active_pid = active.pid;
    let waits = tokio::spawn(async move {
        let statement = format!("SELECT pg_sleep(3600) FROM {}", chunk_name(1));
        let answer = active.session.execute(AssertSqlSafe(statement)).await.map(|_| ());
        (active, answer)
    });
    let sleeps =
        format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {active_pid} AND wait_event = 'PgSleep'");
    eventually("the statement runs", async || cast.database.number(&sleeps).await == 1).await;
    let (report, _) = cast.run(3);
    let (mut active, answer) = waits.await.expect("no panic");
    let error = answer.expect_err("it was cancelled").to_string();
    assert!(error.contains("canceling statement due to user request"), "{error}");
    assert!(active.is_connected().await && idle.is_connected().await);
    assert_eq!((ended(&report, true), ended(&report, false)), (vec![active_pid], vec![]));
    assert_eq!(report["sessions"]["ended"][0]["how"], "cancelled");
    assert_eq!(blocked(&report), [chunk_name(2)]);
    let note = format!(
        "process {} of role {} was left in the way of {}: it runs no statement that could be cancelled",
        idle.pid,
        cast.app,
        chunk_name(2)
    );
    assert!(notes(&report).contains(&note), "{report}");
}

#[tokio::test]
async fn terminate_all_ends_the_listed_roles_on_this_database_and_nobody_else() {
    let cast = Cast::new("mode = \"terminate_all\"").await;
    let mut listed = [cast.in_the_way(&cast.app, 1).await, cast.connect(&cast.app).await];
    let mut unlisted = cast.connect(&cast.other).await;
    let mut superuser = cast.connect("postgres").await;
    let url = cast.database.url_as(&cast.tool, "secret");
    let mut ours = Actor::connect(&format!("{url}?application_name=timesweep%20other")).await;
    let server = url_of("postgres");
    let (_, place) = server.rsplit_once('@').expect("a place");
    let mut other_database = Actor::connect(&format!("postgres://{}:secret@{place}", cast.app)).await;
    let (report, said) = cast.run(0);
    let mut pids = ended(&report, true);
    pids.sort_unstable();
    let mut expected = [listed[0].pid, listed[1].pid];
    expected.sort_unstable();
    assert_eq!(pids, expected, "{said}");
    assert!(ended(&report, false).contains(&superuser.pid), "{report}");
    for actor in &mut listed {
        assert!(!actor.is_connected().await);
    }
    for actor in [&mut unlisted, &mut superuser, &mut ours, &mut other_database] {
        assert!(actor.is_connected().await, "process {} was ended: {said}", actor.pid);
    }
    assert_eq!(dropped_items(&report), 6);
    let found = report["sessions"]["found"].as_array().expect("sessions");
    assert!(found.iter().all(|session| session["pid"] != ours.pid && session["role"] != cast.other.as_str()));
    assert!(found.len() >= 3, "{found:?}");
}

#[tokio::test]
async fn a_preview_and_a_run_with_nothing_to_do_end_nobody() {
    let cast = Cast::new("mode = \"terminate_all\"").await;
    let mut listed = cast.in_the_way(&cast.app, 10).await;
    for arguments in [["check"].as_slice(), &["plan"], &["run"]] {
        let ran = cast.ran(arguments).with_code(0);
        assert!(!ran.err.contains("terminating"), "{ran:?}");
    }
    cast.database.run("SELECT drop_chunks('t', older_than => interval '2 days')").await;
    let (report, _) = cast.run(0);
    assert_eq!(report["verdict"], "nothing_to_do");
    assert!(ended(&report, true).is_empty() && listed.is_connected().await);
}

#[tokio::test]
async fn a_drop_at_work_makes_the_run_busy_before_anybody_is_ended() {
    let cast = Cast::new("mode = \"terminate_all\"").await;
    let mut listed = cast.connect(&cast.app).await;
    let mut dropper = cast.connect("postgres").await;
    dropper.session.execute("BEGIN").await.expect("begin");
    dropper.session.execute("SELECT drop_chunks('t', older_than => interval '7 days')").await.expect("drop");
    let ran = cast.ran(&["run", "--apply"]).with_code(75);
    let named = format!("another drop is running: process {} of role postgres", dropper.pid);
    assert!(ran.err.contains(&named) || ran.out.contains(&named), "{ran:?}");
    assert!(!ran.err.contains("terminating"), "{ran:?}");
    assert!(listed.is_connected().await && dropper.is_connected().await);
}

#[tokio::test]
async fn by_default_everybody_is_left_and_the_listed_roles_are_told() {
    let cast = Cast::new("").await;
    let mut listed = cast.in_the_way(&cast.app, 1).await;
    let (report, _) = cast.run(3);
    assert_eq!(report["sessions"]["mode"], "leave");
    let found = report["sessions"]["found"].as_array().expect("sessions");
    assert!(found.iter().any(|session| session["pid"] == listed.pid), "{found:?}");
    assert!(ended(&report, true).is_empty() && ended(&report, false).is_empty());
    assert_eq!(blocked(&report), [chunk_name(1)]);
    assert!(listed.is_connected().await);
}

#[tokio::test]
async fn nobody_is_ended_before_patience_is_over_and_the_chunk_is_tried_until_then() {
    let cast = Cast::new("mode = \"terminate_blockers\"\npatience = \"1 hour\"").await;
    let mut listed = cast.in_the_way(&cast.app, 1).await;
    let mut run = cast.start();
    eventually("all other chunks are gone", async || cast.database.chunks("t").await == 5).await;
    // The configuration gives a chunk four tries, and each that fails is rolled back.
    let rolled_back = "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()";
    let before = cast.database.number(rolled_back).await;
    eventually("the chunk was tried often", async || cast.database.number(rolled_back).await > before + 8)
        .await;
    assert!(run.try_wait().expect("a state").is_none(), "the run is still at work");
    assert!(listed.is_connected().await);
    listed.session.execute("ROLLBACK").await.expect("rollback");
    let report = Ran::from(run.wait_with_output().expect("the run ends")).with_code(0).json();
    assert_eq!((dropped_items(&report), ended(&report, true).len()), (6, 0));
    assert!(listed.is_connected().await);
}

#[tokio::test]
async fn without_the_privilege_the_run_goes_on_and_check_says_what_is_missing() {
    let cast = Cast::new("mode = \"terminate_blockers\"\npatience = \"1 s\"").await;
    cast.database.run(&format!("REVOKE pg_signal_backend FROM {}", cast.tool)).await;
    let check = cast.ran(&["check"]).with_code(0).out;
    for said in [
        format!(
            "cannot end other sessions (pg_signal_backend); `sessions.mode` is `terminate_blockers`, for {}, ",
            cast.app
        ),
        format!(
            "our role may not end sessions of {}, which are left alone: GRANT pg_signal_backend TO \"{}\";",
            cast.app, cast.tool
        ),
        "`sessions.mode` is `terminate_blockers`, but postgres is a superuser and our role is none".into(),
    ] {
        assert!(check.contains(&said), "{said}: {check}");
    }
    let mut listed = cast.in_the_way(&cast.app, 1).await;
    let (report, _) = cast.run(3);
    assert_eq!((ended(&report, true), ended(&report, false)), (vec![], vec![listed.pid]));
    assert!(
        notes(&report)
            .contains(&format!("sessions of role {} could not be ended: permission denied", cast.app)),
        "{report}"
    );
    // Without a view of other sessions nobody knows what they are, so they are left.
    cast.database
        .run(&format!("GRANT pg_signal_backend TO {0}; REVOKE pg_read_all_stats FROM {0}", cast.tool))
        .await;
    let (report, _) = cast.run(3);
    assert!(notes(&report).contains("our role may not see what it is"), "{report}");
    assert!(listed.is_connected().await);
}

#[tokio::test]
async fn a_run_that_is_killed_while_it_ends_sessions_has_said_so() {
    let cast = Cast::new("mode = \"terminate_all\"").await;
    let listed = cast.connect(&cast.app).await;
    let mut command = cast.command(&["run", "--apply"]);
    let killed =
        Ran::from(command.env("TIMESWEEP_KILL_AT", "session-endings-written").output().expect("it starts"));
    let line = format!("trying to terminate process {} of role {}", listed.pid, cast.app);
    assert!(killed.err.contains(&line), "{killed:?}");
    let state = State::open(&cast.database.file("state.db")).await.expect("the state");
    let run = state.last_run().await.expect("the journal").expect("a run").run.id;
    let endings = state.session_endings(run).await.expect("the journal");
    assert!(endings.iter().any(|ending| i64::from(ending.pid) == listed.pid), "{endings:?}");
    state.close().await.expect("closed");
    let report = cast.ran(&["report"]).with_code(2).err;
    let said =
        format!("a session was ended, or was about to be: process {} of role {}", listed.pid, cast.app);
    assert!(report.contains(&said), "{report}");
}

#[tokio::test]
async fn who_is_in_the_way_is_whom_pg_blocking_pids_names() {
    let cast = Cast::new("").await;
    let table = direct::table(&cast.database, "t").await;
    let mut holders = Vec::new();
    for mode in ["ACCESS SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE"] {
        let mut holder = cast.connect("postgres").await;
        holder.session.execute("BEGIN").await.expect("begin");
        let lock = format!("LOCK TABLE ONLY {} IN {mode} MODE", chunk_name(1));
        holder.session.execute(AssertSqlSafe(lock)).await.expect(mode);
        holders.push(holder);
    }
    let _elsewhere = cast.in_the_way("postgres", 2).await;
    let mut waiter = cast.connect("postgres").await;
    let pid = waiter.pid;
    let waiting = tokio::spawn(async move {
        let lock = format!("BEGIN; LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE", chunk_name(1));
        waiter.session.execute(AssertSqlSafe(lock)).await.map(|_| ())
    });
    let waits =
        format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND wait_event_type = 'Lock'");
    eventually("the drop waits", async || cast.database.number(&waits).await == 1).await;
    let mut named: Vec<i32> =
        sqlx::query_scalar(AssertSqlSafe(format!("SELECT unnest(pg_blocking_pids({pid}))")))
            .fetch_all(&mut cast.database.connect().await)
            .await
            .expect("pids");
    named.sort_unstable();
    let driver = direct::driver(&cast.database);
    let blockers = driver.blockers(&table.name, &table.chunks[0].parts).await.expect("blockers");
    assert_eq!(blockers.iter().map(|blocker| blocker.pid).collect::<Vec<_>>(), named);
    assert_eq!(named.len(), 3);
    drop(holders);
    waiting.await.expect("no panic").expect("the lock");
}

#[tokio::test]
async fn a_statement_is_shown_without_the_password_that_it_sets() {
    let database = TestDatabase::new().await;
    let shown = timesweep::store::postgres::sessions::STATEMENT;
    let query = format!("SELECT {shown} FROM (SELECT $1::text AS query) a");
    for (statement, expected) in [
        ("ALTER ROLE app\n  PASSWORD 'geheim-1' LOGIN", "ALTER ROLE app PASSWORD … LOGIN"),
        ("create user app encrypted password 'ge''heim", "create user app encrypted password …"),
        ("SELECT 'a' FROM passwords", "SELECT 'a' FROM passwords"),
    ] {
        let text: String = sqlx::query_scalar(AssertSqlSafe(query.clone()))
            .bind(statement)
            .fetch_one(&mut database.connect().await)
            .await
            .expect("the server's answer");
        assert_eq!(text, expected);
    }
}
