//! Secrets: where they may come from, and where they may not be written.
//!
//! A secret is named in the configuration, `{ env = "NAME" }` or `{ file = "/path" }`, and read once.
//! Invariant: no fault repeats a secret, nor text in a place where people put one by mistake.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::document::{Section, Setting};
use super::{nearest, schema};
use crate::problem::{self, Problem};

/// Where named secrets are read from; tests bring their own.
pub trait SecretSource {
    /// The error says in a few words why there is none, such as `is not set`.
    fn variable(&self, name: &str) -> Result<SecretString, String>;
    /// The whole content of a file; the error is the reason.
    fn file(&self, path: &Path) -> Result<SecretString, String>;
}

/// The environment and the files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Machine;

impl SecretSource for Machine {
    fn variable(&self, name: &str) -> Result<SecretString, String> {
        // The error of the standard library repeats a value that is not Unicode.
        let value = std::env::var_os(name).ok_or("is not set")?;
        value.into_string().map(SecretString::from).map_err(|_| "is not valid Unicode".into())
    }

    fn file(&self, path: &Path) -> Result<SecretString, String> {
        std::fs::read_to_string(path).map(SecretString::from).map_err(|error| error.to_string())
    }
}

/// What differs between the URLs of a store, a launcher and a broker.
pub(super) struct UrlKind {
    pub known: &'static schema::Known,
    pub schemes: [&'static str; 2],
    pub no_url: &'static str,
    pub example: &'static str,
    /// Where else its password may be.
    pub elsewhere: &'static str,
    /// What may stand behind its `?`; empty where somebody else looks.
    pub parameters: &'static [&'static str],
}

const POSTGRES: UrlKind = UrlKind {
    known: &schema::URL,
    schemes: ["postgres://", "postgresql://"],
    no_url: " is not a postgres:// URL",
    example: "write postgres://user@host:5432/database",
    elsewhere: "PGPASSWORD or ~/.pgpass",
    parameters: &[
        "sslmode",
        "ssl-mode",
        "sslrootcert",
        "ssl-root-cert",
        "ssl-ca",
        "sslcert",
        "ssl-cert",
        "sslkey",
        "ssl-key",
        "host",
        "hostaddr",
        "port",
        "dbname",
        "user",
        "password",
        "application_name",
        "options",
        "statement-cache-capacity",
    ],
};

/// The same URLs, in another section.
const REGISTRY: UrlKind = UrlKind { known: &schema::REGISTRY_URL, ..POSTGRES };

const MYSQL: UrlKind = UrlKind {
    known: &schema::LAUNCHER_URL,
    schemes: ["mysql://", "mariadb://"],
    no_url: " is not a mysql:// URL",
    example: "write mysql://user@host:3306/database",
    elsewhere: "the URL itself in { env = \"…\" }",
    parameters: &[],
};

/// The `url` of a store: named, or plain text without a password.
pub(super) fn read_url(setting: &Setting<'_>, secrets: &dyn SecretSource) -> problem::Result<SecretString> {
    read_url_of(&POSTGRES, setting, secrets)
}

/// The `url` of the launcher, in the same forms.
pub(super) fn read_launcher_url(
    setting: &Setting<'_>,
    secrets: &dyn SecretSource,
) -> problem::Result<SecretString> {
    read_url_of(&MYSQL, setting, secrets)
}

/// The URL of the registry of owned data, in the same forms.
pub(super) fn read_registry_url(
    setting: &Setting<'_>,
    secrets: &dyn SecretSource,
) -> problem::Result<SecretString> {
    read_url_of(&REGISTRY, setting, secrets)
}

