//! What the launcher says, and what it means when it says nothing.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::launcher_server::{BOTH, PASSWORD, Server, TestLauncher, open_today, today};
use super::place::Place;

#[tokio::test]
async fn rows_of_today_that_agree_open_the_gate_and_anything_else_closes_it_with_the_reason() {
    let (day, last_week) = (today(), today() - jiff::Span::new().days(7));
    let noon = format!("{day} 12:00:00");
    for server in BOTH {
        let launcher = TestLauncher::on(server).await;
        let place = Place::with_launcher(&launcher.reader().await, &open_today(), "");
        let due = format!("`due`, dba, {noon}");
        for (rows, open, reason) in [
            (vec![], false, "the launcher has no row for `pg1` on ".to_owned()),
            (vec![("pg2", "due", noon.clone())], false, "the launcher has no row for `pg1` on ".into()),
            (vec![("PG1", "due", noon.clone())], true, format!("the launcher says so: row 1 ({due})")),
            (vec![("pg1", "hold", noon.clone())], false, "row 1 says `hold`, not `due`".into()),
            // The question is for today's rows.
            (vec![("pg1", "due", format!("{last_week} 12:00:00"))], false, "the launcher has no row".into()),
            (vec![("pg1", "due", format!("{day} 23:59:59"))], true, "the launcher says so".into()),
            (
                vec![("pg1", "due", noon.clone()), ("pg1", "due", noon.clone())],
                true,
                format!("the launcher says so: row 1 ({due}) (2 rows say so)"),
            ),
            (
                vec![("pg1", "due", noon.clone()), ("pg1", "hold", noon.clone())],
                false,
                format!("two rows contradict each other: row 1 ({due}), and row 2 (`hold`, dba, {noon})"),
            ),
        ] {
            launcher.clear().await;
            place.forget();
            for (id, (vm, status, start)) in (1..).zip(&rows) {
                launcher.row(id, vm, status, start).await;
            }
            let (is_open, why) = place.asked();
            assert_eq!(is_open, open, "{server:?} {rows:?}: {why}");
            assert!(why.starts_with(&reason), "{server:?} {rows:?}: {why}");
            assert_eq!(place.ticket().exists(), open, "a closed gate writes no ticket");
        }
    }
}

#[tokio::test]
async fn a_date_is_its_day_whatever_the_window() {
    // Midnight itself lies outside; a test that runs in that very minute has no case.
    let later = format!("{}from = \"00:01\"\n", open_today());
    for server in BOTH {
        let launcher = TestLauncher::on(server).await;
        let place = Place::with_launcher(&launcher.reader().await, &later, "");
        for (start, open) in [
            (today(), true),
            (today() - jiff::Span::new().days(1), false),
            (today() + jiff::Span::new().days(1), false),
        ] {
            launcher.clear().await;
            place.forget();
            launcher.row(1, "pg1", "due", &start.to_string()).await;
            let (is_open, reason) = place.asked();
            assert_eq!(is_open, open, "{server:?} {start}: {reason}");
        }
        launcher.run(&format!("ALTER TABLE {}.launcher MODIFY start_time date", launcher.database)).await;
        launcher.clear().await;
        place.forget();
        launcher.row(1, "pg1", "due", &today().to_string()).await;
        assert!(place.asked().0, "{server:?}: a column of dates");
    }
}

#[tokio::test]
async fn more_rows_than_anybody_reads_are_no_answer() {
    for server in BOTH {
        let launcher = TestLauncher::on(server).await;
        let place = Place::with_launcher(&launcher.reader().await, &open_today(), "");
        let noon = format!("{} 12:00:00", today());
        let rows: Vec<String> =
            (1..=100).map(|id| format!("({id}, 'pg1', 'due', 'dba', '{noon}')")).collect();
        launcher.run(&format!("INSERT INTO {}.launcher VALUES {}", launcher.database, rows.join(", "))).await;
        assert!(place.asked().1.ends_with("(100 rows say so)"), "{server:?}");
        place.forget();
        // The one that nobody reads could contradict the others.
        launcher.row(101, "pg1", "hold", &noon).await;
        let ran = place.ran(&["gate"]).with_code(2);
        assert!(ran.err.contains("more than 100 rows") && ran.err.contains(":window_start"), "{}", ran.err);
        assert!(!place.ticket().exists());
    }
}

