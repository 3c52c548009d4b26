//! `[mail]` and `[report]`: where reports go.
//!
//! Invariant: a login is only ever sent over TLS, and every address is one that mail can be sent to.

use std::path::{Path, PathBuf};

use lettre::message::Mailbox;
use secrecy::SecretString;

use super::document::{Section, Setting};
use super::schema;
use super::secret::{self, SecretSource};
use crate::problem::{Problem, Result};

/// What a run is called where nobody says otherwise.
pub const DEFAULT_TITLE: &str = "weekly drop";

/// The server that reports are handed to, and who gets them.
#[derive(Debug, Clone)]
pub struct MailSettings {
    pub host: String,
    pub port: u16,
    pub security: Security,
    pub login: Option<Login>,
    pub from: Mailbox,
    /// At least one; each gets a mail of its own, so that one bad address does not keep it from the others.
    pub to: Vec<Mailbox>,
    /// Certificates (PEM) to trust instead of this machine's.
    pub ca_file: Option<PathBuf>,
    pub on: MailOn,
    /// What the run is called in the subject.
    pub title: String,
}

#[derive(Debug, Clone)]
pub struct Login {
    pub user: String,
    pub password: SecretString,
}

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Security {
    /// Begins in the clear and has to become TLS before anything is said.
    #[default]
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// Nothing is encrypted; no login is possible.
    None,
}

impl Security {
    /// As it is written in the configuration.
    pub fn word(self) -> &'static str {
        SECURITIES.iter().find(|(_, security)| *security == self).map_or("", |(word, _)| word)
    }

    fn default_port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Tls => 465,
            Self::None => 25,
        }
    }
}

/// Which runs are mailed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MailOn {
    /// Closed gates as well.
    Always,
    /// Runs that looked at the database, or tried to.
    #[default]
    Runs,
    /// Only runs that did not do everything they were to do.
    Trouble,
}

/// Where reports are kept as files, besides the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportSettings {
    pub folder: Option<PathBuf>,
}

const SECURITIES: [(&str, Security); 3] =
    [("starttls", Security::StartTls), ("tls", Security::Tls), ("none", Security::None)];
const OCCASIONS: [(&str, MailOn); 3] =
    [("always", MailOn::Always), ("runs", MailOn::Runs), ("trouble", MailOn::Trouble)];

pub(super) fn read_report(top: &Section<'_>) -> Result<ReportSettings> {
    let Some(section) = top.section("report", &schema::REPORT)? else { return Ok(ReportSettings::default()) };
    Ok(ReportSettings { folder: section.read("folder", absolute)? })
}

pub(super) fn read(top: &Section<'_>, secrets: &dyn SecretSource) -> Result<Option<MailSettings>> {
    let Some(section) = top.section("mail", &schema::MAIL)? else { return Ok(None) };
    let security = section.read("security", |setting| setting.choice(&SECURITIES))?.unwrap_or_default();
    let port = section.read("port", |setting| setting.number(1..=65_535))?;
    let ca_file = section.read("ca_file", absolute)?;
    let on = section.read("on", |setting| setting.choice(&OCCASIONS))?;
    let title = section.read("title", title)?;
    let (host, from, to) = (host(&section)?, sender(&section)?, recipients(&section)?);
    Ok(Some(MailSettings {
        host,
        port: port.unwrap_or_else(|| security.default_port()),
        security,
        login: login(&section, security, secrets)?,
        from,
        to,
        ca_file,
        on: on.unwrap_or_default(),
        title: title.unwrap_or_else(|| DEFAULT_TITLE.into()),
    }))
}

fn host(section: &Section<'_>) -> Result<String> {
    let host = section.read("host", |setting| {
        let host = setting.text()?.trim();
        let is_name = |c: char| c.is_ascii_alphanumeric() || ".-:".contains(c);
        let plain = !host.is_empty() && host.chars().all(is_name);
        if plain { Ok(host.to_owned()) } else { Err(setting.fault(" has to be a host name or an address")) }
    })?;
    host.ok_or_else(|| section.fault("has no `host`").hint("add host = \"mail.example.org\""))
}

fn sender(section: &Section<'_>) -> Result<Mailbox> {
    let from = section.read("from", |setting| setting.parsed(address))?;
    from.ok_or_else(|| section.fault("has no `from`").hint("add from = \"timesweep@example.org\""))
}

fn recipients(section: &Section<'_>) -> Result<Vec<Mailbox>> {
    let required = |problem: Problem| {
        let is_empty = problem.sentence.ends_with(" is an empty list");
        if is_empty { problem.hint("add to = [\"dba@example.org\"]") } else { problem }
    };
    let to = section.read("to", |setting| setting.list_of(address).map_err(required))?;
    to.ok_or_else(|| section.fault("names nobody in `to`").hint("add to = [\"dba@example.org\"]"))
}