pub(super) fn read_url_of(
    kind: &UrlKind,
    setting: &Setting<'_>,
    secrets: &dyn SecretSource,
) -> problem::Result<SecretString> {
    let checked_url = |url, fault: &dyn Fn(&str) -> Problem| checked_url_of(kind, url, fault);
    if setting.value.get_ref().is_table() {
        let url = read_named(&setting.section(kind.known, &setting.place)?, secrets)?;
        return checked_url(url, &|said| setting.fault(said));
    }
    let needed = "text or { env = \"…\" } or { file = \"…\" }";
    let url = setting.text().map_err(|_| setting.wrong_type(needed))?;
    if url_has_password(url) {
        return Err(setting.fault(" holds a password, which does not belong in this file").hint(format!(
            "name the URL with {{ env = \"…\" }} or {{ file = \"…\" }}, or leave the password out of it and use `password`, {}",
            kind.elsewhere
        )));
    }
    checked_url(url.into(), &|said| setting.fault(said))
}

/// The `password` of a store, which is always named.
pub(super) fn read_password(
    setting: &Setting<'_>,
    secrets: &dyn SecretSource,
) -> problem::Result<SecretString> {
    let or_else = ", or leave it out and use PGPASSWORD or ~/.pgpass";
    read_password_of(&schema::PASSWORD, or_else, setting, secrets)
}

/// The `password` of the launcher.
pub(super) fn read_launcher_password(
    setting: &Setting<'_>,
    secrets: &dyn SecretSource,
) -> problem::Result<SecretString> {
    read_password_of(&schema::LAUNCHER_PASSWORD, "", setting, secrets)
}

fn read_password_of(
    known: &'static schema::Known,
    or_else: &str,
    setting: &Setting<'_>,
    secrets: &dyn SecretSource,
) -> problem::Result<SecretString> {
    if setting.value.get_ref().is_str() {
        return Err(setting
            .fault(" is written in plain text")
            .hint(format!("name it with {{ env = \"…\" }} or {{ file = \"…\" }}{or_else}")));
    }
    read_named(&setting.section(known, &setting.place)?, secrets)
}

/// A secret that is always named, of another section.
pub(super) fn read_secret(
    setting: &Setting<'_>,
    known: &'static schema::Known,
    secrets: &dyn SecretSource,
) -> problem::Result<SecretString> {
    if setting.value.get_ref().is_str() {
        let hint = "name it with { env = \"…\" } or { file = \"…\" }";
        return Err(setting.fault(" is written in plain text").hint(hint));
    }
    read_named(&setting.section(known, &setting.place)?, secrets)
}

/// Refuses what is no PostgreSQL URL, or one that would be cut in the middle of its password; `fault` adds the place to what it is told.
pub(super) fn checked_url(
    url: SecretString,
    fault: impl FnOnce(&str) -> Problem,
) -> problem::Result<SecretString> {
    checked_url_of(&POSTGRES, url, fault)
}

fn checked_url_of(
    kind: &UrlKind,
    url: SecretString,
    fault: impl FnOnce(&str) -> Problem,
) -> problem::Result<SecretString> {
    let text = url.expose_secret();
    if !kind.schemes.iter().any(|scheme| text.starts_with(scheme)) {
        return Err(fault(kind.no_url).hint(kind.example));
    }
    if has_at_behind_host(text) {
        return Err(fault(BROKEN_PASSWORD).hint(WHOLE_PASSWORD));
    }
    // Left out in silence, a slip would switch off the encryption.
    if let Some(unknown) = unknown_parameter(text, kind.parameters) {
        return Err(fault(&format!(" has the parameter `{unknown}`, which nobody knows"))
            .hint(nearest::hint(&unknown, kind.parameters.iter().copied())));
    }
    Ok(url)
}

const BROKEN_PASSWORD: &str = " has an `@` behind its first `/`, `?` or `#`, so that a part of a password could be taken for the host or the database";
const WHOLE_PASSWORD: &str = "percent-encode these characters (`/` is %2F, `@` is %40, `?` is %3F, `#` is %23), or leave the password out of the URL and use `password = { file = \"…\" }` or PGPASSWORD";

