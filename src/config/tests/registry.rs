//! `[ownership]`: where the registry may be, and what no fault repeats.

use super::*;

fn registry_of(rest: &str) -> RegistrySettings {
    with_store(&format!("[ownership]\n{rest}\n")).registry.expect(rest)
}

#[test]
fn a_registry_is_a_file_or_a_server() {
    assert!(with_store("").registry.is_none());
    let file = registry_of("registry = \"/var/lib/timesweep/registry.db\"");
    assert_eq!(file.url.expose_secret(), "/var/lib/timesweep/registry.db");
    let server = registry_of(
        "registry = { env = \"TIMESWEEP_STORE_URL\" }\nregistry_password = { file = \"/run/secrets/password\" }",
    );
    assert_eq!(server.url.expose_secret(), "postgres://me:hunter2@db/metrics");
    assert_eq!(server.password.expect("a password").expose_secret(), "hunter2");
    assert!(
        !format!("{:?}", registry_of("registry = { env = \"TIMESWEEP_STORE_URL\" }")).contains("hunter2")
    );
}

#[test]
fn what_is_no_registry_is_told_without_repeating_a_secret() {
    for (rest, told) in [
        ("registry = \"registry.db\"", "neither a postgres:// URL nor an absolute path"),
        ("registry = \"mysql://h/d\"", "is not a postgres:// URL"),
        ("registry = \"postgres://me:hunter2@h/d\"", "holds a password"),
        ("registry = { env = \"NO_URL\" }", "is not a postgres:// URL"),
        ("registry = \"/a.db\"\nregistry_password = \"hunter2\"", "is written in plain text"),
    ] {
        let shown = fault(&format!("{STORE}[ownership]\n{rest}\n"));
        assert!(shown.contains(told), "{rest}: {shown}");
    }
}