#[tokio::test]
async fn a_due_row_does_not_open_the_gate_on_another_day_or_for_another_role() {
    let launcher = TestLauncher::on(Server::MariaDb).await;
    launcher.row(1, "pg1", "due", &format!("{} 12:00:00", today())).await;
    let url = launcher.reader().await;
    let tomorrow = (today() + jiff::Span::new().days(1)).strftime("%A").to_string();
    let place = Place::with_launcher(&url, &format!("days = [\"{}\"]", tomorrow.to_lowercase()), "");
    let (open, reason) = place.asked();
    assert!(!open && reason.ends_with(&format!("and the gate opens on {tomorrow}")), "{reason}");

    let off = format!("{}not_on = [\"{}\"]", open_today(), today());
    assert!(Place::with_launcher(&url, &off, "").asked().1.ends_with("is a day off (`not_on`)"));
    let (open, reason) = Place::with_launcher(&url, &open_today(), "who = \"app\"").asked();
    assert!(!open && reason.starts_with("the launcher has no row"), "{reason}");
    assert!(reason.ends_with("; row 1 is for `dba`, not `app`"), "{reason}");
    assert!(Place::with_launcher(&url, &open_today(), "who = \"dba\"").asked().0);
}

#[tokio::test]
async fn a_launcher_that_cannot_be_asked_is_never_a_closed_gate() {
    for server in BOTH {
        let launcher = TestLauncher::on(server).await;
        let (reader, place) = (launcher.reader().await, server.place());
        let nobody = launcher.account("n", "", "").await;
        let wrong_password = reader.replace(PASSWORD, "falsch-geheim");
        let no_database = reader.replace(&format!("/{}", launcher.database), "/nowhere");
        let unreachable = reader.replace(&place, "127.0.0.1:1");
        for (url, more, code, said) in [
            (&unreachable, "", 5, "is the server running, and is the port right?"),
            (&wrong_password, "", 5, "check the user and the password"),
            (&no_database, "", 5, "check the database's name"),
            (&nobody, "", 5, "check the database's name, and the user's rights on it"),
            (&reader, "table = \"nowhere\"", 2, "name the table"),
            (
                &reader,
                "statement = \"SELECT 1 AS id\"",
                2,
                "has to give id, vm_name, status, who and start_time",
            ),
            (&reader, "statement = \"DELETE FROM launcher\"", 2, "`statement` is one SELECT"),
            (
                &reader,
                "statement = \"SELECT * FROM launcher WHERE vm_name = :vm\"",
                2,
                "there is no parameter `:vm`",
            ),
            (&reader, "statement = \"SELECT * FROM launcher WHERE vm_name = ?\"", 2, "is no parameter"),
        ] {
            let place = Place::with_launcher(url, &open_today(), more);
            let ran = place.ran(&["gate"]).with_code(code);
            assert!(ran.err.contains(said), "{server:?} {more}: {}", ran.err);
            assert!(!(ran.err.clone() + &ran.out).contains("geheim"), "a password was printed: {}", ran.err);
            assert!(!place.ticket().exists());
            place.ran(&["gate", "--scheduler", "systemd"]).with_code(255);
            place.ran(&["run", "--apply"]).with_code(code);
        }
    }
}

#[tokio::test]
async fn a_launcher_that_hangs_is_given_up() {
    // It takes the connection and never says a word.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("mysql://me@{}/ops", listener.local_addr().expect("an address"));
    let began = Instant::now();
    let ran = Place::with_launcher(&url, &open_today(), "").ran(&["gate"]).with_code(5);
    assert!(ran.err.contains("no answer within 10 s"), "{}", ran.err);
    assert!(began.elapsed() < Duration::from_secs(25));
}

