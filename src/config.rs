//! The configuration: a TOML file, or the command line, turned into checked types.
//!
//! A setting that nobody knows is an error, and so is a value out of its range: illegal settings
//! cannot be built. Every fault is of kind `Usage`, names file and line, and has a way out.
//! Invariant: secrets are read here, once, and appear in no fault and no `Debug` text.

mod amqp;
mod disk;
mod document;
mod gate;
mod influx;
mod limits;
mod mail;
mod nearest;
mod omotes;
mod ownership;
mod policies;
mod registry;
mod schema;
mod secret;
mod serve;
mod sessions;
mod set_in;
mod state;
mod statement;
mod store;
mod values;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use secrecy::SecretString;

use self::document::{Document, Section};
use self::limits::Limits;
use self::ownership::Environment;
use crate::problem::{Problem, Result};
use crate::retention::model::StoreName;
use crate::retention::name::TablePattern;
use crate::retention::policy::{DropAfter, PolicySource};
use crate::retention::rules::{PolicyRule, Rules};
use crate::retention::sessions::SessionRules;

pub use self::amqp::{AmqpSettings, BrokerSettings, ResultsSettings};
pub use self::disk::{DiskSettings, DiskSource};
pub use self::gate::{GateSettings, LauncherSettings, TicketSettings, WindowSettings};
pub use self::influx::InfluxSettings;
pub use self::mail::{DEFAULT_TITLE, Login, MailOn, MailSettings, ReportSettings, Security};
pub use self::omotes::{OmotesSettings, queues};
pub use self::ownership::{Adopt, OwnershipSettings};
pub use self::registry::RegistrySettings;
pub use self::schema::known_settings;
pub use self::secret::{Machine, SecretSource, url_has_password};
pub use self::serve::{Right, ServeSettings, TokenSettings};
pub use self::set_in::SetIn;
pub use self::state::{SYSTEM_STATE_PATH, StateSettings};
pub use self::statement::{Parameter, Statement};
pub use self::values::parse_drop_after;

/// The name of the store that the command line describes.
const COMMAND_LINE_STORE: &str = "main";

#[derive(Debug, Clone)]
pub struct Config {
    /// At least one, in the order of the file, with different names.
    pub stores: Vec<StoreConfig>,
    pub state: StateSettings,
    pub mail: Option<MailSettings>,
    pub report: ReportSettings,
    /// Who is asked whether a run may work; `None` where nobody is.
    pub gate: Option<GateSettings>,
    pub serve: ServeSettings,
    /// The broker whose messages are listened to; `None` where nobody tells by messages.
    pub amqp: Option<AmqpSettings>,
    /// Where timesweep stands in the orchestrator's place; `None` where it does not.
    pub omotes: Option<OmotesSettings>,
    /// Where it is remembered who owns what; `None` where nothing is owned.
    pub registry: Option<RegistrySettings>,
    /// The store whose datasets belong to jobs; `None` where there is none.
    pub ownership: Option<OwnershipSettings>,
}

#[derive(Debug, Clone)]
pub struct StoreConfig {
    pub name: StoreName,
    pub kind: StoreKind,
    pub connection: ConnectionSettings,
    pub execution: ExecutionSettings,
    pub rules: Rules,
    pub disk: DiskSettings,
    pub sessions: SessionRules,
    /// Datasets of this store that nobody may ever touch, whatever else says so. Letter by letter.
    pub never: Vec<String>,
    pub influx: InfluxSettings,
}

/// Which driver a store needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StoreKind {
    #[default]
    Timescale,
    /// InfluxDB 1.x.
    InfluxDb,
    /// Owned schemas of a PostgreSQL database.
    Schemas,
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timescale => "timescale",
            Self::InfluxDb => "influxdb",
            Self::Schemas => "schemas",
        })
    }
}

/// How to get in.
#[derive(Debug, Clone)]
pub struct ConnectionSettings {
    /// Starts with `postgres://` or `postgresql://` and may hold a password; for InfluxDB with `http://` or
    /// `https://`, and holds none.
    pub url: SecretString,
    /// Goes before one in the URL.
    pub password: Option<SecretString>,
}

/// How hard to work, and how long to stand in the way of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecutionSettings {
    /// Chunks that are dropped at the same time, 1 to 16.
    pub parallelism: usize,
    /// How long one try waits for its locks, 1 ms to 10 s. Everybody else queues behind the wait.
    pub lock_timeout: Duration,
    /// Tries of one chunk before it is left alone, 1 to 100. A chunk that is locked comes after all others,
    /// with pauses that grow to a second.
    pub attempts: u32,
}

impl Default for ExecutionSettings {
    fn default() -> Self {
        Self { parallelism: 2, lock_timeout: Duration::from_millis(25), attempts: 20 }
    }
}

