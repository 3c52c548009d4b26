//! Secrets that are missing, misplaced or malformed; `fault` looks for a leak every time.

use secrecy::ExposeSecret;

use super::{check_faults, fault, parse};
use crate::config::Config;

#[test]
fn a_secret_that_is_missing_says_which_and_one_that_is_there_stays_hidden() {
    let url = |url: &str| fault(&format!("[stores.main]\nurl = {url}"));
    let place = "t.toml, line 2: `url` of [stores.main]";
    let set_it = "hint: set it for the account that runs timesweep, or name a file with { file = \"…\" }";
    let env = "t.toml, line 2: `env` of `url` of [stores.main]";
    let file = "t.toml, line 2: `file` of `url` of [stores.main]";
    let no_url = "is not a postgres:// URL\nhint: write postgres://user@host:5432/database";
    for (given, expected) in [
        ("{ env = \"ABSENT\" }", format!("{env}: the environment variable ABSENT is not set\n{set_it}")),
        ("{ env = \"EMPTY\" }", format!("{env}: the environment variable EMPTY is empty\n{set_it}")),
        ("{ env = \"NO_URL\" }", format!("{place} {no_url}")),
        (
            "{ env = \"postgres://me:hunter2@db/x\" }",
            format!("{env} has to be the name of an environment variable"),
        ),
        (
            "{ file = \"/absent\" }",
            format!(
                "{file}: the file /absent cannot be read\n  because: No such file or directory (os error 2)\nhint: the account that runs timesweep has to be able to read it"
            ),
        ),
        ("{ file = \"/run/secrets/empty\" }", format!("{file}: the file /run/secrets/empty is empty")),
        ("{ file = \"hunter2\" }", format!("{file} has to be the absolute path of a file")),
        ("{ env = \"A\", file = \"/b\" }", format!("{place} needs either `env` or `file`")),
        ("{}", format!("{place} needs either `env` or `file`")),
        ("\"mysql://me@db/x\"", format!("{place} {no_url}")),
        (
            "\"postgres://me:hunter2@db/x\"",
            format!(
                "{place} holds a password, which does not belong in this file\nhint: name the URL with {{ env = \"…\" }} or {{ file = \"…\" }}, or leave the password out of it and use `password`, PGPASSWORD or ~/.pgpass"
            ),
        ),
    ] {
        assert_eq!(url(given), expected, "{given}");
    }
    check_faults(&[(
        "password = \"hunter2\"",
        "t.toml, line 3: `password` of [stores.main] is written in plain text\nhint: name it with { env = \"…\" } or { file = \"…\" }, or leave it out and use PGPASSWORD or ~/.pgpass",
    )]);
}

#[test]
fn no_secret_is_in_a_debug_text_or_in_a_fault_beside_it() {
    let secret = "[stores.main]\nurl = { env = \"TIMESWEEP_STORE_URL\" }\npassword = { file = \"/run/secrets/password\" }\n";
    let config = parse(secret).expect("config");
    let url = config.stores[0].connection.url.expose_secret();
    assert!(url.contains("hunter2"), "the test would show nothing");
    assert!(!format!("{config:?} {config:#?}").contains("hunter2"));
    // `fault` itself looks for the secret.
    assert_eq!(
        fault("[stores.main]\nurl = \"postgres://me:hunter2@db/x"),
        "t.toml, line 2: this is not valid TOML\n  because: invalid basic string, expected `\"`"
    );
    assert_eq!(
        fault("[stores.main]\nurl = postgres://me:hunter2@db/x"),
        "t.toml, line 2: this is not valid TOML\n  because: string values must be quoted, expected literal string"
    );
    assert_eq!(
        fault("[stores.\"postgres://me:hunter2@db/x\"]\nzone = \"UTC\""),
        "t.toml, line 1: a name under [stores] may have letters, digits, `-` and `_` only"
    );
    assert_eq!(
        fault("[caps]\n\"postgres://me:hunter2@db/x\" = 1"),
        "t.toml, line 2: [caps] has a setting that timesweep does not know"
    );
}

#[test]
fn a_real_file_is_read_with_its_real_secret_file() {
    let folder = tempfile::tempdir().expect("folder");
    let (config, secret) = (folder.path().join("t.toml"), folder.path().join("url"));
    std::fs::write(&secret, "postgres://me:hunter2@db/metrics\n").expect("secret");
    std::fs::write(&config, format!("[stores.main]\nurl = {{ file = {secret:?} }}\n")).expect("config");
    let read = Config::read(&config).expect("config");
    assert_eq!(read.stores[0].connection.url.expose_secret(), "postgres://me:hunter2@db/metrics");
}
