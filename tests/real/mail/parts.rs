//! What arrives: in each way of protection, for each kind of end, and as files.

use std::process::Command;

use mail_parser::{Message, MessageParser, MimeHeaders};

use super::{POLICY, address, command, inbox, mail_section, outbox, ran, section, variable};
use crate::real::at_work::{AtWork, RULES};
use crate::real::support::{Ran, TestDatabase};

fn parsed(mail: &[u8]) -> Message<'_> {
    MessageParser::default().parse(mail).expect("a mail")
}

fn subject(mail: &[u8]) -> String {
    parsed(mail).subject().expect("a subject").to_owned()
}

#[tokio::test]
async fn the_mail_arrives_by_starttls_by_tls_and_in_the_clear() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 8).await;
    let ca = variable("CA");
    for (security, port, login) in
        [("starttls", "STARTTLS_PORT", true), ("tls", "TLS_PORT", true), ("none", "PORT", false)]
    {
        let to = address("dba");
        database.configuration(&(section(&[&to], security, &variable(port), &ca, login) + POLICY));
        let done = ran(&database, &["run", "--apply"]).with_code(0);
        assert!(!done.out.contains("warning: the mail"), "{security}: {}", done.out);
        assert_eq!((inbox(&to).len(), outbox(&database)), (1, 0), "{security}");
    }
}

#[tokio::test]
async fn the_mail_is_what_was_promised_whatever_a_table_is_called() {
    let database = TestDatabase::new().await;
    database.daily_table("\"Größe <b>\"", 8).await;
    let to = address("dba");
    database.configuration(&(mail_section(&[&to]) + "title = \"Wöchentlich\"\n" + POLICY));
    let done = ran(&database, &["run", "--apply"]).with_code(0);
    let mails = inbox(&to);
    let mail = parsed(&mails[0]);
    let said = mail.subject().expect("a subject");
    assert!(said.starts_with("[OK] Wöchentlich main/test_") && said.contains(": 4 chunks, "), "{said}");
    let text = mail.body_text(0).expect("a text").replace("\r\n", "\n");
    assert_eq!(text.trim_end(), done.out.trim_end());
    let page = mail.body_html(0).expect("a page");
    assert!(page.contains("Größe &#60;b&#62;") || page.contains("Größe &lt;b&gt;"), "{page}");
    let json = mail.parts.iter().find(|part| part.is_content_type("application", "json")).expect("JSON");
    let report: serde_json::Value = serde_json::from_slice(json.contents()).expect("JSON");
    assert_eq!(report["verdict"], "done");
    for part in mail.parts.iter().filter(|part| part.is_content_type("image", "png")) {
        let id = part.content_id().expect("an id");
        assert!(page.contains(&format!("cid:{id}")) && part.contents().starts_with(b"\x89PNG"), "{id}");
    }
}

#[tokio::test]
async fn a_run_that_could_not_begin_is_mailed_as_well() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 8).await;
    let to = address("dba");
    database.configuration(&(mail_section(&[&to]) + POLICY));
    let mut away = command(&database, &["run", "--apply"]);
    away.env("TEST_DATABASE_URL", "postgres://me@127.0.0.1:1/db");
    Ran::from(away.output().expect("timesweep starts")).with_code(5);
    let mails = inbox(&to);
    let said = subject(&mails[0]);
    assert!(said.starts_with("[UNREACHABLE] weekly drop main (127.0.0.1:1/db): "), "{said}");
    let text = parsed(&mails[0]).body_text(0).expect("a text").into_owned();
    assert!(text.contains("nothing was dropped"), "{text}");
    let mut report = command(&database, &["report"]);
    report.env("TEST_DATABASE_URL", "postgres://me@127.0.0.1:1/db");
    let last = Ran::from(report.output().expect("timesweep starts")).with_code(0).out;
    assert_eq!(
        last.trim_end(),
        text.replace("\r\n", "\n").trim_end(),
        "the run that was mailed is the last one"
    );
}

#[tokio::test]
async fn a_run_that_finds_another_at_work_says_so_by_mail() {
    let database = TestDatabase::new().await;
    let to = address("dba");
    let mail = section(&[&to], "none", &variable("PORT"), "", false);
    database.configuration(&(RULES.to_owned() + &mail));
    let mut first = AtWork::start(&database).await;
    ran(&database, &["run", "--apply"]).with_code(75);
    let said = subject(&inbox(&to)[0]);
    assert!(said.starts_with("[BUSY] weekly drop main (127.0.0.1:"), "{said}");
    assert!(said.contains(&format!("/{}): another run holds the lock", database.name)), "{said}");
    first.unlock().await;
    first.ended().with_code(0);
    assert!(subject(&inbox(&to)[1]).starts_with("[OK] "));
}

