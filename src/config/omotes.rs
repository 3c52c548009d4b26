//! `[omotes]`: the place of the orchestrator in an OMOTES installation.
//!
//! The same settings come from OMOTES' own environment variables (`environment.rs`), read by the same code.
//! Invariant: who takes this place remembers who owns what in the same PostgreSQL database as the jobs.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::amqp::{BROKER_URL, queue, read_broker};
use super::document::Section;
use super::ownership::Environment;
use super::schema::{self, Known};
use super::secret::{SecretSource, UrlKind};
use super::state::absolute_path;
use super::values::{self, JOB_PERIOD, JOB_TIME};
use super::{BrokerSettings, RegistrySettings};
use crate::problem::Result;

pub(super) mod environment;
pub mod queues;

const DEFAULT_RESULTS: &str = "omotes_task_result_events";
const DEFAULT_PROGRESS: &str = "omotes_task_progress_events";
const DEFAULT_DEAD_LETTERS: &str = "timesweep_dead_letters";
const DEFAULT_DELIVERY_LIMIT: u32 = 1;
const DEFAULT_START_BUFFER: Duration = Duration::from_mins(1);
const DEFAULT_RERUN: Duration = Duration::from_secs(30);
const EXAMPLE_WORKFLOWS: &str = "/etc/timesweep/workflow_config.json";

#[derive(Debug, Clone)]
pub struct OmotesSettings {
    /// Where clients submit and delete jobs.
    pub clients: BrokerSettings,
    /// Where workers report.
    pub workers: BrokerSettings,
    /// Where tasks are given to workers; usually the same place.
    pub tasks: BrokerSettings,
    /// The file of workflows.
    pub workflows: PathBuf,
    pub results: String,
    pub progress: String,
    /// On each of the brokers.
    pub dead_letters: String,
    /// How often a task may begin before its job fails.
    pub delivery_limit: u32,
    /// No time-out ends a job before we were up for so long.
    pub start_buffer: Duration,
    /// How often time-outs are looked for.
    pub rerun: Duration,
    /// After this time a row of a job of which nothing was heard goes.
    pub job_retention: Duration,
}

const CLIENTS_URL: UrlKind = UrlKind { known: &schema::OMOTES_CLIENTS_URL, ..BROKER_URL };
const WORKERS_URL: UrlKind = UrlKind { known: &schema::OMOTES_WORKERS_URL, ..BROKER_URL };
const TASKS_URL: UrlKind = UrlKind { known: &schema::OMOTES_TASKS_URL, ..BROKER_URL };

pub(super) fn read(
    top: &Section<'_>,
    registry: Option<&RegistrySettings>,
    environment: &Environment,
    secrets: &dyn SecretSource,
) -> Result<Option<OmotesSettings>> {
    let Some(section) = top.section("omotes", &schema::OMOTES)? else { return Ok(None) };
    refuse_two_takers(top, &section)?;
    refuse_another_database(&section, registry)?;
    let broker = |key, known, kind, password| read_one(&section, key, known, kind, password, secrets);
    let clients = broker("clients", &schema::OMOTES_CLIENTS, &CLIENTS_URL, &schema::OMOTES_CLIENTS_PASSWORD)?;
    let workers = broker("workers", &schema::OMOTES_WORKERS, &WORKERS_URL, &schema::OMOTES_WORKERS_PASSWORD)?;
    let tasks = broker("tasks", &schema::OMOTES_TASKS, &TASKS_URL, &schema::OMOTES_TASKS_PASSWORD)?;
    let needed = |key: &str| {
        let hint = format!("add a section [omotes.{key}] with its `url`");
        section.fault(format!("has no `{key}`")).hint(hint)
    };
    let workers = workers.ok_or_else(|| needed("workers"))?;
    let workflows = section.read("workflows", |setting| absolute_path(setting, EXAMPLE_WORKFLOWS))?;
    let time =
        |key, bounds| section.read(key, |setting| setting.parsed(|text| values::duration(text, bounds)));
    let settings = OmotesSettings {
        clients: clients.ok_or_else(|| needed("clients"))?,
        tasks: tasks.unwrap_or_else(|| workers.clone()),
        workers,
        workflows: workflows.ok_or_else(|| {
            let hint = format!("add workflows = \"{EXAMPLE_WORKFLOWS}\"");
            section.fault("has no `workflows`, the file that lists them").hint(hint)
        })?,
        results: queue(&section, "results", DEFAULT_RESULTS)?,
        progress: queue(&section, "progress", DEFAULT_PROGRESS)?,
        dead_letters: queue(&section, "dead_letters", DEFAULT_DEAD_LETTERS)?,
        delivery_limit: section
            .read("delivery_limit", |setting| setting.number(1..=1_000_000))?
            .unwrap_or(DEFAULT_DELIVERY_LIMIT),
        start_buffer: time("start_buffer", JOB_TIME)?.unwrap_or(DEFAULT_START_BUFFER),
        rerun: time("rerun", JOB_PERIOD)?.unwrap_or(DEFAULT_RERUN),
        job_retention: match time("job_retention", JOB_PERIOD)? {
            Some(retention) => retention,
            None => Duration::from_micros(environment.retention()?.unsigned_abs()),
        },
    };
    refuse_twins(&section, &settings)?;
    Ok(Some(settings))
}

