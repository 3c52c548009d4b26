//! What an error of the state file means, said in one sentence with a way out.
//!
//! SQLite's own words ("unable to open database file") stay as the cause. The low byte of its code is the
//! class of an error; the rest says more.

use sqlx::Error;

use crate::problem::{Kind, Problem};

const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READ_ONLY: i32 = 8;
const INPUT_OUTPUT: i32 = 10;
const DAMAGED: i32 = 11;
const FULL: i32 = 13;
const CANNOT_OPEN: i32 = 14;
const NO_DATABASE: i32 = 26;
/// A `RAISE` of one of our triggers.
const TRIGGER: i32 = 1811;
const FOREIGN_KEY: i32 = 787;

const RIGHTS: &str = "give this user write access to the file and its folder, or name another file with --state, or as `path` of [state]";
const START_ANEW: &str =
    "restore it from a backup; or move it away, and timesweep begins a new one without journal and holds";

pub(super) fn explain(label: &str, error: &Error) -> Problem {
    let (kind, sentence, hint) = match class(error) {
        Some(BUSY | LOCKED) => (
            Kind::Busy,
            format!("the state file {label} is locked by another program"),
            "try again when it has finished; `fuser FILE` names it",
        ),
        Some(READ_ONLY) => (Kind::Unreachable, format!("the state file {label} cannot be written"), RIGHTS),
        Some(FULL) => (
            Kind::Unreachable,
            format!("the disk that holds the state file {label} is full"),
            "free some space there, or move the state to another disk, and name it with --state, or as `path` of [state]",
        ),
        Some(NO_DATABASE) => (
            Kind::Unreachable,
            format!("{label} is not a timesweep state: it is no SQLite database"),
            "name another file with --state, or as `path` of [state]",
        ),
        Some(DAMAGED) => (Kind::Unreachable, format!("the state file {label} is damaged"), START_ANEW),
        Some(CANNOT_OPEN) => (Kind::Unreachable, format!("the state file {label} cannot be opened"), RIGHTS),
        Some(INPUT_OUTPUT) => (
            Kind::Unreachable,
            format!("the state file {label} cannot be read or written completely"),
            "look at the disk and the kernel log; it may be full, broken or a network drive without locks",
        ),
        _ => (Kind::Unreachable, format!("the state file {label} does not answer as it should"), START_ANEW),
    };
    Problem::new(kind, sentence).because(error).hint(hint)
}

pub(super) fn newer(label: &str, theirs: i64, ours: i64) -> Problem {
    Problem::unreachable(format!("the state file {label} was written by a newer timesweep"))
        .cause(format!("it has version {theirs}, this program knows versions up to {ours}"))
        .hint("use the newer timesweep, or name another file with --state, or as `path` of [state]")
}

pub(super) fn older(label: &str) -> Problem {
    Problem::unreachable(format!("the state file {label} is of an older timesweep, and a preview does not change it"))
        .hint("any command that writes brings it up to date, such as `timesweep run --apply` or `timesweep hold add`")
}

pub(super) fn foreign(label: &str) -> Problem {
    Problem::unreachable(format!("{label} is not a timesweep state: it is the database of another program"))
        .hint("name another file with --state, or as `path` of [state]")
}

pub(super) fn altered(label: &str, error: &sqlx::migrate::MigrateError) -> Problem {
    Problem::unreachable(format!("the tables in the state file {label} are not those of this timesweep"))
        .because(error)
        .hint("use the timesweep that wrote it, or name another file with --state, or as `path` of [state]")
}

pub(super) fn unread_log(label: &str, error: &Error) -> Problem {
    Problem::unreachable(format!(
        "the state file {label} has changes beside it that cannot be read in a read-only folder"
    ))
    .because(error)
    .hint("run any timesweep command once as the user who owns the state, or with write access to its folder")
}

/// SQLite may not make the files it needs beside a database.
pub(super) fn is_without_side_files(error: &Error) -> bool {
    matches!(class(error), Some(CANNOT_OPEN | READ_ONLY))
}

pub(super) fn is_locked(error: &Error) -> bool {
    matches!(class(error), Some(BUSY | LOCKED))
}

/// A call that wants to change what was written for good.
pub(in crate::state) fn is_contradiction(error: &Error) -> bool {
    code(error) == Some(TRIGGER) || unique_violation(error)
}

/// A call that names a run or an intent that is not there.
pub(in crate::state) fn is_missing_reference(error: &Error) -> bool {
    code(error) == Some(FOREIGN_KEY)
}

fn unique_violation(error: &Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

fn class(error: &Error) -> Option<i32> {
    code(error).map(|code| code & 0xff)
}

fn code(error: &Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}
