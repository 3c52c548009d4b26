//! From the command line to a configuration, a driver and a state.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;

use super::Common;
use crate::config::{Config, MailSettings, ReportSettings, StoreConfig, parse_drop_after, url_has_password};
use crate::gate::Gate;
use crate::problem::{Problem, Result};
use crate::retention::model::StoreName;
use crate::retention::name::TablePattern;
use crate::state::State;
use crate::store::{self, Driver};

/// Where a configuration is looked for, in this order.
const PLACES: [&str; 2] = ["timesweep.toml", "/etc/timesweep/timesweep.toml"];

/// What every verb begins with.
pub struct Opened {
    pub store: StoreConfig,
    pub driver: Arc<dyn Driver>,
    pub state_path: PathBuf,
    pub mail: Option<MailSettings>,
    pub report: ReportSettings,
    /// Where the configuration has one.
    pub gate: Option<Gate>,
}

pub fn open(common: &Common) -> Result<Opened> {
    let config = configuration(common)?;
    let store = config.store(common.store.as_deref())?.clone();
    let driver = store::open(&store)?;
    let gate = gate_of(common, &config)?;
    let state_path = common.state.clone().unwrap_or(config.state.path);
    Ok(Opened { store, driver, state_path, gate, mail: config.mail, report: config.report })
}

/// The gate alone, for verbs that need no store.
pub fn gate(common: &Common) -> Result<Gate> {
    gate_of(common, &configuration(common)?)?.ok_or_else(|| {
        Problem::usage("the configuration has no [gate]")
            .hint("add one (example.toml shows its settings); without it `timesweep run --apply` asks nobody")
    })
}

pub fn gate_of(common: &Common, config: &Config) -> Result<Option<Gate>> {
    // A configuration with a gate has one store, and all stores share their guards.
    let (Some(settings), Some(store)) = (config.gate.clone(), config.stores.first()) else { return Ok(None) };
    let state_path = common.state.as_deref().unwrap_or(&config.state.path);
    let state_path = std::path::absolute(state_path).unwrap_or_else(|_| state_path.to_owned());
    let state_folder = state_path.parent().unwrap_or(Path::new("/"));
    let skew = store.rules.guards.max_clock_skew;
    Ok(Some(Gate::new(settings, skew, state_folder, store::place(store)?)))
}

/// The state's place alone, for verbs that need no store.
pub fn state_path(common: &Common) -> Result<PathBuf> {
    match &common.state {
        Some(path) => Ok(path.clone()),
        None if common.omotes => Ok(crate::config::StateSettings::default().path),
        None if common.config.is_some() || found_file().is_some() => Ok(configuration(common)?.state.path),
        None => Ok(crate::config::StateSettings::default().path),
    }
}

/// Where a store is, and its name where that was typed.
pub type Place = (String, Option<StoreName>);

/// The places of the stores that are meant, each with the store's name where that was typed; `None` where there is no
/// configuration, so that only the state is known. Connects to nothing.
pub fn places(common: &Common) -> Result<Option<Vec<Place>>> {
    if !has_configuration(common) && common.store.is_none() {
        return Ok(None);
    }
    let config = configuration(common)?;
    let Some(name) = &common.store else {
        return config
            .stores
            .iter()
            .map(|store| Ok((store::place(store)?, None)))
            .collect::<Result<_>>()
            .map(Some);
    };
    let store = config.store(Some(name))?;
    Ok(Some(vec![(store::place(store)?, Some(store.name.clone()))]))
}

fn has_configuration(common: &Common) -> bool {
    common.omotes || common.config.is_some() || common.url.is_some() || found_file().is_some()
}

/// Who gets the mails, for verbs that need no store.
pub fn mail_settings(common: &Common) -> Result<MailSettings> {
    configuration(common)?.mail.ok_or_else(|| {
        Problem::usage("the configuration says nothing about mail")
            .hint("add a section [mail]; example.toml shows its settings")
    })
}

/// What the configuration calls the run, where there is one.
pub fn title(common: &Common) -> String {
    let mail = configuration(common).ok().and_then(|config| config.mail);
    mail.map_or_else(|| crate::config::DEFAULT_TITLE.into(), |mail| mail.title)
}

/// For previews: reads a state that is there, and creates none.
pub async fn existing_state(path: &Path) -> Result<Option<State>> {
    State::open_existing(path).await
}

/// The command line's own store wins where any of its arguments was typed, then a file, then the
/// environment's URL.
pub fn configuration(common: &Common) -> Result<Config> {
    if let (Some(path), true) = (&common.config, common.url_was_typed) {
        return Err(Problem::usage(format!(
            "--url is typed, and {} is the configuration: which database is meant?",
            path.display()
        ))
        .hint("leave one of them out; TIMESWEEP_CONFIG in the environment counts as --config"));
    }
    if common.omotes {
        return Config::of_omotes_environment();
    }
    if let Some(path) = &common.config {
        return Config::read(path);
    }
    let typed = common.url_was_typed || common.has_own_policy();
    match (typed, found_file(), &common.url) {
        (false, Some(path), _) => Config::read(&path),
        (_, _, Some(url)) => from_command_line(common, url),
        _ => Err(nothing_to_connect_to(typed)),
    }
}

fn found_file() -> Option<PathBuf> {
    PLACES.iter().map(PathBuf::from).find(|path| path.is_file())
}

fn nothing_to_connect_to(typed: bool) -> Problem {
    let sentence =
        if typed { "--table and --drop-after need a database" } else { "there is no configuration" };
    Problem::usage(sentence)
        .hint("write timesweep.toml (example.toml shows every setting), or give --url postgres://user@host/database --table TABLE --drop-after '30 days'")
}

fn from_command_line(common: &Common, url: &str) -> Result<Config> {
    if common.url_was_typed && url_has_password(url) {
        return Err(Problem::usage("a password in --url can be read by everybody who lists this machine's processes")
            .hint("leave it out and set PGPASSWORD or ~/.pgpass, or put the whole url into the environment as TIMESWEEP_URL"));
    }
    let table =
        common.table.as_deref().map(str::parse::<TablePattern>).transpose().map_err(Problem::usage)?;
    let drop_after = common
        .drop_after
        .as_deref()
        .map(parse_drop_after)
        .transpose()
        .map_err(|why| Problem::usage(format!("--drop-after: {why}")))?;
    Config::from_command_line(SecretString::from(url.to_owned()), table, drop_after, common.keep_newest)
}