fn login(section: &Section<'_>, security: Security, secrets: &dyn SecretSource) -> Result<Option<Login>> {
    let user = section.read("user", |setting| setting.text().map(str::to_owned))?;
    let password =
        section.read("password", |setting| secret::read_secret(setting, &schema::MAIL_PASSWORD, secrets))?;
    let (user, password) = match (user, password) {
        (None, None) => return Ok(None),
        (Some(user), Some(password)) => (user, password),
        (Some(_), None) => return Err(section.fault("has a `user` and no `password`")),
        (None, Some(_)) => return Err(section.fault("has a `password` and no `user`")),
    };
    if security == Security::None {
        return Err(section
            .fault("would send its password in the clear")
            .hint("use security = \"starttls\" or \"tls\", or leave `user` and `password` out"));
    }
    Ok(Some(Login { user, password }))
}

fn title(setting: &Setting<'_>) -> Result<String> {
    let title = setting.text()?.trim();
    let plain = !title.is_empty() && title.chars().count() <= 60 && !title.contains(char::is_control);
    if plain { Ok(title.to_owned()) } else { Err(setting.fault(" has to be 1 to 60 letters on one line")) }
}

fn address(text: &str) -> std::result::Result<Mailbox, String> {
    text.trim().parse().map_err(|_| {
        format!("`{text}` is not a mail address; write `dba@example.org` or `DBA <dba@example.org>`")
    })
}

fn absolute(setting: &Setting<'_>) -> Result<PathBuf> {
    let path = Path::new(setting.text()?);
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    Err(setting.fault(format!(": `{}` is not an absolute path", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::collections::BTreeMap;

    struct Variables(BTreeMap<&'static str, &'static str>);

    impl SecretSource for Variables {
        fn variable(&self, name: &str) -> std::result::Result<SecretString, String> {
            self.0.get(name).map(|value| SecretString::from(*value)).ok_or_else(|| "is not set".into())
        }

        fn file(&self, _path: &Path) -> std::result::Result<SecretString, String> {
            Err("no files here".into())
        }
    }

    fn parse(mail: &str) -> Result<Config> {
        let text = format!("[stores.main]\nurl = \"postgres://me@host/db\"\n[mail]\n{mail}");
        Config::parse(&text, "test.toml", &Variables(BTreeMap::from([("MAIL", "geheim")])))
    }

    const LEAST: &str = "host = \"mail.example.org\"\nfrom = \"a@example.org\"\nto = [\"b@example.org\"]\n";

    #[test]
    fn three_settings_are_enough() {
        let mail = parse(LEAST).expect("settings").mail.expect("mail");
        assert_eq!((mail.port, mail.security, mail.on), (587, Security::StartTls, MailOn::Runs));
        assert_eq!(mail.title, DEFAULT_TITLE);
        assert!(mail.login.is_none() && mail.ca_file.is_none());
    }

    #[test]
    fn the_port_follows_the_protection() {
        for (security, port) in [("starttls", 587), ("tls", 465), ("none", 25)] {
            let mail = parse(&format!("{LEAST}security = \"{security}\"")).expect("settings").mail;
            assert_eq!(mail.expect("mail").port, port, "{security}");
        }
    }

    #[test]
    fn a_login_is_not_shown_and_goes_over_tls_only() {
        let login = format!("{LEAST}user = \"me\"\npassword = {{ env = \"MAIL\" }}\n");
        let config = parse(&login).expect("settings");
        assert!(!format!("{config:?}").contains("geheim"));
        let problem = parse(&format!("{login}security = \"none\"")).expect_err("in the clear");
        assert!(problem.sentence.contains("in the clear"), "{problem}");
    }

    #[test]
    fn what_cannot_be_mailed_is_refused_with_its_place() {
        for (settings, said) in [
            ("", "[mail] has no `host`"),
            ("host = \"h\"", "[mail] has no `from`"),
            ("host = \"h\"\nfrom = \"a@b.c\"", "[mail] names nobody in `to`"),
            ("host = \"h\"\nfrom = \"a@b.c\"\nto = []", "`to` of [mail] is an empty list"),
            ("host = \"h\"\nfrom = \"nobody\"", "`from` of [mail]: `nobody` is not a mail address"),
            ("host = \"h\"\nfrom = \"a@b.c\"\nto = [\"x\"]", "`to` of [mail]: `x` is not a mail address"),
            ("host = \"h\"\nfrom = \"a@b.c\"\nto = \"x@y.z\"", "`to` of [mail] has to be a list"),
            ("host = \"smtp://h\"", "`host` of [mail] has to be a host name"),
            ("port = 70000", "`port` of [mail]: 70000 is too large"),
            ("security = \"ssl\"", "`security` of [mail]: there is no `ssl`"),
            ("ca_file = \"ca.pem\"", "`ca_file` of [mail]: `ca.pem` is not an absolute path"),
            ("title = \"a\\nb\"", "`title` of [mail] has to be 1 to 60 letters"),
        ] {
            let problem = parse(settings).expect_err(settings);
            assert!(problem.sentence.contains(said), "{settings}: {problem}");
            assert!(!problem.to_string().contains("geheim"), "{problem}");
        }
        let plain = parse(&format!("{LEAST}password = \"geheim\"")).expect_err("a plain password");
        assert!(plain.sentence.contains("`password` of [mail] is written in plain text"), "{plain}");
        assert!(!plain.to_string().contains("geheim"), "{plain}");
        let half = parse(&format!("{LEAST}user = \"me\"")).expect_err("half a login");
        assert!(half.sentence.contains("has a `user` and no `password`"), "{half}");
    }
}
