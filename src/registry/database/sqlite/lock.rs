//! One runner at a time on this host: a lock on a file beside the registry.
//!
//! The operating system gives the lock back when the process ends, however it ends. Invariant: the file is
//! never removed by us, so that two runners always mean the same one; whose file was removed has lost the lock.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use async_trait::async_trait;
use rustix::fs::{FlockOperation, flock};

use crate::problem::{Kind, Problem, Result};
use crate::registry::RunnerLock;

pub(super) struct FileLock(File);

pub(super) fn take(registry: &Path, run: &str) -> Result<FileLock> {
    let mut path = registry.as_os_str().to_owned();
    path.push(".lock");
    let label = path.display().to_string();
    let failed = |error: &dyn std::error::Error| {
        Problem::unreachable(format!("the lock file {label} cannot be used")).cause(error.to_string())
    };
    let opened =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = opened.map_err(|error| failed(&error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Err(held_by_another(&mut file)),
        Err(error) => return Err(failed(&error)),
    }
    write_holder(&mut file, run).map_err(|error| failed(&error))?;
    Ok(FileLock(file))
}

/// For whoever comes second.
fn write_holder(file: &mut File, run: &str) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{run} (process {})", std::process::id())
}

fn held_by_another(file: &mut File) -> Problem {
    let mut holder = String::new();
    let _ = file.take(1_000).read_to_string(&mut holder);
    let holder = if holder.is_empty() { "another runner" } else { &holder };
    Problem::busy(format!("{holder} is at work on this registry")).hint("try again when it has ended")
}

#[async_trait]
impl RunnerLock for FileLock {
    async fn verify(&mut self) -> Result<()> {
        if self.0.metadata().is_ok_and(|found| found.nlink() > 0) {
            return Ok(());
        }
        Err(Problem::new(Kind::Partial, "the runner's lock on the registry is lost: its file was removed")
            .hint("run again; what was dropped until now is in the journal"))
    }
}
