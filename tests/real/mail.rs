//! Reports by mail, against a real SMTP server: what arrives, and what happens where nothing gets through.
//!
//! A failed mail never fails the run: every run here ends with the exit code of its work alone.

mod later;
mod parts;

use std::path::{Path, PathBuf};

use super::support::TestDatabase;

pub const POLICY: &str =
    "[[policies]]\ntable = \"public.*\"\ndrop_after = \"3 days\"\n[caps]\nshare_of_bytes = \"100 %\"\n";

fn variable(name: &str) -> String {
    let name = format!("TIMESWEEP_TEST_SMTP_{name}");
    std::env::var(&name).unwrap_or_else(|_| panic!("{name} is not set; start the tests with dev/test"))
}

/// An address of this test alone; its first letters tell the server how to behave.
pub fn address(kind: &str) -> String {
    format!("{kind}-{}@example.org", uuid::Uuid::now_v7().simple())
}

/// Every mail that this address got, oldest first.
pub fn inbox(address: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(&variable("MAIL")).join(address);
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "eml"));
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a mail")).collect()
}

/// `[mail]` for these recipients, by STARTTLS with a login.
pub fn mail_section(to: &[&str]) -> String {
    section(to, "starttls", &variable("STARTTLS_PORT"), &variable("CA"), true)
}

fn section(to: &[&str], security: &str, port: &str, ca: &str, login: bool) -> String {
    let login = if login { "user = \"timesweep\"\npassword = { env = \"MAIL_PASSWORD\" }\n" } else { "" };
    let ca = if security == "none" { String::new() } else { format!("ca_file = {ca:?}\n") };
    format!(
        "[mail]\nhost = \"127.0.0.1\"\nport = {port}\nsecurity = \"{security}\"\n{login}{ca}\
         from = \"timesweep <timesweep@example.org>\"\nto = {to:?}\n"
    )
}

/// The program with the mail server's password in its environment.
pub fn command(database: &TestDatabase, arguments: &[&str]) -> std::process::Command {
    let mut command = database.timesweep(arguments);
    command.env("MAIL_PASSWORD", variable("PASSWORD"));
    command
}

pub fn ran(database: &TestDatabase, arguments: &[&str]) -> super::support::Ran {
    let output = command(database, arguments).output().expect("timesweep starts");
    let ran = super::support::Ran::from(output);
    let password = variable("PASSWORD");
    assert!(!ran.out.contains(&password) && !ran.err.contains(&password), "the password is printed");
    ran
}

/// Mails that wait for the next run.
pub fn outbox(database: &TestDatabase) -> usize {
    std::fs::read_dir(database.file("outbox")).map_or(0, Iterator::count)
}
