//! `[disk]`: how the disk below the stores is measured.
//!
//! Invariant: a command is a list of arguments, never a line for a shell, and is there where it is asked for.

use std::path::PathBuf;
use std::time::Duration;

use super::document::{Section, Setting};
use super::schema;
use super::state::absolute_path;
use super::values::{self, DISK_TIME};
use crate::problem::Result;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskSettings {
    pub source: DiskSource,
    /// The server's data folder as this host sees it, where the server's own word for it is another.
    pub data_folder: Option<PathBuf>,
    /// A program and its arguments; empty for none.
    pub command: Vec<String>,
    /// How long one reading may take.
    pub time_limit: Duration,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DiskSource {
    /// The command where there is one, then this host, then SQL.
    #[default]
    Auto,
    Local,
    Sql,
    Command,
}

const SOURCES: [(&str, DiskSource); 4] = [
    ("auto", DiskSource::Auto),
    ("local", DiskSource::Local),
    ("sql", DiskSource::Sql),
    ("command", DiskSource::Command),
];

impl Default for DiskSettings {
    fn default() -> Self {
        Self {
            source: DiskSource::Auto,
            data_folder: None,
            command: Vec::new(),
            time_limit: Duration::from_mins(2),
        }
    }
}

impl DiskSettings {
    pub(super) fn read(top: &Section<'_>) -> Result<Self> {
        let default = Self::default();
        let Some(section) = top.section("disk", &schema::DISK)? else { return Ok(default) };
        let source = section.read("source", |setting| setting.choice(&SOURCES))?.unwrap_or_default();
        let command = section.read("command", arguments)?.unwrap_or_default();
        if source == DiskSource::Command && command.is_empty() {
            return Err(section
                .fault("has no `command`")
                .hint("add command = [\"ssh\", \"db1\", \"timesweep\", \"disk\", \"--output\", \"json\"]"));
        }
        let limit = |text: &str| values::duration(text, DISK_TIME);
        let limit = section.read("time_limit", |setting| setting.parsed(limit))?;
        Ok(Self {
            source,
            data_folder: section.read("data_folder", folder)?,
            command,
            time_limit: limit.unwrap_or(default.time_limit),
        })
    }
}

fn folder(setting: &Setting<'_>) -> Result<PathBuf> {
    absolute_path(setting, "/var/lib/postgresql/17/main")
}

fn arguments(setting: &Setting<'_>) -> Result<Vec<String>> {
    let needed = "a list of texts: a program and its arguments";
    let Some(values) = setting.value.get_ref().as_array() else { return Err(setting.wrong_type(needed)) };
    let texts = values.iter().map(|value| value.get_ref().as_str().map(str::to_owned));
    match texts.collect::<Option<Vec<String>>>() {
        Some(texts) if texts.first().is_some_and(|program| !program.is_empty()) => Ok(texts),
        _ => Err(setting.fault(format!(" has to be {needed}"))),
    }
}
