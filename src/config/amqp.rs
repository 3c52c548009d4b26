//! `[amqp]`: the broker that tells of deletions, and where results of tasks are told, if at all.
//!
//! Invariant: settings that are built name a broker, a user, a virtual host, and queues that differ.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::document::{Section, Setting};
use super::schema::{self, Known};
use super::secret::{self, SecretSource, UrlKind};
use super::set_in::SetIn;
use super::state::absolute_path;
use crate::problem::Result;

const DEFAULT_DELETIONS: &str = "job_deletions";
const DEFAULT_RESULTS: &str = "omotes_task_result_events";
const DEFAULT_DEAD_LETTERS: &str = "timesweep_dead_letters";

#[derive(Debug, Clone)]
pub struct AmqpSettings {
    pub broker: BrokerSettings,
    /// The queue that deletions of jobs come through.
    pub deletions: String,
    /// Where what nobody can read is kept: a queue of our own, on the broker that it came from.
    pub dead_letters: String,
    pub results: Option<ResultsSettings>,
}

/// The results of tasks, usually on another virtual host.
#[derive(Debug, Clone)]
pub struct ResultsSettings {
    pub broker: BrokerSettings,
    pub queue: String,
}

#[derive(Debug, Clone)]
pub struct BrokerSettings {
    /// Starts with `amqp://` or `amqps://`; it may hold a password.
    pub url: SecretString,
    /// Goes before one in the URL.
    pub password: Option<SecretString>,
    /// Certificates (PEM) to trust beside this machine's.
    pub ca_file: Option<PathBuf>,
    /// What people call these settings, for hints.
    pub set_in: SetIn,
}

impl BrokerSettings {
    /// One connection would do for both.
    pub fn is_the_same_as(&self, other: &Self) -> bool {
        let password = self.password.as_ref().map(ExposeSecret::expose_secret);
        self.url.expose_secret() == other.url.expose_secret()
            && password == other.password.as_ref().map(ExposeSecret::expose_secret)
            && self.ca_file == other.ca_file
    }
}

pub(super) const BROKER_URL: UrlKind = UrlKind {
    known: &schema::AMQP_URL,
    schemes: ["amqp://", "amqps://"],
    no_url: " is not an amqp:// URL",
    example: "write amqp://user@host:5672/virtual_host",
    elsewhere: "the URL itself in { env = \"…\" }",
    parameters: &["heartbeat", "connection_timeout", "channel_max", "frame_max"],
};

const RESULTS_URL: UrlKind = UrlKind { known: &schema::AMQP_RESULTS_URL, ..BROKER_URL };

pub(super) fn read(top: &Section<'_>, secrets: &dyn SecretSource) -> Result<Option<AmqpSettings>> {
    let Some(section) = top.section("amqp", &schema::AMQP)? else { return Ok(None) };
    let deletions = queue(&section, "deletions", DEFAULT_DELETIONS)?;
    let dead_letters = queue(&section, "dead_letters", DEFAULT_DEAD_LETTERS)?;
    let results = section.section("results", &schema::AMQP_RESULTS)?;
    let results = results.map(|results| read_results(&results, secrets)).transpose()?;
    let listened_to = [Some(&deletions), results.as_ref().map(|results| &results.queue)];
    if listened_to.contains(&Some(&dead_letters)) {
        return Err(section
            .fault(format!("would put what it cannot read from `{dead_letters}` back into it"))
            .hint("give `dead_letters` a queue of its own"));
    }
    let broker = read_broker(&section, &BROKER_URL, &schema::AMQP_PASSWORD, secrets)?;
    Ok(Some(AmqpSettings { broker, deletions, dead_letters, results }))
}

fn read_results(section: &Section<'_>, secrets: &dyn SecretSource) -> Result<ResultsSettings> {
    let queue = queue(section, "queue", DEFAULT_RESULTS)?;
    let broker = read_broker(section, &RESULTS_URL, &schema::AMQP_RESULTS_PASSWORD, secrets)?;
    Ok(ResultsSettings { broker, queue })
}

