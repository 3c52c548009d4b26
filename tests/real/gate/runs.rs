//! Runs behind their gate, on a real TimescaleDB: what is dropped, what the ticket says, what the launcher is told.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;

use super::launcher_server::{BOTH, Server, TestLauncher, open_today, today};
use super::place::with_launcher;
use crate::real::direct;
use crate::real::support::{Ran, TestDatabase};

pub const RULES: &str =
    "[[policies]]\ntable = \"public.*\"\ndrop_after = \"3 days\"\n[caps]\nshare_of_bytes = \"100 %\"\n";
pub const DAYS: u32 = 8;
pub const STAYING: i64 = 4;
const GOING: usize = 4;
pub const TOLD: &str =
    "update = \"UPDATE launcher SET status = 'done' WHERE id = :id AND vm_name = :vm_name\"";

pub struct Gated {
    pub database: TestDatabase,
    launcher_url: String,
}

impl Gated {
    /// A table with expired chunks behind a gate; `gate` is what follows `[gate]`.
    pub async fn new(gate: &str) -> Self {
        let database = TestDatabase::new().await;
        database.daily_table("t", DAYS).await;
        database.configuration(&format!("{RULES}[gate]\nvm_name = \"pg1\"\n{gate}"));
        Self { database, launcher_url: String::new() }
    }

    pub async fn with_launcher(url: &str, launcher: &str) -> Self {
        let gated = Self::new(&with_launcher(&open_today(), launcher)).await;
        Self { launcher_url: url.to_owned(), ..gated }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.database.timesweep(arguments);
        command.env("TEST_LAUNCHER_URL", &self.launcher_url);
        command
    }

    pub fn ran(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().expect("timesweep starts"))
    }

    /// `run --apply` as a program reads it.
    #[track_caller]
    pub fn run(&self, code: i32) -> serde_json::Value {
        self.ran(&["run", "--apply", "--output", "json"]).with_code(code).json()
    }

    /// The seventh field of today's ticket.
    pub fn word(&self) -> Option<String> {
        let path = self.database.file(&format!("timesweep_pg1_{}", today()));
        let text = std::fs::read_to_string(path).ok()?;
        text.trim_end().split(',').nth(6).map(str::to_owned)
    }

    pub async fn chunks(&self) -> i64 {
        self.database.chunks("t").await
    }
}

#[tokio::test]
async fn a_run_drops_once_a_day_closes_its_ticket_and_tells_the_launcher() {
    for server in BOTH {
        let launcher = TestLauncher::on(server).await;
        launcher.row(17, "pg1", "due", &format!("{} 02:00:00", today())).await;
        let url = launcher.account("w", "SELECT, UPDATE", "").await;
        let gated = Gated::with_launcher(&url, &format!("who = \"dba\"\n{TOLD}")).await;

        let report = gated.run(0);
        assert_eq!(report["verdict"], "done", "{report}");
        assert_eq!(report["gate"]["launcher"]["id"], "17");
        assert_eq!(report["gate"]["ticket"]["after"], "dropped");
        assert_eq!(report["warnings"], serde_json::json!([]));
        assert_eq!((gated.chunks().await, gated.word().as_deref()), (STAYING, Some("dropped")));
        assert_eq!(launcher.status_of(17).await, "done");
        let path = gated.database.file(&format!("timesweep_pg1_{}", today()));
        let line = std::fs::read_to_string(&path).expect("a ticket");
        assert!(line.starts_with(&format!("17,pg1,due,dba,{} 02:00:00,{}T", today(), today())), "{line}");

        gated.database.daily_table("u", DAYS).await;
        let again = gated.run(0);
        assert_eq!(
            (again["verdict"].as_str(), again["gate"]["asked"].as_str()),
            (Some("skipped"), Some("ticket"))
        );
        assert_eq!(gated.database.chunks("u").await, i64::from(DAYS), "today's work is done");
        let said = gated.ran(&["run", "--apply", "--scheduler", "airflow"]).with_code(99).out;
        assert!(said.starts_with("run --apply on store main: skipped\ngate: closed on "), "{said}");
        assert_eq!(gated.database.runs_that_began(), 1);
        let last = gated.ran(&["report"]).with_code(0).out;
        assert_eq!(last, said, "the last run is the one that was skipped");
        let id = report["run"].as_str().expect("an id");
        assert_eq!(
            gated.ran(&["report", id, "--output", "json"]).with_code(0).json(),
            report,
            "as it was told"
        );
        let kept = gated.ran(&["report", id]).with_code(0).out;
        assert!(kept.contains("gate: open on ") && kept.contains("launcher: row 17 for pg1"), "{kept}");
    }
}

