//! What a configuration becomes. The exact text of every fault is in `faults` and `secrets`.

mod faults;
mod ownership;
mod registry;
mod secrets;
mod sessions;

use std::collections::HashMap;
use std::path::Path;

use secrecy::ExposeSecret;

use super::*;
use crate::problem::Kind;
use crate::retention::rules::{Caps, GuardSettings, OnDependants};
use crate::retention::time_axis::IntegerUnit;

/// Secrets that exist in the tests only: `env:NAME` and `/path` with their content.
struct Safe(HashMap<&'static str, &'static str>);

impl Safe {
    fn new() -> Self {
        Self(HashMap::from([
            ("env:TIMESWEEP_STORE_URL", "postgres://me:hunter2@db/metrics"),
            ("env:EMPTY", " "),
            ("env:NO_URL", "me:hunter2@db/metrics"),
            ("/run/secrets/password", "hunter2\n"),
            ("/run/secrets/empty", "\n"),
        ]))
    }

    fn find(&self, name: &str, absent: &str) -> std::result::Result<SecretString, String> {
        self.0.get(name).map(|secret| SecretString::from(*secret)).ok_or_else(|| absent.into())
    }
}

impl SecretSource for Safe {
    fn variable(&self, name: &str) -> std::result::Result<SecretString, String> {
        self.find(&format!("env:{name}"), "is not set")
    }

    fn file(&self, path: &Path) -> std::result::Result<SecretString, String> {
        self.find(&path.to_string_lossy(), "No such file or directory (os error 2)")
    }
}

const STORE: &str = "[stores.main]\nurl = \"postgres://me@db/metrics\"\n";

fn parse(text: &str) -> Result<Config> {
    Config::parse(text, "t.toml", &Safe::new())
}

fn with_store(rest: &str) -> Config {
    parse(&format!("{STORE}{rest}")).expect(rest)
}

fn fault(text: &str) -> String {
    let problem = parse(text).expect_err(text);
    assert_eq!(problem.kind, Kind::Usage, "{text}");
    let shown = problem.to_string();
    assert!(!shown.contains("hunter2") && !format!("{problem:?}").contains("hunter2"), "{shown}");
    shown
}

/// Each case is what follows `[stores.main]` and its `url`, which are lines 1 and 2.
fn check_faults(cases: &[(&str, &str)]) {
    for (rest, expected) in cases {
        assert_eq!(fault(&format!("{STORE}{rest}")), *expected, "{rest}");
    }
}

#[test]
fn one_store_with_a_url_is_enough_and_the_rest_is_default() {
    let config = with_store("");
    let store = config.store(None).expect("store");
    assert_eq!((store.name.0.as_str(), store.kind), ("main", StoreKind::Timescale));
    assert_eq!(store.connection.url.expose_secret(), "postgres://me@db/metrics");
    assert!(store.connection.password.is_none());
    assert_eq!(store.execution, ExecutionSettings::default());
    assert_eq!(store.rules.caps, Caps::default());
    assert_eq!(store.rules.guards, GuardSettings::default());
    assert_eq!(store.rules.plan_lifetime, Rules::default().plan_lifetime);
    assert!(store.rules.policies.is_empty() && store.rules.default_policy.is_none());
    assert_eq!(config.state, StateSettings::default());
}

#[test]
fn every_setting_of_a_store_arrives() {
    let config = with_store(
        "kind = \"timescale\"\npassword = { file = \"/run/secrets/password\" }\nzone = \"Asia/Tokyo\"\n\
         parallelism = 16\nlock_timeout = \"10 s\"\nattempts = 100\ntake_over_native_policies = true\n",
    );
    let store = config.store(Some("main")).expect("store");
    let password = store.connection.password.as_ref().map(ExposeSecret::expose_secret);
    assert_eq!(password, Some("hunter2"));
    let execution =
        ExecutionSettings { parallelism: 16, lock_timeout: Duration::from_secs(10), attempts: 100 };
    assert_eq!(store.execution, execution);
    assert_eq!(store.rules.zone.iana_name(), Some("Asia/Tokyo"));
    assert!(store.rules.take_over_native_policies);
}

#[test]
fn every_limit_arrives_in_every_store() {
    let config = with_store(
        "[stores.other]\nurl = { env = \"TIMESWEEP_STORE_URL\" }\n[state]\npath = \"/tmp/s.db\"\n\
         [caps]\nshare_of_bytes = \"12.5%\"\nchunks = 7\nbytes = \"1 KiB\"\n\
         [guards]\nmax_clock_skew = \"10 s\"\ncontinuous_aggregates = \"allow\"\n[plan]\nlifetime = \"90 min\"\n",
    );
    assert_eq!(config.state.path, Path::new("/tmp/s.db"));
    assert_eq!(config.stores.len(), 2);
    for Rules { caps, guards, plan_lifetime, .. } in config.stores.iter().map(|store| &store.rules) {
        assert_eq!(caps.share_of_bytes.to_string(), "12.50 %");
        assert_eq!((caps.chunks, caps.bytes.map(|bytes| bytes.0)), (7, Some(1024)));
        assert_eq!((guards.max_clock_skew, guards.continuous_aggregates), (10_000_000, OnDependants::Allow));
        assert_eq!(*plan_lifetime, 5_400_000_000);
    }
}