/// The name of the first parameter that is not among these; its value may be a secret.
fn unknown_parameter(url: &str, known: &[&str]) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let query = query.split('#').next().unwrap_or_default();
    let names =
        query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split('=').next().unwrap_or(pair));
    let is_known = |name: &str| known.is_empty() || known.contains(&name) || name.starts_with("options[");
    names.into_iter().find(|name| !is_known(name)).map(str::to_owned)
}

/// `postgres://me:12/ss@host/db` reads as the host `me`, its port 12 and the database `ss@host/db`, which
/// errors would show.
fn has_at_behind_host(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find(['/', '?', '#']).is_some_and(|end| rest[end..].contains('@'))
}

fn read_named(section: &Section<'_>, secrets: &dyn SecretSource) -> problem::Result<SecretString> {
    match (section.setting("env"), section.setting("file")) {
        (Some(env), None) => read_variable(&env, secrets),
        (None, Some(file)) => read_file(&file, secrets),
        _ => Err(section.fault("needs either `env` or `file`")),
    }
}

fn read_variable(setting: &Setting<'_>, secrets: &dyn SecretSource) -> problem::Result<SecretString> {
    let name = setting.text()?;
    if !is_variable_name(name) {
        return Err(setting.fault(" has to be the name of an environment variable"));
    }
    let missing = |why: String| {
        let hint = "set it for the account that runs timesweep, or name a file with { file = \"…\" }";
        setting.fault(format!(": the environment variable {name} {why}")).hint(hint)
    };
    let secret = secrets.variable(name).map_err(missing)?;
    if is_blank(&secret) { Err(missing("is empty".into())) } else { Ok(secret) }
}

fn read_file(setting: &Setting<'_>, secrets: &dyn SecretSource) -> problem::Result<SecretString> {
    // A file relative to where a scheduler happens to start us is not found, or another one.
    let path = Path::new(setting.text()?);
    if !path.is_absolute() {
        return Err(setting.fault(" has to be the absolute path of a file"));
    }
    let shown = path.display();
    let secret = secrets.file(path).map_err(|why| unreadable(setting, path).cause(why))?;
    let line = without_newline(&secret);
    if is_blank(&line) { Err(setting.fault(format!(": the file {shown} is empty"))) } else { Ok(line) }
}

fn unreadable(setting: &Setting<'_>, path: &Path) -> Problem {
    let hint = "the account that runs timesweep has to be able to read it";
    setting.fault(format!(": the file {} cannot be read", path.display())).hint(hint)
}

/// Editors end a file with a newline; it is not a part of the secret.
fn without_newline(secret: &SecretString) -> SecretString {
    let text = secret.expose_secret();
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    SecretString::from(text)
}

fn is_blank(secret: &SecretString) -> bool {
    secret.expose_secret().trim().is_empty()
}

fn is_variable_name(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.starts_with(letter) && text.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// Whether a URL carries a password, as `user:password@host` or as a parameter.
///
/// Where a URL is ambiguous (a password with an unescaped `/` looks like a port and a path) the
/// answer is yes: a false alarm costs a setting, a miss a secret.
pub fn url_has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let user = without_parameters(rest).rsplit_once('@').map_or("", |(user, _)| user);
    let in_user = user.split_once(':').is_some_and(|(_, password)| !password.is_empty());
    in_user || url.to_lowercase().contains("password=")
}