#[tokio::test]
async fn a_check_says_what_the_gate_would_and_writes_no_ticket() {
    let launcher = TestLauncher::on(Server::MariaDb).await;
    let gated = Gated::with_launcher(&launcher.reader().await, "").await;
    let closed = gated.ran(&["check"]).with_code(0).out;
    assert!(closed.contains("\ngate: closed on ") && closed.contains("has no row for `pg1`"), "{closed}");
    launcher.row(17, "pg1", "due", &format!("{} 02:00:00", today())).await;
    assert!(gated.ran(&["check"]).with_code(0).out.contains("\ngate: open on "));
    launcher.run(&format!("DROP TABLE {}.launcher", launcher.database)).await;
    let broken = gated.ran(&["check"]).with_code(2).out;
    assert!(broken.contains("error: cannot ask the gate\n    because: "), "{broken}");
    assert_eq!(gated.word(), None);
}

/// Also where the ticket of the day is there, so that no run would ask the launcher.
#[tokio::test]
async fn a_check_tries_everything_and_ends_with_what_is_broken() {
    let launcher = TestLauncher::on(Server::MariaDb).await;
    launcher.row(17, "pg1", "due", &format!("{} 02:00:00", today())).await;
    let writer = launcher.account("w", "SELECT, UPDATE", "").await;
    let gated = Gated::with_launcher(&writer, TOLD).await;
    let well = gated.ran(&["check"]).with_code(0).out;
    assert!(well.contains(" answers, and may be told\n"), "{well}");
    assert_eq!(launcher.status_of(17).await, "due", "nothing was told");
    gated.ran(&["gate"]).with_code(0);
    let reader = launcher.reader().await;
    let away = "mysql://me@127.0.0.1:1/ops".to_owned();
    for (url, said) in [
        (reader, "could not be used to try its `update`"),
        (away, "the launcher cannot be reached: 127.0.0.1:1"),
    ] {
        let mut command = gated.command(&["check"]);
        command.env("TEST_LAUNCHER_URL", url);
        let broken = Ran::from(command.output().expect("timesweep starts")).with_code(5).out;
        assert!(broken.contains(said) && broken.contains("\ngate: open on "), "{broken}");
    }
    let path = gated.database.file(&format!("timesweep_pg1_{}", today()));
    std::fs::write(path, "half").expect("written");
    let damaged = gated.ran(&["check"]).with_code(4).out;
    assert!(
        damaged.contains(" is damaged: ") && damaged.contains(" answers, and may be told\n"),
        "{damaged}"
    );
    let mut no_store = gated.command(&["check", "--output", "json"]);
    no_store.env("TEST_DATABASE_URL", "postgres://me@127.0.0.1:1/nothing");
    let told = Ran::from(no_store.output().expect("timesweep starts")).with_code(4);
    assert!(told.err.starts_with("error: cannot connect to 127.0.0.1:1/nothing"), "{}", told.err);
    let told = told.json();
    assert_eq!(
        (told["exit_code"].as_u64(), told["error"]["exit_code"].as_u64()),
        (Some(4), Some(5)),
        "{told}"
    );
    assert_eq!(told["troubles"][0]["exit_code"], 4);
}