#[tokio::test]
async fn names_are_bound_and_never_pasted() {
    for server in BOTH {
        let launcher = TestLauncher::on(server).await;
        let (start, url) = (format!("{} 12:00:00", today()), launcher.reader().await);
        launcher.row(1, "pg1", "due", &start).await;
        for vm_name in ["x' OR '1'='1", "x'; DROP TABLE launcher; -- ", "\\' OR 1=1 -- x"] {
            let place = Place::with_launcher(&url, &open_today(), "who = \"' OR ''='\"");
            let vm_name = vm_name.trim();
            place.configure(&super::place::with_launcher(&open_today(), ""));
            let path = place.folder.path().join("timesweep.toml");
            let text = std::fs::read_to_string(&path).expect("the configuration");
            let quoted = vm_name.replace('\\', "\\\\");
            std::fs::write(&path, text.replace("\"pg1\"", &format!("\"{quoted}\""))).expect("written");
            let (open, reason) = place.asked();
            assert!(!open && reason.starts_with("the launcher has no row"), "{server:?} {vm_name}: {reason}");
            launcher.row(2, &vm_name.replace('\\', "\\\\"), "due", &start).await;
            assert!(place.asked().0, "{server:?} {vm_name}: a machine may be called so");
            launcher.run(&format!("DELETE FROM {}.launcher WHERE id = 2", launcher.database)).await;
        }
        assert_eq!(launcher.status_of(1).await, "due");
    }
}

#[tokio::test]
async fn a_statement_of_ones_own_is_asked_with_its_parameters() {
    for server in BOTH {
        let launcher = TestLauncher::on(server).await;
        launcher
            .run(&format!(
                "CREATE TABLE {}.plan (nr int, machine text, state text, day date)",
                launcher.database
            ))
            .await;
        launcher
            .run(&format!("INSERT INTO {}.plan VALUES (17, 'pg1', 'go', curdate())", launcher.database))
            .await;
        launcher.run(&format!("UPDATE {}.plan SET day = '{}'", launcher.database, today())).await;
        let statement = "statement = \"\"\"SELECT nr AS id, machine AS vm_name, state AS status, NULL AS who, \
                         day AS start_time FROM plan -- all of them: ' :vm_name ?
                         WHERE machine = :vm_name AND (:vm_name <> '' OR state = :status) AND day >= DATE(:window_start) \
                         AND day < :window_end ORDER BY nr; \"\"\"\nstatus = \"go\"";
        let place = Place::with_launcher(&launcher.reader().await, &open_today(), statement);
        let (open, reason) = place.asked();
        assert!(open, "{server:?}: {reason}");
        let line = std::fs::read_to_string(place.ticket()).expect("a ticket");
        assert!(line.starts_with("17,pg1,go,,"), "{line}");
    }
}

/// Accounts that are called `far…` live in another zone, those called `late…` three hours ago, and what those called
/// `open…` do is kept only where they say so.
pub async fn move_some_accounts(launcher: &TestLauncher) {
    let zone = "SET time_zone = IF(USER() LIKE 'far%', '+05:30', @@session.time_zone)";
    let kept = ", autocommit = IF(USER() LIKE 'open%', 0, 1)";
    let past = match launcher.server {
        Server::MariaDb => ", timestamp = IF(USER() LIKE 'late%', UNIX_TIMESTAMP() - 10800, 0)",
        Server::MySql => "",
    };
    launcher.run(&format!("SET GLOBAL init_connect = \"{zone}{kept}{past}\"")).await;
}

