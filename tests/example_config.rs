//! `example.toml` parses, names every setting, and shows the defaults.
//!
//! Lines such as `# key = value` and `# [section]` are optional settings; the tests read the file as it
//! is, and once more with those lines switched on.

use std::collections::BTreeSet;
use std::path::Path;

use secrecy::SecretString;
use timesweep::config::{
    Config, DiskSettings, ExecutionSettings, OwnershipSettings, SYSTEM_STATE_PATH, SecretSource,
    StateSettings, known_settings,
};
use timesweep::config::{StoreConfig, StoreKind};
use timesweep::retention::model::StoreName;
use timesweep::retention::rules::{Caps, GuardSettings, Rules};
use timesweep::retention::sessions::SessionRules;

const EXAMPLE: &str = include_str!("../example.toml");

struct AnySecret;

impl SecretSource for AnySecret {
    fn variable(&self, name: &str) -> Result<SecretString, String> {
        let scheme = if name.contains("LAUNCHER") { "mysql" } else { "postgres" };
        Ok(format!("{scheme}://me@host/db").into())
    }

    fn file(&self, _path: &Path) -> Result<SecretString, String> {
        Ok("secret".into())
    }
}

fn parse(text: &str) -> Config {
    Config::parse(text, "example.toml", &AnySecret).expect("the example parses")
}

fn with_optional_settings() -> String {
    let lines: Vec<&str> = EXAMPLE.lines().map(|line| optional_setting(line).unwrap_or(line)).collect();
    lines.join("\n")
}

/// `key = value` of `# key = value`, and the same for a section; nothing for prose.
fn optional_setting(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("# ")?;
    let is_key = |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let is_setting = rest.split_once(" = ").is_some_and(|(key, _)| is_key(key));
    (is_setting || rest.starts_with('[')).then_some(rest)
}

/// Every key as `section.key`, with `*` for the name of a store.
fn keys(value: &toml::Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, inner) in table {
                let name = if path == "stores" { "*" } else { key.as_str() };
                let inner_path = if path.is_empty() { name.into() } else { format!("{path}.{name}") };
                found.insert(inner_path.clone());
                keys(inner, &inner_path, found);
            }
        }
        toml::Value::Array(elements) => elements.iter().for_each(|element| keys(element, path, found)),
        _ => {}
    }
}

fn assert_defaults(store: &StoreConfig) {
    let default = Rules::default();
    assert_eq!(store.kind, StoreKind::default());
    assert_eq!(store.execution, ExecutionSettings::default());
    assert_eq!(SessionRules { roles: Vec::new(), ..store.sessions.clone() }, SessionRules::default());
    assert_eq!(store.rules.guards, GuardSettings::default());
    assert_eq!(store.rules.plan_lifetime, default.plan_lifetime);
    assert_eq!(store.rules.take_over_native_policies, default.take_over_native_policies);
    assert_eq!(store.rules.zone, default.zone);
    assert!(store.rules.policies.iter().all(|policy| !policy.take_over_native));
}

#[test]
fn the_example_config_parses_as_it_is_and_shows_the_defaults() {
    let config = parse(EXAMPLE);
    let store = config.store(None).expect("one store");
    assert_defaults(store);
    assert_eq!(store.rules.caps, Caps::default());
    assert!(store.rules.default_policy.is_none());
    assert!(store.connection.password.is_none());
    assert_eq!(store.disk, DiskSettings::default());
    assert!(store.sessions.roles.is_empty());
    assert_eq!(config.state, StateSettings::default());
    assert!(config.gate.is_none() && config.ownership.is_none());
}

#[test]
fn the_example_config_parses_with_every_optional_setting() {
    let config = parse(&with_optional_settings());
    let store = config.store(Some("main")).expect("main");
    assert_defaults(store);
    assert!(store.rules.default_policy.is_some() && store.rules.caps.bytes.is_some());
    assert_eq!(Caps { bytes: None, ..store.rules.caps }, Caps::default());
    assert_eq!(config.state.path, Path::new(SYSTEM_STATE_PATH));
    assert_eq!(config.ownership, Some(OwnershipSettings::of_store(StoreName("main".into()))));
    let gate = config.gate.expect("a gate");
    assert_eq!((gate.ticket.prefix.as_str(), gate.window.zone.iana_name()), ("timesweep", Some("UTC")));
    assert_eq!(gate.launcher.map(|launcher| launcher.status).as_deref(), Some("due"));
}

#[test]
fn the_example_config_names_every_setting() {
    let value: toml::Value = toml::from_str(&with_optional_settings()).expect("TOML");
    let mut found = BTreeSet::new();
    keys(&value, "", &mut found);
    // Each form of a secret is shown once, at whichever setting.
    let is_shown = |setting: &String| match setting.rsplit_once('.') {
        Some((secret, form @ ("env" | "file"))) => {
            found.contains(secret) && found.iter().any(|key| key.ends_with(&format!(".{form}")))
        }
        _ => found.contains(setting),
    };
    let missing: Vec<String> = known_settings().into_iter().filter(|setting| !is_shown(setting)).collect();
    assert_eq!(missing, Vec::<String>::new());
}
