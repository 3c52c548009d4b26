//! What does not get through: it waits, it is told, and the run ends as if nothing had happened.

use std::time::{Duration, Instant};

use super::{POLICY, address, command, inbox, mail_section, outbox, ran, section, variable};
use crate::real::support::{Ran, TestDatabase};

async fn with_a_table() -> TestDatabase {
    let database = TestDatabase::new().await;
    database.daily_table("t", 8).await;
    database
}

/// Runs with this section; the work is done whatever becomes of the mail.
#[track_caller]
fn run_with(database: &TestDatabase, mail: &str) -> Ran {
    database.configuration(&(mail.to_owned() + POLICY));
    let ran = ran(database, &["run", "--apply"]).with_code(0);
    assert!(ran.out.contains(": done\n") || ran.out.contains(": nothing to do\n"), "{}", ran.out);
    ran
}

#[tokio::test]
async fn a_server_that_says_later_gets_the_mail_from_the_next_run() {
    let database = with_a_table().await;
    // Three times: as often as one run tries.
    let to = address("later3");
    let first = run_with(&database, &mail_section(&[&to]));
    assert!(first.out.contains("come back later") && first.out.contains("is kept in"), "{}", first.out);
    assert_eq!((inbox(&to).len(), outbox(&database)), (0, 1));
    let second = run_with(&database, &mail_section(&[&to]));
    assert!(!second.out.contains("warning: the mail"), "{}", second.out);
    assert_eq!((inbox(&to).len(), outbox(&database)), (2, 0));
}

#[tokio::test]
async fn a_server_that_is_away_gets_the_mail_when_it_is_back() {
    let database = with_a_table().await;
    let to = address("dba");
    let away = section(&[&to], "none", "1", "", false);
    let first = run_with(&database, &away);
    assert!(first.out.contains("127.0.0.1:1 cannot be used"), "{}", first.out);
    let second = run_with(&database, &away);
    assert!(second.out.contains("1 mail of an earlier run waits"), "{}", second.out);
    assert_eq!(outbox(&database), 2);
    run_with(&database, &mail_section(&[&to]));
    assert_eq!((inbox(&to).len(), outbox(&database)), (3, 0));
}

#[tokio::test]
async fn a_report_that_is_sent_again_while_it_waits_waits_once() {
    let database = with_a_table().await;
    let to = address("dba");
    let away = section(&[&to], "none", "1", "", false);
    run_with(&database, &away);
    for _ in 0..2 {
        ran(&database, &["report", "--mail"]).with_code(5);
        assert_eq!(outbox(&database), 1);
    }
    let kept = ran(&database, &["report"]).with_code(0).out;
    assert!(kept.contains("127.0.0.1:1 cannot be used"), "the journal knows that the mail waits: {kept}");
    database.configuration(&(mail_section(&[&to]) + POLICY));
    ran(&database, &["report", "--mail"]).with_code(0);
    assert_eq!((inbox(&to).len(), outbox(&database)), (1, 0));
}

/// A run of tomorrow may be skipped, and the next one that works is a week away.
#[tokio::test]
async fn what_waits_is_sent_by_a_skipped_run_and_by_a_report_that_is_sent_again() {
    let closed = "[gate]\nvm_name = \"pg1\"\nnot_on = [";
    let days: Vec<String> = (-1..=1)
        .map(|days| {
            jiff::Timestamp::now()
                .to_zoned(jiff::tz::TimeZone::UTC)
                .date()
                .saturating_add(jiff::Span::new().days(days))
        })
        .map(|day| format!("\"{day}\""))
        .collect();
    let gate = format!("{closed}{}]\n", days.join(", "));
    let database = with_a_table().await;
    let to = address("dba");
    run_with(&database, &section(&[&to], "none", "1", "", false));
    assert_eq!((inbox(&to).len(), outbox(&database)), (0, 1));
    // Still away: it is told, also where nobody is told about a skip.
    database.configuration(&(section(&[&to], "none", "1", "", false) + &gate + POLICY));
    let skipped = ran(&database, &["run", "--apply", "--scheduler", "cron"]).with_code(0);
    assert!(
        skipped.err.contains("1 mail of an earlier run waits in ") && skipped.err.contains("127.0.0.1:1"),
        "{skipped:?}"
    );
    database.configuration(&(mail_section(&[&to]) + &gate + POLICY));
    let skipped = ran(&database, &["run", "--apply", "--scheduler", "cron"]).with_code(0);
    assert_eq!((skipped.out.as_str(), skipped.err.as_str()), ("", ""));
    assert_eq!((inbox(&to).len(), outbox(&database)), (1, 0), "the report of the run that worked");

    let database = with_a_table().await;
    let to = address("dba");
    run_with(&database, &section(&[&to], "none", "1", "", false));
    let no_place = ran(&database, &["report", "--html", "/nonexistent/report.html"]).with_code(2);
    assert!(no_place.err.contains("cannot be written"), "{}", no_place.err);
    database.configuration(&(mail_section(&[&to, &address("never")]) + POLICY));
    let partly = ran(&database, &["report", "--mail"]).with_code(3);
    assert!(partly.err.contains("the mail reached 1 of 2 recipients"), "{}", partly.err);
    assert_eq!((inbox(&to).len(), outbox(&database)), (1, 1), "once");
    std::fs::remove_dir_all(database.file("outbox")).expect("removed");

    let database = with_a_table().await;
    let to = address("dba");
    run_with(&database, &section(&[&to], "none", "1", "", false));
    database.configuration(&(mail_section(&[&to]) + POLICY));
    let sent = ran(&database, &["report", "--mail"]).with_code(0);
    assert!(!sent.err.contains("earlier runs"), "{}", sent.err);
    assert_eq!((inbox(&to).len(), outbox(&database)), (1, 0), "once");
}