#[tokio::test]
async fn a_closed_gate_is_mailed_only_where_that_is_asked_for() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 8).await;
    let to = address("dba");
    let closed = "[gate]\nvm_name = \"pg1\"\ndays = [\"mon\"]\nnot_on = [";
    // Whatever day it is, and also if it is another one by the time the program asks.
    let days: Vec<String> = (-1..=1)
        .map(|days| jiff::Zoned::now().date().saturating_add(jiff::Span::new().days(days)))
        .map(|day| format!("\"{day}\""))
        .collect();
    let gate = format!("{closed}{}]\n", days.join(", "));
    for (on, mails) in [("", 0), ("on = \"trouble\"\n", 0), ("on = \"always\"\n", 1)] {
        let mail = mail_section(&[&to]) + on;
        database.configuration(&(mail + &gate + POLICY));
        ran(&database, &["run", "--apply"]).with_code(0);
        assert_eq!(inbox(&to).len(), mails, "{on}");
    }
    let said = subject(&inbox(&to)[0]);
    assert!(said.starts_with("[SKIPPED] weekly drop main (127.0.0.1:"), "{said}");
}

/// Found out late, at the database: no guard has refused anything.
#[tokio::test]
async fn a_wrong_configuration_is_not_mailed_as_a_refusal() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 3).await;
    let to = address("dba");
    database.configuration(&(mail_section(&[&to]) + &POLICY.replace("public.*", "public.tt")));
    ran(&database, &["run", "--apply"]).with_code(2);
    let said = subject(&inbox(&to)[0]);
    assert!(said.starts_with("[MISCONFIGURED] weekly drop main (127.0.0.1:"), "{said}");
    assert!(said.contains("): there is no table public.tt"), "{said}");
}

#[tokio::test]
async fn a_wrong_security_is_named_as_the_setting_it_is() {
    let database = TestDatabase::new().await;
    let (to, ca) = (address("dba"), variable("CA"));
    for (security, port, hint) in [
        ("starttls", "TLS_PORT", "set `security` of [mail] to `tls`"),
        ("starttls", "PORT", "it offers no STARTTLS; "),
        ("tls", "STARTTLS_PORT", "set `security` of [mail] to `starttls`"),
    ] {
        database.configuration(&section(&[&to], security, &variable(port), &ca, false));
        let checked = ran(&database, &["check"]).with_code(5).out;
        assert!(checked.contains("error: no mail can be sent: ") && checked.contains(hint), "{checked}");
    }
}

#[tokio::test]
async fn check_tries_the_mail_server_and_the_folder_and_sends_nothing() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 3).await;
    let to = address("dba");
    let reports = database.file("reports");
    let folder = format!("[report]\nfolder = {:?}\n", reports.display().to_string());
    database.configuration(&(mail_section(&[&to]) + &folder + POLICY));
    let checked = ran(&database, &["check"]).with_code(5).out;
    let place = format!("127.0.0.1:{}", variable("STARTTLS_PORT"));
    assert!(checked.contains(&format!("  mail: {place} lets us in (starttls, as timesweep)\n")), "{checked}");
    let missing = format!("error: reports cannot be kept in {}: No such file", reports.display());
    assert!(checked.contains(&missing), "{checked}");

    std::fs::create_dir(&reports).expect("a folder");
    let no_trust = mail_section(&[&to]).replace(&format!("ca_file = {:?}\n", variable("CA")), "");
    database.configuration(&(no_trust + &folder + POLICY));
    let checked = ran(&database, &["check"]).with_code(5).out;
    assert!(checked.contains("error: no mail can be sent: ") && checked.contains("`ca_file`"), "{checked}");
    assert!(!checked.contains("reports cannot be kept"), "{checked}");
    assert_eq!(std::fs::read_dir(&reports).expect("the folder").count(), 0, "nothing is left there");

    let mut stranger = database.timesweep(&["check"]);
    database.configuration(&(mail_section(&[&to]) + &folder + POLICY));
    stranger.env("MAIL_PASSWORD", "wrong");
    let checked = Ran::from(stranger.output().expect("timesweep starts")).with_code(5).out;
    assert!(checked.contains("error: no mail can be sent: ") && checked.contains("535"), "{checked}");
    assert_eq!(inbox(&to).len(), 0);
}

