//! `[stores.NAME]`: where a store is, how to get in, and how hard to work there.
//!
//! Invariant: a store that is built has a URL of its kind, and its secrets have been read.

use super::document::{Section, Setting};
use super::influx;
use super::secret::{self, SecretSource};
use super::sessions;
use super::values::{self, LOCK_TIMEOUT};
use super::{ConnectionSettings, DiskSettings, ExecutionSettings, InfluxSettings, StoreConfig, StoreKind};
use crate::problem::Result;
use crate::retention::model::StoreName;
use crate::retention::rules::Rules;

const KINDS: [(&str, StoreKind); 3] =
    [("timescale", StoreKind::Timescale), ("influxdb", StoreKind::InfluxDb), ("schemas", StoreKind::Schemas)];

/// Reads one store; its policies, limits and disk are added by the caller.
pub(super) fn read(name: String, section: &Section<'_>, secrets: &dyn SecretSource) -> Result<StoreConfig> {
    let kind = section.read("kind", |setting| setting.choice(&KINDS))?.unwrap_or_default();
    refuse_settings_of_others(kind, section)?;
    let connection = read_connection(kind, section, secrets)?;
    let influx = match kind {
        StoreKind::InfluxDb => influx::read(section, &connection)?,
        StoreKind::Timescale | StoreKind::Schemas => InfluxSettings::default(),
    };
    Ok(StoreConfig {
        name: StoreName(name),
        kind,
        connection,
        execution: read_execution(section)?,
        rules: read_rules(section)?,
        disk: DiskSettings::default(),
        sessions: sessions::read(section)?,
        never: section
            .read("never", |setting| setting.list_of(|name| Ok(name.to_owned())))?
            .unwrap_or_default(),
        influx,
    })
}

/// A setting that has no effect on a store of this kind would be taken for one that has.
fn refuse_settings_of_others(kind: StoreKind, section: &Section<'_>) -> Result<()> {
    let foreign: &[&'static str] = match kind {
        StoreKind::Timescale => &["never", "user", "ca_file", "drop_pause"],
        StoreKind::Schemas => &["user", "ca_file", "drop_pause"],
        StoreKind::InfluxDb => &["sessions", "lock_timeout"],
    };
    match foreign.iter().find_map(|key| section.setting(key)) {
        Some(setting) => Err(setting.fault(format!(": a store of kind `{kind}` has no such setting"))),
        None => Ok(()),
    }
}

fn read_connection(
    kind: StoreKind,
    section: &Section<'_>,
    secrets: &dyn SecretSource,
) -> Result<ConnectionSettings> {
    let read_url = match kind {
        StoreKind::Timescale | StoreKind::Schemas => secret::read_url,
        StoreKind::InfluxDb => influx::read_url,
    };
    let Some(url) = section.read("url", |setting| read_url(setting, secrets))? else {
        return Err(section.fault("has no `url`").hint("add url = { env = \"TIMESWEEP_STORE_URL\" }"));
    };
    let password = section.read("password", |setting| secret::read_password(setting, secrets))?;
    Ok(ConnectionSettings { url, password })
}

fn read_execution(section: &Section<'_>) -> Result<ExecutionSettings> {
    let default = ExecutionSettings::default();
    let lock_timeout = |text: &str| values::duration(text, LOCK_TIMEOUT);
    let lock_timeout = section.read("lock_timeout", |setting| setting.parsed(lock_timeout))?;
    let parallelism = section.read("parallelism", |setting| setting.number(1..=16))?;
    let attempts = section.read("attempts", |setting| setting.number(1..=100))?;
    Ok(ExecutionSettings {
        parallelism: parallelism.unwrap_or(default.parallelism),
        lock_timeout: lock_timeout.unwrap_or(default.lock_timeout),
        attempts: attempts.unwrap_or(default.attempts),
    })
}

fn read_rules(section: &Section<'_>) -> Result<Rules> {
    let default = Rules::default();
    let zone = section.read("zone", |setting| setting.parsed(values::zone))?;
    let take_over = section.read("take_over_native_policies", Setting::flag)?;
    Ok(Rules {
        zone: zone.unwrap_or_else(|| default.zone.clone()),
        take_over_native_policies: take_over.unwrap_or(default.take_over_native_policies),
        ..default
    })
}
