//! Where the state is kept.
//!
//! Root keeps it for the machine, everybody else for themselves. Invariant: the path is absolute,
//! because a scheduler that starts us elsewhere must find the same journal and the same locks.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::document::{Section, Setting};
use super::schema;
use crate::problem::Result;

/// Where root keeps the state.
pub const SYSTEM_STATE_PATH: &str = "/var/lib/timesweep/state.db";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateSettings {
    /// The SQLite file; its folder may be missing still.
    pub path: PathBuf,
}

impl Default for StateSettings {
    fn default() -> Self {
        let folder = |name| std::env::var_os(name);
        Self { path: default_path(we_are_root(), folder("XDG_STATE_HOME"), folder("HOME")) }
    }
}

impl StateSettings {
    pub(super) fn read(top: &Section<'_>) -> Result<Self> {
        let Some(section) = top.section("state", &schema::STATE)? else { return Ok(Self::default()) };
        let path = section.read("path", state_file)?;
        Ok(path.map_or_else(Self::default, |path| Self { path }))
    }
}

fn state_file(setting: &Setting<'_>) -> Result<PathBuf> {
    absolute_path(setting, SYSTEM_STATE_PATH)
}

pub(super) fn absolute_path(setting: &Setting<'_>, example: &str) -> Result<PathBuf> {
    let path = Path::new(setting.text()?);
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let said = format!(": `{}` is not an absolute path", path.display());
    Err(setting.fault(said).hint(format!("write for example {example}")))
}

/// Folders that are not absolute do not count, as the XDG specification has it.
fn default_path(root: bool, state_home: Option<OsString>, home: Option<OsString>) -> PathBuf {
    let absolute = |folder: Option<OsString>| folder.map(PathBuf::from).filter(|folder| folder.is_absolute());
    let of_home = absolute(home).map(|home| home.join(".local/state"));
    match absolute(state_home).or(of_home) {
        Some(folder) if !root => folder.join("timesweep/state.db"),
        _ => SYSTEM_STATE_PATH.into(),
    }
}

/// `/proc/self` belongs to the effective user; where there is no `/proc`, nobody is taken for root.
fn we_are_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_the_machines_for_root_and_ones_own_otherwise() {
        for (root, state_home, home, path) in [
            (true, Some("/xdg"), Some("/root"), SYSTEM_STATE_PATH),
            (false, Some("/xdg"), Some("/home/me"), "/xdg/timesweep/state.db"),
            (false, None, Some("/home/me"), "/home/me/.local/state/timesweep/state.db"),
            (false, Some("xdg"), Some("/home/me"), "/home/me/.local/state/timesweep/state.db"),
            (false, Some(""), None, SYSTEM_STATE_PATH),
        ] {
            let found = default_path(root, state_home.map(Into::into), home.map(Into::into));
            assert_eq!(found, Path::new(path), "{root} {state_home:?} {home:?}");
        }
    }
}
