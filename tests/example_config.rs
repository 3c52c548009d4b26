//! `example.toml` parses, names every setting, and shows the defaults.
//!
//! Lines such as `# key = value` and `# [section]` are optional settings; the tests read the file as it
//! is, and once more with those lines switched on.

use std::collections::BTreeSet;
use std::path::Path;

use secrecy::SecretString;
use timesweep::config::{
    Config, DiskSettings, ExecutionSettings, InfluxSettings, OwnershipSettings, SYSTEM_STATE_PATH,
    SecretSource, ServeSettings, StateSettings, known_settings,
};
use timesweep::config::{SetIn, StoreConfig, StoreKind};
use timesweep::retention::model::StoreName;
use timesweep::retention::rules::{Caps, GuardSettings, Rules};
use timesweep::retention::sessions::SessionRules;

const EXAMPLE: &str = include_str!("../example.toml");

struct AnySecret;

impl SecretSource for AnySecret {
    fn variable(&self, name: &str) -> Result<SecretString, String> {
        let kinds = [("LAUNCHER", "mysql"), ("AMQP", "amqp")];
        let scheme =
            kinds.iter().find(|(part, _)| name.contains(part)).map_or("postgres", |(_, scheme)| scheme);
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

/// One of the two takes the messages: the part of [omotes] apart from everything else.
fn without_omotes(text: &str) -> (String, String) {
    let start = text.find("[omotes]").expect("the orchestrator's place");
    let registry =
        "[stores.main]\nurl = \"postgres://me@host/db\"\n[ownership]\nregistry = \"postgres://me@host/db\"\n";
    (text[..start].to_owned(), format!("{registry}{}", &text[start..]))
}

/// The example's second store apart from everything else: a gate allows one store only.
fn without_second_store(text: &str) -> (String, String) {
    let start = text.find("[stores.results]").expect("a second store");
    let end = start + text[start..].find("\n\n").expect("its end");
    (format!("{}{}", &text[..start], &text[end..]), text[start..end].to_owned())
}

#[test]
fn the_second_store_of_the_example_parses() {
    let (_, second) = without_second_store(&with_optional_settings());
    let config = parse(&second);
    let store = config.store(None).expect("one store");
    assert_eq!((store.kind, store.never.len()), (StoreKind::InfluxDb, 1));
    let shown =
        InfluxSettings { user: None, ca_file: None, set_in: SetIn::default(), ..store.influx.clone() };
    assert_eq!(shown, InfluxSettings::default());
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
    assert!(
        config.gate.is_none()
            && config.amqp.is_none()
            && config.omotes.is_none()
            && config.registry.is_none()
            && config.ownership.is_none()
    );
    assert!(config.serve.tokens.is_empty() && config.serve.listen.ip().is_loopback());
}

#[test]
fn the_example_config_parses_with_every_optional_setting() {
    let config = parse(&without_omotes(&without_second_store(&with_optional_settings()).0).0);
    let store = config.store(Some("main")).expect("main");
    assert_defaults(store);
    assert!(store.rules.default_policy.is_some() && store.rules.caps.bytes.is_some());
    assert_eq!(Caps { bytes: None, ..store.rules.caps }, Caps::default());
    assert_eq!(config.state.path, Path::new(SYSTEM_STATE_PATH));
    assert_eq!(config.ownership, Some(OwnershipSettings::of_store(StoreName("main".into()))));
    let gate = config.gate.expect("a gate");
    assert_eq!((gate.ticket.prefix.as_str(), gate.window.zone.iana_name()), ("timesweep", Some("UTC")));
    assert_eq!(gate.launcher.map(|launcher| launcher.status).as_deref(), Some("due"));
    assert_eq!((config.serve.listen, config.serve.tokens.len()), (ServeSettings::default().listen, 1));
    let amqp = config.amqp.expect("a broker");
    assert_eq!(
        (amqp.deletions.as_str(), amqp.dead_letters.as_str()),
        ("job_deletions", "timesweep_dead_letters")
    );
    assert_eq!(amqp.results.map(|results| results.queue).as_deref(), Some("omotes_task_result_events"));
}

#[test]
fn the_orchestrators_place_in_the_example_shows_the_defaults() {
    let shown = parse(&without_omotes(&with_optional_settings()).1).omotes.expect("the settings");
    let least = "[omotes]\nworkflows = \"/w\"\n[omotes.clients]\nurl = \"amqp://h/v\"\n[omotes.workers]\nurl = \"amqp://h/v\"\n";
    let least = without_omotes(least).1;
    let default = parse(&least).omotes.expect("the settings");
    assert_eq!((shown.delivery_limit, shown.start_buffer), (default.delivery_limit, default.start_buffer));
    assert_eq!((shown.rerun, shown.job_retention), (default.rerun, default.job_retention));
    assert_eq!((shown.results, shown.progress), (default.results, default.progress));
    assert_eq!(shown.dead_letters, default.dead_letters);
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