#[tokio::test]
async fn a_refused_recipient_keeps_the_mail_from_nobody_else() {
    let database = with_a_table().await;
    let (never, good) = (address("never"), address("dba"));
    let ran = run_with(&database, &mail_section(&[&never, &good]));
    assert!(ran.out.contains(&format!("the mail to {never} was not sent")), "{}", ran.out);
    assert!(ran.out.contains("nobody of that name is here"), "{}", ran.out);
    assert_eq!((inbox(&good).len(), outbox(&database)), (1, 1));
}

#[tokio::test]
async fn a_server_that_hangs_holds_the_run_for_a_bounded_time() {
    let database = with_a_table().await;
    let (hang, good) = (address("hang"), address("dba"));
    let began = Instant::now();
    let ran = run_with(&database, &mail_section(&[&hang, &good]));
    assert!(began.elapsed() < Duration::from_mins(1), "{:?}", began.elapsed());
    assert!(ran.out.contains("did not answer within"), "{}", ran.out);
    assert_eq!((inbox(&good).len(), outbox(&database)), (1, 1));
}

/// Cut off before the mail is sent, and between the server's answer and ours.
#[tokio::test]
async fn a_run_that_is_killed_while_it_mails_loses_no_mail_and_doubles_it_once_at_most() {
    for (point, before, copies) in [("mail-kept", 0, 1), ("mail-sent", 1, 2)] {
        let database = with_a_table().await;
        let to = address("dba");
        database.configuration(&(mail_section(&[&to]) + POLICY));
        let mut killed = command(&database, &["run", "--apply"]);
        let status = killed.env("TIMESWEEP_KILL_AT", point).output().expect("timesweep starts").status;
        assert_eq!(status.code(), None, "{point}");
        assert_eq!((inbox(&to).len(), outbox(&database)), (before, 1), "{point}");
        run_with(&database, &mail_section(&[&to]));
        let ids: Vec<String> = inbox(&to).iter().map(|mail| message_id(mail)).collect();
        let first = ids.iter().filter(|id| **id != ids[before]).count();
        assert_eq!((ids.len(), first, outbox(&database)), (copies + 1, copies, 0), "{point}: {ids:?}");
    }
}

fn message_id(mail: &[u8]) -> String {
    let mail = mail_parser::MessageParser::default().parse(mail).expect("a mail");
    mail.message_id().expect("an id").to_owned()
}

#[tokio::test]
async fn a_server_that_is_not_trusted_gets_neither_password_nor_mail() {
    let database = with_a_table().await;
    let to = address("dba");
    for (security, port) in [("starttls", "STARTTLS_PORT"), ("tls", "TLS_PORT")] {
        let wrong = section(&[&to], security, &variable(port), &variable("OTHER_CA"), true);
        let ran = run_with(&database, &wrong);
        assert!(ran.out.contains("certificate"), "{security}: {}", ran.out);
    }
    assert_eq!(inbox(&to).len(), 0);
}

#[tokio::test]
async fn a_wrong_password_is_told_once_and_shown_never() {
    let database = with_a_table().await;
    let to = address("dba");
    database.configuration(&(mail_section(&[&to, &address("dba")]) + POLICY));
    let mut command = database.timesweep(&["run", "--apply"]);
    let output = command.env("MAIL_PASSWORD", "geheim-und-falsch").output().expect("timesweep starts");
    let ran = Ran::from(output).with_code(0);
    assert!(ran.out.contains("535"), "{}", ran.out);
    assert!(!ran.out.contains("geheim") && !ran.err.contains("geheim"), "{ran:?}");
    assert_eq!((inbox(&to).len(), outbox(&database)), (0, 2));
    for entry in std::fs::read_dir(database.file("outbox")).expect("the outbox") {
        let mail = std::fs::read(entry.expect("an entry").path()).expect("a mail");
        assert!(!String::from_utf8_lossy(&mail).contains("geheim"));
    }
}