/// Cuts at the first `?` that a parameter follows; another one is a part of a password.
fn without_parameters(text: &str) -> &str {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_-.[]".contains(c);
    let starts_parameters = |at: &usize| {
        let name_end = text[at + 1..].find(|c| !is_name(c));
        name_end.is_some_and(|end| end > 0 && text[at + 1 + end..].starts_with('='))
    };
    let cut = text.match_indices('?').map(|(at, _)| at).find(starts_parameters);
    cut.map_or(text, |at| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_behind_the_question_mark_is_found_and_its_value_not_told() {
        let unknown = |url: &str| unknown_parameter(url, POSTGRES.parameters);
        assert_eq!(unknown("postgres://h/d?sslmod=verify-full"), Some("sslmod".into()));
        assert_eq!(unknown("postgres://h/d?sslmode=require&pasword=geheim"), Some("pasword".into()));
        for url in ["postgres://h/d", "postgres://h/d?", "postgres://h/d?sslmode=require&options[a]=1"] {
            assert_eq!(unknown(url), None, "{url}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_found() {
        for url in [
            "postgres://me:secret@host/db",
            "postgresql://me:secret@host:5432/db?sslmode=require",
            "postgres://:secret@host/db",
            "postgres://me:p@ss@host/db",
            "postgres://me:p/ss@host/db",
            "postgres://me:12/ss@host/db",
            "postgres://me:p?ss@host/db",
            "postgres://me:p#ss@host/db",
            "postgres://me:@ss/x@host/db",
            "postgres://host/db?password=secret",
            "postgres://host/db?sslmode=require&PassWord=secret",
            "me:secret@host/db",
            "host=h user=me password=secret",
        ] {
            assert!(url_has_password(url), "{url}");
        }
    }

    #[test]
    fn a_url_without_a_password_is_left_alone() {
        for url in [
            "postgres://host/db",
            "postgres://host:5432/db",
            "postgres://me@host:5432/db?application_name=a@b:c",
            "postgres://me@[::1]:5432/db",
            "postgres://me:@host/db",
            "postgres:///db?host=/var/run/postgresql&user=me",
            "",
        ] {
            assert!(!url_has_password(url), "{url}");
        }
    }

    #[test]
    fn a_url_that_would_be_cut_inside_its_password_is_refused_without_repeating_it() {
        for url in [
            "postgres://me:12/geheim@127.0.0.1:1/db",
            "postgresql://me:12?geheim@127.0.0.1:1/db",
            "postgres://me:12#geheim@127.0.0.1:1/db",
            "postgres://me:1@2/geheim@127.0.0.1:1/db",
            "postgres://me:/geheim@127.0.0.1:1/db",
            "postgres://me/geheim@127.0.0.1:1/db",
        ] {
            let given = || SecretString::from(url);
            let in_file = checked_url(given(), |said| Problem::usage(format!("`url`{said}"))).expect_err(url);
            let from_outside =
                crate::config::Config::from_command_line(given(), None, None, None).expect_err(url);
            for problem in [in_file, from_outside] {
                let shown = format!("{problem} {problem:?}");
                assert!(shown.contains("`@` behind") && shown.contains("%2F"), "{shown}");
                assert!(!shown.contains("geheim") && !shown.contains("127"), "{shown}");
            }
        }
    }

    #[test]
    fn a_url_with_an_encoded_password_is_used() {
        for url in [
            "postgres://me:12%2Fgeheim%40@127.0.0.1:1/db",
            "postgres://me:p@ss@host/db?sslmode=require",
            "postgres:///db?host=/var/run/postgresql&user=me",
            "postgres://host",
        ] {
            assert!(checked_url(url.into(), |said| Problem::usage(said)).is_ok(), "{url}");
        }
    }

    #[test]
    fn exactly_one_newline_is_no_part_of_a_secret() {
        for (content, secret) in [("a\n", "a"), ("a\r\n", "a"), ("a", "a"), ("a \n", "a "), ("a\n\n", "a\n")]
        {
            assert_eq!(without_newline(&content.into()).expose_secret(), secret);
        }
    }

    #[test]
    fn the_machine_says_why_there_is_no_secret() {
        let unset = Machine.variable("TIMESWEEP_NO_SUCH_VARIABLE").map(|_| ());
        assert_eq!(unset, Err("is not set".into()));
        let absent = Machine.file(Path::new("/nonexistent/secret")).map(|_| ());
        assert_eq!(absent, Err("No such file or directory (os error 2)".into()));
    }
}