impl Config {
    /// Reads and checks a file, with secrets from this machine's environment and files.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Problem::usage(format!("the configuration {} cannot be read", path.display()))
                .because(&error)
                .hint("name another one with --config; example.toml shows every setting")
        })?;
        Self::parse(&text, &path.display().to_string(), &Machine)
    }

    /// Checks the text of a file that people call `origin`.
    pub fn parse(text: &str, origin: &str, secrets: &dyn SecretSource) -> Result<Self> {
        let document = Document { origin, text };
        let entries = document.parse()?;
        let top = Section::top(document, entries.get_ref())?;
        // A slip in the file is told before a secret that is missing where it is checked.
        let limits = limits::read(&top)?;
        let state = StateSettings::read(&top)?;
        let report = mail::read_report(&top)?;
        let gate = gate::read(&top, secrets)?;
        let registry = registry::read_registry(&top, secrets)?;
        let disk = DiskSettings::read(&top)?;
        let mut stores = read_stores(&top, secrets)?;
        gate::refuse_many_stores(gate.as_ref(), stores.len(), origin)?;
        add_limits(limits, &mut stores);
        add_policies(&top, &mut stores)?;
        for store in &mut stores {
            store.disk.clone_from(&disk);
        }
        let names: Vec<&str> = stores.iter().map(|store| store.name.0.as_str()).collect();
        let environment = Environment::of_this_process();
        let ownership = ownership::read(&top, &names, &environment)?;
        let mail = mail::read(&top, secrets)?;
        let serve = serve::read(&top, secrets)?;
        let omotes = omotes::read(&top, registry.as_ref(), &environment, secrets)?;
        let amqp = amqp::read(&top, secrets)?;
        Ok(Self { stores, state, mail, report, gate, serve, amqp, omotes, registry, ownership })
    }

    /// The environment variables of OMOTES' own orchestrator, without a file.
    pub fn of_omotes_environment() -> Result<Self> {
        omotes::environment::config()
    }

    /// One store called `main`, with at most one policy. A password in `url` is the caller's concern.
    pub fn from_command_line(
        url: SecretString,
        table: Option<TablePattern>,
        drop_after: Option<DropAfter>,
        keep_newest: Option<u32>,
    ) -> Result<Self> {
        let url = secret::checked_url(url, |said| Problem::usage(format!("the URL{said}")))?;
        let policies = command_line_policy(table, drop_after, keep_newest)?.into_iter().collect();
        let store = StoreConfig {
            name: StoreName(COMMAND_LINE_STORE.into()),
            kind: StoreKind::default(),
            connection: ConnectionSettings { url, password: None },
            execution: ExecutionSettings::default(),
            rules: Rules { policies, ..Rules::default() },
            disk: DiskSettings::default(),
            sessions: SessionRules::default(),
            never: Vec::new(),
            influx: InfluxSettings::default(),
        };
        Ok(Self {
            stores: vec![store],
            state: StateSettings::default(),
            gate: None,
            registry: None,
            mail: None,
            report: ReportSettings::default(),
            serve: ServeSettings::default(),
            amqp: None,
            omotes: None,
            ownership: None,
        })
    }

    /// The store of that name; without a name the only one there is.
    pub fn store(&self, name: Option<&str>) -> Result<&StoreConfig> {
        let names = || self.stores.iter().map(|store| store.name.0.as_str());
        let Some(name) = name else { return self.only_store() };
        self.stores.iter().find(|store| store.name.0 == name).ok_or_else(|| {
            Problem::usage(format!("the configuration has no store `{name}`"))
                .hint(nearest::hint(name, names()))
        })
    }

    fn only_store(&self) -> Result<&StoreConfig> {
        if let [only] = self.stores.as_slice() {
            return Ok(only);
        }
        let names: Vec<&str> = self.stores.iter().map(|store| store.name.0.as_str()).collect();
        Err(Problem::usage(format!("the configuration has {} stores and none was named", names.len()))
            .hint(format!("add --store with one of {}", names.join(", "))))
    }
}

fn read_stores(top: &Section<'_>, secrets: &dyn SecretSource) -> Result<Vec<StoreConfig>> {
    let sections = top.named_sections("stores", &schema::STORE)?;
    if sections.is_empty() {
        return Err(Problem::usage(format!("{} names no store", top.document.origin))
            .hint("add a section [stores.main] with url = { env = \"TIMESWEEP_STORE_URL\" }"));
    }
    sections.into_iter().map(|(name, section)| store::read(name, &section, secrets)).collect()
}

fn add_limits(limits: Limits, stores: &mut [StoreConfig]) {
    for store in stores {
        store.rules.caps = limits.caps;
        store.rules.guards = limits.guards;
        store.rules.plan_lifetime = limits.plan_lifetime;
    }
}

fn add_policies(top: &Section<'_>, stores: &mut [StoreConfig]) -> Result<()> {
    let names: Vec<&str> = stores.iter().map(|store| store.name.0.as_str()).collect();
    let policies = policies::read_policies(top, &names)?;
    let default_policy = policies::read_default_policy(top)?;
    for store in stores {
        let own = policies.iter().filter(|(name, _)| *name == store.name.0);
        store.rules.policies = own.map(|(_, rule)| rule.clone()).collect();
        store.rules.default_policy.clone_from(&default_policy);
    }
    Ok(())
}

fn command_line_policy(
    table: Option<TablePattern>,
    drop_after: Option<DropAfter>,
    keep_newest: Option<u32>,
) -> Result<Option<PolicyRule>> {
    let has_rule = drop_after.is_some() || keep_newest.is_some();
    if keep_newest == Some(0) {
        return Err(Problem::usage("--keep-newest has to be at least 1"));
    }
    let Some(table) = table else { return without_table(has_rule) };
    if !has_rule {
        return Err(Problem::usage(format!("nothing says what may go from `{table}`"))
            .hint("add --drop-after \"30 days\" or --keep-newest 3"));
    }
    Ok(Some(PolicyRule {
        table: Some(table),
        drop_after,
        keep_newest,
        integer_unit: None,
        take_over_native: false,
        source: PolicySource::CommandLine,
    }))
}

/// Every table is a choice that somebody has to write down.
fn without_table(has_rule: bool) -> Result<Option<PolicyRule>> {
    if !has_rule {
        return Ok(None);
    }
    Err(Problem::usage("--drop-after and --keep-newest need a --table")
        .hint("add --table schema.name, or --table '*.*' for every table"))
}
