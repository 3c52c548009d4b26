//! What only a store of kind `influxdb` has: who logs in, whom to trust, and the pause between drops.
//!
//! Invariant: a login is whole or absent, and its secret is not in the url.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::ConnectionSettings;
use super::document::{Section, Setting};
use super::schema;
use super::secret::{self, SecretSource, UrlKind};
use super::set_in::SetIn;
use super::values::{self, DROP_PAUSE};
use crate::problem::Result;

/// The password is where the password of every store is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InfluxSettings {
    pub user: Option<String>,
    /// Certificates (PEM) to trust instead of this machine's.
    pub ca_file: Option<PathBuf>,
    /// Between two drops, 0 s to 10 min: the server drops at the cost of everybody's queries.
    pub drop_pause: Duration,
    /// What people call these settings, for hints.
    pub set_in: SetIn,
}

const INFLUX: UrlKind = UrlKind {
    known: &schema::URL,
    schemes: ["http://", "https://"],
    no_url: " is not an http:// or https:// URL",
    example: "write http://host:8086",
    elsewhere: "together with `user`",
    parameters: &[],
};

/// The `url` of an InfluxDB: only where it is. A login in it would reach logs of servers in between.
pub(super) fn read_url(setting: &Setting<'_>, secrets: &dyn SecretSource) -> Result<SecretString> {
    let url = secret::read_url_of(&INFLUX, setting, secrets)?;
    if url.expose_secret().contains(['@', '?', '#']) {
        return Err(setting
            .fault(" has more than a host, a port and a path")
            .hint("write http://host:8086, and the login as `user` and `password`"));
    }
    Ok(url)
}

pub(super) fn read(section: &Section<'_>, connection: &ConnectionSettings) -> Result<InfluxSettings> {
    let user = section.read("user", |setting| setting.text().map(str::to_owned))?;
    if user.is_some() != connection.password.is_some() {
        let said = if user.is_some() { "a `user` and no `password`" } else { "a `password` and no `user`" };
        return Err(section.fault(format!("has {said}")).hint("set both, or neither"));
    }
    let pause =
        section.read("drop_pause", |setting| setting.parsed(|text| values::duration(text, DROP_PAUSE)))?;
    let ca_file = section.read("ca_file", absolute)?;
    let set_in = SetIn::section(&section.label, "url", "`user` and `password`");
    Ok(InfluxSettings { user, ca_file, drop_pause: pause.unwrap_or_default(), set_in })
}

fn absolute(setting: &Setting<'_>) -> Result<PathBuf> {
    let path = Path::new(setting.text()?);
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    Err(setting.fault(format!(": `{}` is not an absolute path", path.display())))
}