#[tokio::test]
async fn a_closed_gate_writes_nothing_at_all() {
    let launcher = TestLauncher::on(Server::MariaDb).await;
    let gated = Gated::with_launcher(&launcher.reader().await, "").await;
    let report = gated.run(0);
    assert_eq!(
        (report["verdict"].as_str(), report["gate"]["open"].as_bool()),
        (Some("skipped"), Some(false))
    );
    gated.ran(&["run", "--apply", "--skip-exit-code", "20"]).with_code(20);
    let quiet = gated.ran(&["run", "--apply", "--scheduler", "cron"]).with_code(0);
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("", ""), "cron mails what is printed");
    assert_eq!((gated.chunks().await, gated.word()), (i64::from(DAYS), None));
    assert!(!gated.database.file("state.db").exists());
    // A preview asks nobody.
    gated.ran(&["run"]).with_code(0);
}

#[tokio::test]
async fn what_the_launcher_cannot_be_told_is_a_warning_and_the_drop_stands() {
    let launcher = TestLauncher::on(Server::MySql).await;
    launcher.row(17, "pg1", "due", &format!("{} 02:00:00", today())).await;
    let told_nobody = "update = \"UPDATE launcher SET status = 'done' WHERE id = :id + 1\"";
    let writer = launcher.account("w", "SELECT, UPDATE", "").await;
    let reader = launcher.reader().await;
    let gone = reader.replace(&Server::MySql.place(), &goes_away_after_one_session(Server::MySql));
    for (url, update, warning) in [
        (&reader, TOLD, "could not be used to run its `update`"),
        (&writer, told_nobody, "its `update` found no row"),
        (&gone, TOLD, "the launcher cannot be reached"),
    ] {
        let gated = Gated::with_launcher(url, update).await;
        let report = gated.run(0);
        assert_eq!(report["verdict"], "done");
        let warnings = report["warnings"].to_string();
        assert!(warnings.contains(warning) && !warnings.contains("geheim"), "{warnings}");
        assert_eq!((gated.chunks().await, gated.word().as_deref()), (STAYING, Some("dropped")));
    }
}

/// Passes one session on to the server; nobody listens there any more afterwards.
fn goes_away_after_one_session(server: Server) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let place = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a session");
        drop(listener);
        let mut there = TcpStream::connect(server.place()).expect("the server");
        let (mut back, mut answers) =
            (client.try_clone().expect("a socket"), there.try_clone().expect("a socket"));
        thread::spawn(move || io::copy(&mut answers, &mut back));
        let _ = io::copy(&mut client, &mut there);
    });
    place
}

#[tokio::test]
async fn a_run_that_a_guard_refuses_says_failed_and_the_next_one_goes_on() {
    let gated = Gated::new(&open_today()).await;
    let text = std::fs::read_to_string(gated.database.file("timesweep.toml")).expect("the configuration");
    let capped = text.replace("share_of_bytes = \"100 %\"", "chunks = 1");
    std::fs::write(gated.database.file("timesweep.toml"), capped).expect("written");
    let report = gated.run(4);
    assert_eq!((report["verdict"].as_str(), gated.word().as_deref()), (Some("refused"), Some("failed")));
    std::fs::write(gated.database.file("timesweep.toml"), text).expect("written");
    let report = gated.run(0);
    assert_eq!((report["verdict"].as_str(), gated.word().as_deref()), (Some("done"), Some("dropped")));
    assert_eq!(report["gate"]["ticket"]["before"], "failed");
}

