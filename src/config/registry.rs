//! `registry` of `[ownership]`: where it is remembered who owns what.
//!
//! Invariant: a registry is a PostgreSQL URL or an absolute path, and
//! a password in it never stands in the file.

use std::path::Path;

use secrecy::SecretString;

use super::document::{Section, Setting};
use super::schema;
use super::secret::{self, SecretSource};
use super::set_in::SetIn;
use crate::problem::Result;

/// Where it is remembered who owns what.
#[derive(Debug, Clone)]
pub struct RegistrySettings {
    /// A `postgres://` URL, or the absolute path of a SQLite file.
    pub url: SecretString,
    /// Goes before one in the URL.
    pub password: Option<SecretString>,
    /// What people call these settings, for hints.
    pub set_in: SetIn,
}

/// An example of a SQLite registry.
const FILE: &str = "/var/lib/timesweep/registry.db";

pub(super) fn read_registry(
    top: &Section<'_>,
    secrets: &dyn SecretSource,
) -> Result<Option<RegistrySettings>> {
    let Some(section) = top.section("ownership", &schema::OWNERSHIP)? else { return Ok(None) };
    let Some(url) = section.read("registry", |setting| registry(setting, secrets))? else { return Ok(None) };
    let password = section.read("registry_password", |setting| {
        secret::read_secret(setting, &schema::REGISTRY_PASSWORD, secrets)
    })?;
    let set_in = SetIn::section(&section.label, "registry", "`registry` and `registry_password`");
    Ok(Some(RegistrySettings { url, password, set_in }))
}

fn registry(setting: &Setting<'_>, secrets: &dyn SecretSource) -> Result<SecretString> {
    let is_path = |text: &str| Path::new(text).is_absolute();
    match setting.value.get_ref().as_str() {
        Some(text) if is_path(text) => Ok(text.into()),
        Some(text) if !text.contains("://") => Err(setting
            .fault(" is neither a postgres:// URL nor an absolute path")
            .hint(format!("write for example {FILE}"))),
        _ => secret::read_registry_url(setting, secrets),
    }
}