pub(super) fn read_broker(
    section: &Section<'_>,
    kind: &UrlKind,
    password: &'static Known,
    secrets: &dyn SecretSource,
) -> Result<BrokerSettings> {
    let url = section.read("url", |setting| secret::read_url_of(kind, setting, secrets))?;
    let url =
        url.ok_or_else(|| section.fault("has no `url`").hint("add url = { env = \"TIMESWEEP_AMQP_URL\" }"))?;
    let password = section.read("password", |setting| secret::read_secret(setting, password, secrets))?;
    let ca_file = section
        .read("ca_file", |setting: &Setting<'_>| absolute_path(setting, "/etc/timesweep/amqp-ca.pem"))?;
    let set_in = SetIn::section(&section.label, "url", "`url` and `password`");
    Ok(BrokerSettings { url, password, ca_file, set_in })
}

/// The name of a queue is up to 255 bytes; a control character in it is a slip.
pub(super) fn queue(section: &Section<'_>, key: &'static str, default: &str) -> Result<String> {
    let name = section.read(key, |setting| {
        let name = setting.text()?;
        let plain = !name.is_empty() && name.len() <= 255 && !name.contains(char::is_control);
        if plain {
            Ok(name.to_owned())
        } else {
            Err(setting.fault(" has to be 1 to 255 letters on one line"))
        }
    })?;
    Ok(name.unwrap_or_else(|| default.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::path::Path;

    struct Variables;

    impl SecretSource for Variables {
        fn variable(&self, _name: &str) -> std::result::Result<SecretString, String> {
            Ok("amqp://omotes:geheim@host/omotes".into())
        }

        fn file(&self, _path: &Path) -> std::result::Result<SecretString, String> {
            Ok("geheim".into())
        }
    }

    fn parse(amqp: &str) -> Result<Option<AmqpSettings>> {
        let text = format!("[stores.main]\nurl = \"postgres://me@host/db\"\n{amqp}");
        Config::parse(&text, "test.toml", &Variables).map(|config| config.amqp)
    }

    #[test]
    fn a_url_is_enough() {
        assert!(parse("").expect("settings").is_none());
        let amqp = parse("[amqp]\nurl = { env = \"URL\" }").expect("settings").expect("amqp");
        assert_eq!(
            (amqp.deletions.as_str(), amqp.dead_letters.as_str()),
            (DEFAULT_DELETIONS, DEFAULT_DEAD_LETTERS)
        );
        assert!(amqp.results.is_none());
        assert!(!format!("{amqp:?}").contains("geheim"));
    }

    #[test]
    fn results_have_a_place_of_their_own() {
        let both = "[amqp]\nurl = { env = \"URL\" }\n[amqp.results]\nurl = \"amqp://me@host/omotes_celery\"\npassword = { file = \"/f\" }";
        let results = parse(both).expect("settings").and_then(|amqp| amqp.results).expect("results");
        assert_eq!(results.queue, DEFAULT_RESULTS);
        assert_eq!(results.broker.url.expose_secret(), "amqp://me@host/omotes_celery");
        assert_eq!(results.broker.password.expect("a password").expose_secret(), "geheim");
    }

    #[test]
    fn what_cannot_be_listened_to_is_refused_with_its_place() {
        let with = |more: &str| format!("[amqp]\nurl = {{ env = \"URL\" }}\n{more}");
        for (settings, said) in [
            ("[amqp]".to_owned(), "[amqp] has no `url`"),
            ("[amqp]\nurl = \"amqp://me:geheim@h/v\"".into(), "`url` of [amqp] holds a password"),
            ("[amqp]\nurl = \"http://me@h/v\"".into(), "`url` of [amqp] is not an amqp:// URL"),
            ("[amqp]\nurl = \"amqp://me@h/v?hearbeat=1\"".into(), "has the parameter `hearbeat`"),
            (with("password = \"geheim\""), "`password` of [amqp] is written in plain text"),
            (with("ca_file = \"ca.pem\""), "`ca_file` of [amqp]: `ca.pem` is not an absolute path"),
            (with("deletions = \"\""), "`deletions` of [amqp] has to be 1 to 255 letters"),
            (with("dead_letters = \"job_deletions\""), "[amqp] would put what it cannot read"),
            (with("[amqp.results]\nqueue = \"q\""), "[amqp.results] has no `url`"),
        ] {
            let problem = parse(&settings).expect_err(&settings);
            assert!(problem.sentence.contains(said), "{settings}: {problem}");
            assert!(!problem.to_string().contains("geheim"), "{problem}");
        }
    }
}