#[tokio::test]
async fn only_trouble_is_mailed_where_that_is_asked_for() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 8).await;
    let to = address("dba");
    let only_trouble = mail_section(&[&to]) + "on = \"trouble\"\n";
    database.configuration(&(only_trouble.clone() + POLICY));
    ran(&database, &["run", "--apply"]).with_code(0);
    assert_eq!(inbox(&to).len(), 0);
    // Of the four days that are left the policy would drop three: more than the cap.
    let caps = POLICY.replace("3 days", "1 day").replace("100 %", "10 %");
    database.configuration(&(only_trouble + &caps));
    ran(&database, &["run", "--apply"]).with_code(4);
    let said = subject(&inbox(&to)[0]);
    assert!(said.starts_with("[REFUSED] ") && said.contains("1 table refused"), "{said}");
}

#[tokio::test]
async fn a_report_can_be_sent_once_more_and_saved_as_a_page() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 8).await;
    let to = address("dba");
    database.configuration(&(mail_section(&[&to]) + POLICY));
    ran(&database, &["run", "--apply"]).with_code(0);
    let again = ran(&database, &["report", "--mail", "--html", "page.html"]).with_code(0);
    assert!(again.err.contains(&format!("sent to {to}")) && again.out.is_empty(), "{again:?}");
    let mails = inbox(&to);
    assert_eq!(mails.len(), 2);
    let id = |mail: &[u8]| parsed(mail).message_id().expect("an id").to_owned();
    assert_ne!(id(&mails[0]), id(&mails[1]));
    assert_eq!(subject(&mails[0]), subject(&mails[1]));
    let page = std::fs::read_to_string(database.file("page.html")).expect("a page");
    assert!(page.contains("[OK] weekly drop main/") && !page.contains("cid:"), "{page}");
    database.configuration(POLICY);
    let without = ran(&database, &["report", "--mail"]).with_code(2);
    assert!(without.err.contains("says nothing about mail"), "{}", without.err);
}

#[tokio::test]
async fn reports_are_kept_as_files_and_a_folder_that_is_gone_fails_no_run() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 8).await;
    let folder = database.file("reports");
    let section = format!("[report]\nfolder = {:?}\n", folder.display().to_string());
    let to = address("dba");
    database.configuration(&(mail_section(&[&to]) + &section + POLICY));
    let gone = ran(&database, &["run", "--apply"]).with_code(0);
    assert!(gone.out.contains("warning: the report is not in "), "{}", gone.out);
    let text = parsed(&inbox(&to)[0]).body_text(0).expect("a text").into_owned();
    assert!(text.contains("warning: the report is not in "), "{text}");
    std::fs::create_dir(&folder).expect("a folder");
    ran(&database, &["run", "--apply"]).with_code(0);
    let mut endings: Vec<String> = std::fs::read_dir(&folder)
        .expect("the folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .rsplit('.')
                .next()
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    endings.sort();
    assert_eq!(endings, ["html", "json", "txt"]);
}

/// No file may grow beyond 40 kilobytes, which is what a full disk looks like to a page of more.
#[tokio::test]
async fn a_full_disk_leaves_no_half_page() {
    let database = TestDatabase::new().await;
    database
        .run(
            "DO $$ BEGIN FOR number IN 1..240 LOOP
               EXECUTE format('CREATE TABLE t_%s (ts timestamptz NOT NULL)', number);
               PERFORM create_hypertable(format('t_%s', number), 'ts');
             END LOOP; END $$",
        )
        .await;
    database.configuration(POLICY);
    ran(&database, &["run", "--apply"]).with_code(0);
    let report = |limit: &str| {
        let command = format!(
            "trap '' XFSZ; ulimit -f {limit}; exec \"$0\" --config timesweep.toml report --html page.html"
        );
        let mut shell = Command::new("bash");
        shell.args(["-c", &command]).arg(database.timesweep(&[]).get_program());
        shell.current_dir(database.file("")).env("TEST_DATABASE_URL", &database.url);
        Ran::from(shell.output().expect("bash starts"))
    };
    let full = report("40").with_code(5);
    assert!(full.err.contains("page.html cannot be written"), "{}", full.err);
    let left = std::fs::read_dir(database.file("")).expect("the folder");
    let is_page = |name: std::ffi::OsString| name.to_string_lossy().contains("page");
    assert!(!left.map(|entry| entry.expect("an entry").file_name()).any(is_page));
    report("unlimited").with_code(0);
    assert!(std::fs::metadata(database.file("page.html")).expect("a page").len() > 40 * 1024);
}
