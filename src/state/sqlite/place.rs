//! Where the state file lies: is the path plausible, may it be made, who may read it.
//!
//! The file is made with mode 0600 and its folder with 0700 before SQLite sees them, because reasons and
//! names in it are nobody else's business. Modes that are there already are left as they are.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::problem::{Problem, Result};

const HINT: &str = "name a file in a folder of its own with --state, or as `path` of [state], such as /var/lib/timesweep/state.db";

/// An absolute path, so that SQLite reads it neither as `:memory:` nor as a URI; refuses what is plainly wrong.
pub(super) fn checked(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path)
        .map_err(|error| Problem::usage("the path of the state file is empty").because(&error).hint(HINT))?;
    let label = label(&absolute);
    if absolute.to_str().is_none_or(|text| text.contains('\0')) {
        return Err(
            Problem::usage(format!("the path of the state file {label} is not plain text")).hint(HINT)
        );
    }
    match absolute.metadata() {
        Ok(found) if found.is_dir() => {
            Err(Problem::usage(format!("{label} is a folder, but the state is a file")).hint(HINT))
        }
        Ok(found) if !found.is_file() => {
            Err(Problem::usage(format!("{label} is not an ordinary file")).hint(HINT))
        }
        Err(error) if error.kind() == ErrorKind::NotADirectory => Err(folder_is_a_file(&label, &error)),
        _ => Ok(absolute),
    }
}

pub(super) fn label(path: &Path) -> String {
    path.display().to_string()
}

/// Makes the folder and an empty file where they are missing.
pub(super) fn prepare(path: &Path) -> Result<()> {
    if let Some(folder) = path.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| cannot_make("the folder", &label(folder), &error))?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(cannot_make("the state file", &label(path), &error))
        }
        _ => Ok(()),
    }
}

/// False where there is no file, or an empty one that nothing was ever written to.
pub(super) fn holds_something(path: &Path) -> Result<bool> {
    match File::open(path).and_then(|file| file.metadata()) {
        Ok(found) => Ok(found.len() > 0),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(cannot_read(&label(path), &error)),
    }
}

/// True where changes may wait beside the file that are not in it yet.
pub(super) fn has_write_ahead_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    File::open(&log)
        .and_then(|file| file.metadata())
        .map_or_else(|error| error.kind() != ErrorKind::NotFound, |found| found.len() > 0)
}

fn folder_is_a_file(label: &str, error: &io::Error) -> Problem {
    Problem::usage(format!("the state file {label} lies below something that is not a folder"))
        .because(error)
        .hint(HINT)
}

fn cannot_read(label: &str, error: &io::Error) -> Problem {
    Problem::unreachable(format!("the state file {label} cannot be read")).because(error).hint(
        "give this user access to it and to the folders above it, or run timesweep as the user who owns the state",
    )
}

fn cannot_make(what: &str, label: &str, error: &io::Error) -> Problem {
    let hint = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space on that disk and start again",
        ErrorKind::ReadOnlyFilesystem => {
            "that disk is mounted read-only; name another file with --state, or as `path` of [state]"
        }
        _ => "give this user write access there, or name another file with --state, or as `path` of [state]",
    };
    Problem::unreachable(format!("{what} {label} cannot be created")).because(error).hint(hint)
}