#[tokio::test]
async fn the_launchers_sessions_may_be_in_another_zone() {
    for server in BOTH {
        let launcher = TestLauncher::on(server).await;
        move_some_accounts(&launcher).await;
        let url = launcher.account("far", "SELECT", "").await;
        let place = Place::with_launcher(&url, &open_today(), "");
        // There it is 05:30 when the day begins in UTC.
        let tomorrow = today() + jiff::Span::new().days(1);
        for (start, open) in [
            (format!("{} 05:29:59", today()), false),
            (format!("{} 05:30:00", today()), true),
            (format!("{tomorrow} 05:29:59"), true),
            (format!("{tomorrow} 05:30:00"), false),
        ] {
            launcher.clear().await;
            place.forget();
            launcher.row(1, "pg1", "due", &start).await;
            let (is_open, reason) = place.asked();
            assert_eq!(is_open, open, "{server:?} {start}: {reason}");
        }
        // In their own zone the day is what the launcher's calendar says.
        let there =
            jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::get("Asia/Kolkata").expect("zone")).date();
        launcher.clear().await;
        launcher.row(1, "pg1", "due", &format!("{there} 00:00:00")).await;
        let place = Place::with_launcher(
            &url,
            "zone = \"Asia/Kolkata\"\ndays = [\"mon\",\"tue\",\"wed\",\"thu\",\"fri\",\"sat\",\"sun\"]",
            "",
        );
        let said = place.ran(&["gate", "--output", "json"]).with_code(0).json();
        assert_eq!(
            (said["open"].as_bool(), said["day"].as_str()),
            (Some(true), Some(there.to_string().as_str())),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_launcher_whose_clock_is_hours_off_is_refused() {
    let launcher = TestLauncher::on(Server::MariaDb).await;
    launcher.row(1, "pg1", "due", &format!("{} 12:00:00", today())).await;
    move_some_accounts(&launcher).await;
    let url = launcher.account("late", "SELECT", "").await;
    let ran = Place::with_launcher(&url, &open_today(), "").ran(&["gate"]).with_code(4);
    assert!(ran.err.contains("s behind ours") && ran.err.contains("guards.max_clock_skew"), "{}", ran.err);
}

#[tokio::test]
async fn a_real_mysql_is_asked_with_and_without_tls() {
    let launcher = TestLauncher::on(Server::MySql).await;
    launcher.row(1, "pg1", "due", &format!("{} 12:00:00", today())).await;
    let authority = Server::MySql.authority();
    let anyone = launcher.reader().await;
    let only_tls = launcher.account("t", "SELECT", "REQUIRE SSL").await;
    let verify_ca = format!("?ssl-mode=VERIFY_CA&ssl-ca={authority}");
    let verify_identity = format!("?ssl-mode=VERIFY_IDENTITY&ssl-ca={authority}");
    for (url, parameters, code) in [
        (&anyone, "?ssl-mode=DISABLED", 0),
        (&anyone, "", 0),
        (&anyone, &verify_ca, 0),
        // Without an authority of its own the server's certificate is nobody's.
        (&anyone, "?ssl-mode=VERIFY_CA", 5),
        (&anyone, &verify_identity, 5),
        (&anyone, "?ssl-mode=VERIFY_CA&ssl-ca=/nowhere.pem", 5),
        (&anyone, "?ssl-mode=strict", 2),
        (&anyone, "?ssl_mode=REQUIRED", 2),
        (&only_tls, "?ssl-mode=DISABLED", 5),
        (&only_tls, "?ssl-mode=REQUIRED", 0),
        (&only_tls, &verify_ca, 0),
    ] {
        let place = Place::with_launcher(&format!("{url}{parameters}"), &open_today(), "");
        let ran = place.ran(&["gate"]);
        assert_eq!(ran.code, code, "{parameters}: {ran:?}");
        assert!(!ran.err.contains("geheim"), "{}", ran.err);
        assert_eq!(place.ticket().exists(), code == 0);
        let untrusted = parameters == "?ssl-mode=VERIFY_CA" || parameters == verify_identity;
        assert!(!untrusted || ran.err.contains("check `ssl-mode` and `ssl-ca`"), "{}", ran.err);
    }
}

#[tokio::test]
async fn the_password_may_be_in_a_file_of_its_own() {
    for server in BOTH {
        let launcher = TestLauncher::on(server).await;
        let without = launcher.reader().await.replace(&format!(":{PASSWORD}@"), "@");
        let place = Place::with_launcher(&without, &open_today(), "");
        place.ran(&["gate"]).with_code(5);
        let file = place.folder.path().join("password");
        std::fs::write(&file, format!("{PASSWORD}\n")).expect("written");
        let named = format!("password = {{ file = \"{}\" }}", file.display());
        place.configure(&super::place::with_launcher(&open_today(), &named));
        place.ran(&["gate"]).with_code(0);
    }
}