#[tokio::test]
async fn a_run_that_cannot_reach_its_store_says_failed_and_takes_no_dropped_back() {
    let gated = Gated::new(&open_today()).await;
    let elsewhere = |gated: &Gated, arguments: &[&str]| {
        let mut command = gated.command(arguments);
        command.env("TEST_DATABASE_URL", "postgres://me@127.0.0.1:1/nothing");
        Ran::from(command.output().expect("timesweep starts"))
    };
    elsewhere(&gated, &["run", "--apply"]).with_code(5);
    assert_eq!(gated.word().as_deref(), Some("failed"));
    let told = elsewhere(&gated, &["report", "--output", "json"]).with_code(0).json();
    assert_eq!(
        (told["verdict"].as_str(), told["gate"]["ticket"]["after"].as_str()),
        (Some("unreachable"), Some("failed"))
    );
    gated.run(0);
    assert_eq!(gated.word().as_deref(), Some("dropped"));
    // Another address is another database, as far as anybody can tell.
    let ran = elsewhere(&gated, &["run", "--apply"]).with_code(4);
    assert!(ran.err.contains("says `dropped` for ") && ran.err.contains("`prefix`"), "{}", ran.err);
    assert_eq!(gated.word().as_deref(), Some("dropped"));
}

#[tokio::test]
async fn a_disk_without_space_for_the_state_drops_nothing_and_keeps_the_ticket() {
    let gated = Gated::new(&open_today()).await;
    gated.ran(&["gate"]).with_code(0);
    // Every write of a file fails, as on a full disk.
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" run --apply";
    let mut command = Command::new("bash");
    command.args(["-c", script, env!("CARGO_BIN_EXE_timesweep")]).env_clear();
    command.env("TEST_DATABASE_URL", &gated.database.url).current_dir(gated.database.file(""));
    let ran = Ran::from(command.output().expect("bash starts")).with_code(5);
    assert!(ran.err.contains("state") && ran.err.contains("ticket"), "both are told: {}", ran.err);
    assert_eq!((gated.chunks().await, gated.word().as_deref()), (i64::from(DAYS), Some("pending")));
    gated.run(0);
    assert_eq!((gated.chunks().await, gated.word().as_deref()), (STAYING, Some("dropped")));
}

#[tokio::test]
async fn a_busy_run_leaves_the_ticket_to_the_one_that_is_at_work() {
    let gated = Gated::new(&open_today()).await;
    let lock = direct::driver(&gated.database).lock_runner("test").await.expect("the lock");
    let ran = gated.ran(&["run", "--apply"]).with_code(75);
    assert_eq!(gated.word().as_deref(), Some("pending"), "{ran:?}");
    let told = gated.ran(&["report", "--output", "json"]).with_code(0).json();
    assert_eq!(
        (told["verdict"].as_str(), told["gate"]["open"].as_bool()),
        (Some("busy"), Some(true)),
        "{told}"
    );
    let listed = gated.ran(&["report", "--list", "--output", "json"]).with_code(0).json();
    assert_eq!(listed["runs"][0]["exit_code"], 75);
    drop(lock);
}

