//! The disk below a store: what its folders weigh and what its file systems have left.
//!
//! Read on this host where the data folder is here and belongs to this very server, by a configured command,
//! or from what the server says. Invariant: a measurement never fails a run; what cannot be had
//! is *unknown*, with one sentence why, and is never guessed from a part of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::config::{DiskSettings, DiskSource};
use crate::problem::{Problem, Result};
use crate::retention::measured::{DiskFacts, DiskReading, TablespaceReading};

mod cluster;
mod command;
mod file_system;
mod local;
mod tree;

use tree::Limit;

#[cfg(test)]
mod tests;

pub const THIS_HOST: &str = "this host";
pub const SQL: &str = "SQL";

/// One look, from whatever source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measurement {
    pub source: String,
    pub reading: Option<DiskReading>,
    /// What is not known, and why; one sentence each.
    pub unknown: Vec<String>,
}

/// What reading a data folder gives, and what a configured command has to print as JSON: a
/// [`DiskReading`] with two more fields that may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    #[serde(flatten)]
    pub reading: DiskReading,
    /// The system identifier of the cluster that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

/// What the store says of itself, as far as it could be asked.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    pub facts: Option<&'a DiskFacts>,
    /// The system identifier of the store's cluster.
    pub system: &'a str,
    /// Microseconds since 1970 UTC, by our clock.
    pub now: i64,
}

/// Measures by the configured source. `None` where there is nothing to measure: a store without a disk.
pub async fn measure(settings: &DiskSettings, known: Known<'_>) -> Option<Measurement> {
    match settings.source {
        DiskSource::Command => Some(by_command(settings, known).await),
        DiskSource::Auto if !settings.command.is_empty() => Some(by_command(settings, known).await),
        _ => by_reading(settings, known, known.facts?).await,
    }
}

/// Reads a data folder on this host, without asking any server.
pub async fn read_folder(folder: &Path, settings: &DiskSettings, now: i64) -> Result<Answer> {
    let answer = on_this_host(folder.to_owned(), settings, now).await;
    answer.map_err(|why| {
        Problem::unreachable(format!("the disk below {} cannot be read", folder.display()))
            .cause(why)
            .hint("name the folder that `SHOW data_directory` tells, and run as root or as the server's user")
    })
}

async fn by_reading(settings: &DiskSettings, known: Known<'_>, facts: &DiskFacts) -> Option<Measurement> {
    let local = match settings.source {
        DiskSource::Sql => return Some(by_sql(facts, known.now, None)),
        _ => locally(settings, known, facts).await,
    };
    Some(match local {
        Ok(answer) => Measurement {
            source: THIS_HOST.into(),
            reading: Some(with_names(answer.reading, facts)),
            unknown: answer.unknown,
        },
        Err(why) if settings.source == DiskSource::Local => {
            Measurement { source: THIS_HOST.into(), reading: None, unknown: vec![why] }
        }
        Err(why) => by_sql(facts, known.now, Some(&why)),
    })
}

/// Only a folder that is this very server's counts.
async fn locally(
    settings: &DiskSettings,
    known: Known<'_>,
    facts: &DiskFacts,
) -> std::result::Result<Answer, String> {
    let folder = match (&settings.data_folder, &facts.data_folder) {
        (Some(folder), _) => folder.clone(),
        (None, Some(folder)) => PathBuf::from(folder),
        (None, None) => {
            return Err("our role may not see where the data folder is (pg_read_all_settings); \
                        `data_folder` in [disk] names it as well"
                .into());
        }
    };
    cluster::is_the_servers(&folder, known.system, facts)?;
    on_this_host(folder, settings, known.now).await
}

async fn on_this_host(
    folder: PathBuf,
    settings: &DiskSettings,
    now: i64,
) -> std::result::Result<Answer, String> {
    let given_up = Arc::new(AtomicBool::new(false));
    let limit = Limit { deadline: Instant::now() + settings.time_limit, given_up: Arc::clone(&given_up) };
    // Where this future is dropped, the thread that reads has to end as well.
    let _guard = GivenUp(given_up);
    let reading = tokio::task::spawn_blocking(move || local::read(&folder, &limit, now, &mut |_| {}));
    reading.await.map_err(|error| format!("reading the data folder broke off: {error}"))?
}

struct GivenUp(Arc<AtomicBool>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The links of tablespaces have numbers; their names only the server knows.
fn with_names(mut reading: DiskReading, facts: &DiskFacts) -> DiskReading {
    for fact in &facts.tablespaces {
        let number = fact.oid.to_string();
        for space in reading.tablespaces.iter_mut().filter(|space| space.name == number) {
            space.name.clone_from(&fact.name);
        }
        for holds in reading.file_systems.iter_mut().flat_map(|system| &mut system.holds) {
            if *holds == number {
                holds.clone_from(&fact.name);
            }
        }
    }
    reading
}

/// No server says how much room is left, so the file systems stay unknown.
fn by_sql(facts: &DiskFacts, now: i64, why_not_here: Option<&str>) -> Measurement {
    let space = |fact: &crate::retention::measured::TablespaceFacts| TablespaceReading {
        name: fact.name.clone(),
        path: fact.path.clone(),
        bytes: fact.bytes,
    };
    let reading = DiskReading {
        at: now,
        data: facts.data,
        wal: facts.wal,
        tablespaces: facts.tablespaces.iter().map(space).collect(),
        file_systems: Vec::new(),
    };
    Measurement {
        source: SQL.into(),
        unknown: unknown_by_sql(&reading, why_not_here),
        reading: Some(reading),
    }
}

fn unknown_by_sql(reading: &DiskReading, why_not_here: Option<&str>) -> Vec<String> {
    let mut unknown = vec![match why_not_here {
        Some(why) => format!("the file systems are unknown: {why}"),
        None => "the file systems are unknown: no server can be asked for them by SQL".into(),
    }];
    let mut add = |what: &str, right: &str| {
        unknown.push(format!("the size of {what} is unknown: our role may not measure it ({right})"));
    };
    if reading.data.is_none() {
        add("the data folder", "pg_read_all_stats");
    }
    if reading.wal.is_none() {
        add("the write-ahead log", "pg_monitor");
    }
    for space in reading.tablespaces.iter().filter(|space| space.bytes.is_none()) {
        add(&format!("tablespace {}", space.name), "pg_read_all_stats");
    }
    unknown
}

async fn by_command(settings: &DiskSettings, known: Known<'_>) -> Measurement {
    let source = format!("the command {}", settings.command.first().map_or("", String::as_str));
    match command::ask(&settings.command, settings.time_limit).await.and_then(|answer| ours(answer, known)) {
        Ok(answer) => Measurement {
            source,
            // Samples are compared with each other, so they all go by our clock.
            reading: Some(DiskReading {
                at: known.now,
                ..match known.facts {
                    Some(facts) => with_names(answer.reading, facts),
                    None => answer.reading,
                }
            }),
            unknown: answer.unknown,
        },
        Err(why) => Measurement {
            unknown: vec![format!("the disk is unknown: {source} {why}")],
            source,
            reading: None,
        },
    }
}

fn ours(answer: Answer, known: Known<'_>) -> std::result::Result<Answer, String> {
    match &answer.system {
        Some(system) if system != known.system => {
            Err(format!("tells of cluster {system}, and the store is of cluster {}", known.system))
        }
        _ => Ok(answer),
    }
}