#[test]
fn policies_go_to_their_store_and_the_default_to_all() {
    let config = with_store(
        "[stores.other]\nurl = \"postgresql://db/x\"\n\
         [[policies]]\nstore = \"main\"\ntable = \"conditions\"\ndrop_after = \"30 days\"\nkeep_newest = 3\n\
         [[policies]]\nstore = \"other\"\ntable = \"public.conditions\"\ndrop_after = 0x10\ninteger_unit = \"seconds\"\n\
         [[policies]]\nstore = \"other\"\ntable = \"*.*\"\ntake_over_native_policy = true\n\
         [default_policy]\nkeep_newest = 9\n",
    );
    let [main, other] = config.stores.as_slice() else { panic!("{config:?}") };
    assert_eq!(main.rules.policies.len(), 1);
    let rule = &main.rules.policies[0];
    assert_eq!(rule.source, PolicySource::Configuration { table: "public.conditions".into() });
    assert_eq!((rule.drop_after, rule.keep_newest), (parse_drop_after("30 days").ok(), Some(3)));
    let [units, take_over] = other.rules.policies.as_slice() else { panic!("{other:?}") };
    assert_eq!(
        (units.drop_after, units.integer_unit),
        (Some(DropAfter::Units(16)), Some(IntegerUnit::Seconds))
    );
    assert!(take_over.take_over_native && !units.take_over_native);
    for store in &config.stores {
        let default = store.rules.default_policy.as_ref().expect("default");
        assert_eq!((&default.source, default.keep_newest), (&PolicySource::Default, Some(9)));
        assert!(default.table.is_none());
    }
}

#[test]
fn a_store_is_found_by_its_name_or_as_the_only_one() {
    let one = with_store("");
    let two = with_store("[stores.spare]\nurl = \"postgres://db/y\"");
    assert_eq!(one.store(None).expect("only").name.0, "main");
    assert_eq!(two.store(Some("spare")).expect("spare").name.0, "spare");
    for (config, name, expected) in [
        (
            &two,
            None,
            "the configuration has 2 stores and none was named\nhint: add --store with one of main, spare",
        ),
        (&two, Some("spear"), "the configuration has no store `spear`\nhint: did you mean `spare`?"),
        (&one, Some("x"), "the configuration has no store `x`\nhint: the names known there: main"),
    ] {
        assert_eq!(config.store(name).expect_err("no store").to_string(), expected);
    }
}

#[test]
fn the_command_line_makes_one_store_with_at_most_one_policy() {
    let url = || SecretString::from("postgres://me:hunter2@db/x");
    let table = || Some("public.conditions".parse::<TablePattern>().expect("table"));
    let after = parse_drop_after("30 days").ok();
    let config = Config::from_command_line(url(), table(), after, Some(3)).expect("config");
    let store = config.store(None).expect("store");
    assert_eq!(store.name.0, "main");
    let [rule] = store.rules.policies.as_slice() else { panic!("{store:?}") };
    assert_eq!(
        (rule.drop_after, rule.keep_newest, &rule.source),
        (after, Some(3), &PolicySource::CommandLine)
    );
    let config = Config::from_command_line(url(), None, None, None).expect("config");
    assert!(config.stores[0].rules.policies.is_empty());
    let fault = |url, table, after, newest| {
        Config::from_command_line(url, table, after, newest).expect_err("a fault").to_string()
    };
    assert_eq!(
        fault(url(), None, after, None),
        "--drop-after and --keep-newest need a --table\nhint: add --table schema.name, or --table '*.*' for every table"
    );
    assert_eq!(
        fault(url(), table(), None, None),
        "nothing says what may go from `public.conditions`\nhint: add --drop-after \"30 days\" or --keep-newest 3"
    );
    assert_eq!(fault(url(), table(), None, Some(0)), "--keep-newest has to be at least 1");
    assert_eq!(
        fault("me:hunter2@db".into(), None, None, None),
        "the URL is not a postgres:// URL\nhint: write postgres://user@host:5432/database"
    );
}

#[test]
fn the_disk_is_measured_the_same_way_for_every_store() {
    let text = "[stores.b]\nurl = \"postgres://me@db/b\"\n[disk]\nsource = \"command\"\n\
         command = [\"ssh\", \"db1\", \"a b\", \"$HOME\"]\ndata_folder = \"/data\"\ntime_limit = \"5 s\"";
    let config = with_store(text);
    let expected = DiskSettings {
        source: DiskSource::Command,
        data_folder: Some("/data".into()),
        command: ["ssh", "db1", "a b", "$HOME"].map(str::to_owned).into(),
        time_limit: Duration::from_secs(5),
    };
    assert!(config.stores.len() == 2 && config.stores.iter().all(|store| store.disk == expected));
    assert_eq!(with_store("").stores[0].disk, DiskSettings::default());
}