fn read_one(
    section: &Section<'_>,
    key: &'static str,
    known: &'static Known,
    url: &UrlKind,
    password: &'static Known,
    secrets: &dyn SecretSource,
) -> Result<Option<BrokerSettings>> {
    let broker = section.section(key, known)?;
    broker.map(|broker| read_broker(&broker, url, password, secrets)).transpose()
}

fn refuse_two_takers(top: &Section<'_>, section: &Section<'_>) -> Result<()> {
    if top.setting("amqp").is_none() {
        return Ok(());
    }
    Err(section.fault("stands beside [amqp], and both would take the same messages").hint(
        "keep [omotes] where timesweep is the orchestrator, and [amqp] where it stands beside another one",
    ))
}

fn refuse_another_database(section: &Section<'_>, registry: Option<&RegistrySettings>) -> Result<()> {
    let is_postgres = |registry: &RegistrySettings| registry.url.expose_secret().starts_with("postgres");
    if registry.is_some_and(is_postgres) {
        return Ok(());
    }
    Err(section
        .fault("needs a `registry` in [ownership] that is a PostgreSQL database")
        .hint("let `registry` be the postgres:// URL of the database that OMOTES keeps its jobs in"))
}

impl OmotesSettings {
    /// Queues that have a setting, on whichever broker.
    pub fn named_queues(&self) -> [&str; 3] {
        [&self.results, &self.progress, &self.dead_letters]
    }
}

/// One queue for two things would make every other message unreadable; and both sides may be on one virtual host.
fn refuse_twins(section: &Section<'_>, settings: &OmotesSettings) -> Result<()> {
    let mut names = settings.named_queues();
    if let Some(name) = names.iter().find(|name| queues::FIXED.contains(name)) {
        return Err(section
            .fault(format!("names `{name}`, which every program of OMOTES knows as something else"))
            .hint("`results`, `progress` and `dead_letters` are three queues of their own"));
    }
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(section
            .fault(format!("names `{}` twice", pair[0]))
            .hint("`results`, `progress` and `dead_letters` are three queues")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use secrecy::SecretString;
    use std::path::Path;

    struct Variables;

    impl SecretSource for Variables {
        fn variable(&self, _name: &str) -> std::result::Result<SecretString, String> {
            Ok("geheim".into())
        }

        fn file(&self, _path: &Path) -> std::result::Result<SecretString, String> {
            Err("no files here".into())
        }
    }

    const BROKERS: &str = "[omotes.clients]\nurl = \"amqp://me@h/omotes\"\npassword = { env = \"P\" }\n\
                           [omotes.workers]\nurl = \"amqp://me@h/omotes_celery\"\npassword = { env = \"P\" }\n";

    fn parse_with(registry: &str, omotes: &str) -> Result<Config> {
        let text = format!(
            "[stores.main]\nkind = \"influxdb\"\nurl = \"http://h:8086\"\n[ownership]\n{registry}\n{omotes}"
        );
        Config::parse(&text, "test.toml", &Variables)
    }

    fn parse(omotes: &str) -> Result<OmotesSettings> {
        let config = parse_with("registry = \"postgres://me@h/db\"", omotes)?;
        Ok(config.omotes.expect("the settings"))
    }

    #[test]
    fn two_brokers_and_a_file_are_enough() {
        let settings = parse(&format!("[omotes]\nworkflows = \"/w.json\"\n{BROKERS}")).expect("settings");
        assert_eq!(settings.tasks.url.expose_secret(), "amqp://me@h/omotes_celery");
        assert_eq!((settings.delivery_limit, settings.rerun), (1, DEFAULT_RERUN));
        assert_eq!(
            (settings.results.as_str(), settings.progress.as_str()),
            (DEFAULT_RESULTS, DEFAULT_PROGRESS)
        );
        assert!(!format!("{settings:?}").contains("geheim"));
    }

    #[test]
    fn what_cannot_be_an_orchestrator_is_refused_with_its_place() {
        let with = |more: &str| format!("[omotes]\nworkflows = \"/w.json\"\n{more}\n{BROKERS}");
        for (settings, said) in [
            ("[omotes]".to_owned(), "[omotes] has no `workers`"),
            (format!("[omotes]\n{BROKERS}"), "[omotes] has no `workflows`"),
            (with("workflow = \"/x\""), "[omotes] has no setting `workflow`"),
            (with("delivery_limit = 0"), "`delivery_limit` of [omotes]: 0 is too small"),
            (with("rerun = \"0 s\""), "`rerun` of [omotes]"),
            (
                with("progress = \"omotes_task_result_events\""),
                "[omotes] names `omotes_task_result_events` twice",
            ),
            (with("results = \"job_submissions\""), "[omotes] names `job_submissions`, which"),
            (
                with("progress = \"timesweep_workflow_requests\""),
                "[omotes] names `timesweep_workflow_requests`, which",
            ),
            (with("dead_letters = \"job_deletions\""), "[omotes] names `job_deletions`, which"),
            (with("results = \"timesweep_dead_letters\""), "[omotes] names `timesweep_dead_letters` twice"),
            (format!("{}[amqp]\nurl = \"amqp://me@h/v\"", with("")), "[omotes] stands beside [amqp]"),
        ] {
            let problem = parse(&settings).expect_err(&settings);
            assert!(problem.sentence.contains(said), "{settings}: {problem}");
        }
        let problem = parse_with("registry = \"/r.db\"", &with("")).expect_err("a file");
        assert!(problem.sentence.contains("[omotes] needs a `registry`"), "{problem}");
    }
}