#[tokio::test]
async fn of_two_runs_at_once_every_chunk_goes_once_and_the_ticket_says_dropped() {
    let gated = Gated::new(&open_today()).await;
    let start = || {
        let mut command = gated.command(&["run", "--apply", "--output", "json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("timesweep starts")
    };
    let running = [start(), start()];
    let ran = running.map(|process| Ran::from(process.wait_with_output().expect("an end")));
    let codes: Vec<i32> = ran.iter().map(|ran| ran.code).collect();
    assert!(codes.iter().all(|code| [0, 75].contains(code)) && codes.contains(&0), "{ran:?}");
    let dropped = |ran: &Ran| {
        ran.json()["datasets"].as_array().map_or(0, |all| {
            all.iter().map(|dataset| dataset["items"].as_array().map_or(0, Vec::len)).sum::<usize>()
        })
    };
    let total: usize = ran.iter().map(dropped).sum();
    assert_eq!(total, GOING, "{ran:?}");
    assert_eq!((gated.chunks().await, gated.word().as_deref()), (STAYING, Some("dropped")));
}

#[tokio::test]
async fn a_passed_value_goes_only_where_it_is_a_plain_yes() {
    // Whoever asks this launcher gets an error.
    let gated = Gated::with_launcher("mysql://me@127.0.0.1:1/ops", "").await;
    for value in ["", "${data.go}", "@data.go@", "true", "YES"] {
        let ran = gated.ran(&["run", "--apply", "--go", value]).with_code(2);
        assert!(ran.err.contains("--go is"), "{}", ran.err);
    }
    gated.ran(&["run", "--go", "yes"]).with_code(2);
    gated.ran(&["run", "--apply", "--go"]).with_code(2);
    let skipped = gated.ran(&["run", "--apply", "--go", "no", "--scheduler", "airflow"]).with_code(99);
    assert!(skipped.out.contains("an earlier step said no (`--go no`)"), "{skipped:?}");
    assert_eq!((gated.chunks().await, gated.word()), (i64::from(DAYS), None));

    let report = gated.ran(&["run", "--apply", "--go", "yes", "--output", "json"]).with_code(0).json();
    assert_eq!((report["verdict"].as_str(), report["gate"]["asked"].as_str()), (Some("done"), Some("--go")));
    assert_eq!((gated.chunks().await, gated.word().as_deref()), (STAYING, Some("dropped")));
    // Whatever was passed on: once a day.
    let again = gated.ran(&["run", "--apply", "--go", "yes", "--output", "json"]).with_code(0).json();
    assert_eq!(again["verdict"], "skipped");
}

#[tokio::test]
async fn without_a_gate_nothing_is_asked_and_a_passed_value_still_counts() {
    let database = TestDatabase::new().await;
    database.daily_table("t", DAYS).await;
    database.configuration(RULES);
    let no_gate = database.ran(&["gate"]).with_code(2);
    assert!(no_gate.err.contains("the configuration has no [gate]"), "{}", no_gate.err);
    database.ran(&["ticket", "show"]).with_code(2);
    let skipped = database.ran(&["run", "--apply", "--go", "no", "--output", "json"]).with_code(0).json();
    assert_eq!(skipped["verdict"], "skipped");
    let report = database.ran(&["run", "--apply", "--output", "json"]).with_code(0).json();
    assert!(report["gate"].is_null() && report["verdict"] == "done", "{report}");
    let report = database.ran(&["run", "--apply", "--go", "yes", "--output", "json"]).with_code(0).json();
    assert_eq!(
        (report["verdict"].as_str(), report["gate"]["asked"].as_str()),
        (Some("nothing_to_do"), Some("--go"))
    );
}

#[tokio::test]
async fn five_steps_of_a_job_share_one_ticket() {
    let launcher = TestLauncher::on(Server::MariaDb).await;
    launcher.row(17, "pg1", "due", &format!("{} 02:00:00", today())).await;
    let url = launcher.account("w", "SELECT, UPDATE", "").await;
    let gated = Gated::with_launcher(&url, TOLD).await;
    let lines = gated.ran(&["gate", "--output", "rundeck"]).with_code(0).out;
    assert!(
        lines.starts_with("RUNDECK:DATA:go = yes\n") && lines.contains("\nRUNDECK:DATA:launcher_id = 17\n"),
        "{lines}"
    );
    gated.ran(&["plan", "--out", "plan.json"]).with_code(0);
    gated.ran(&["apply", "plan.json"]).with_code(0);
    gated.ran(&["report"]).with_code(0);
    assert_eq!(gated.word().as_deref(), Some("pending"));
    let closed = gated.ran(&["ticket", "close", "--status", "dropped"]).with_code(0);
    assert_eq!((closed.err.as_str(), gated.word().as_deref()), ("", Some("dropped")));
    assert_eq!((gated.chunks().await, launcher.status_of(17).await.as_str()), (STAYING, "done"));
    let lines = gated.ran(&["gate", "--output", "rundeck"]).with_code(0).out;
    assert!(lines.starts_with("RUNDECK:DATA:go = no\n"), "{lines}");
}
