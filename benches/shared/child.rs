//! Runs a program to its end and tells how long it took and how much memory it had at its peak.

use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often we look whether it has ended: what a measured time may be too long.
const LOOK_EVERY: Duration = Duration::from_micros(200);

#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub took: Duration,
    /// Largest resident set, in bytes.
    pub peak_memory: u64,
}

/// Blocks. Both outputs of the program go to the file; it is killed at the time limit.
pub fn run(command: &mut Command, output: &Path, limit: Duration) -> io::Result<Ended> {
    let file = File::create(output)?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let begin = Instant::now();
    let mut child = command.spawn()?;
    loop {
        if let Some((status, peak_memory)) = reap(&child)? {
            return Ok(Ended { status, took: begin.elapsed(), peak_memory });
        }
        if begin.elapsed() > limit {
            child.kill()?;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Exit status and peak memory of a child that has ended.
#[allow(unsafe_code)]
fn reap(child: &Child) -> io::Result<Option<(ExitStatus, u64)>> {
    let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    let mut status = 0;
    // SAFETY: `rusage` is plain numbers, for which all zeroes are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to our own variables, and wait4 writes nothing else. Nobody else waits
    // for this child: `run` never calls `Child::wait`.
    match unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, &raw mut usage) } {
        0 => Ok(None),
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(Some((ExitStatus::from_raw(status), peak_bytes(&usage)))),
    }
}

/// Linux counts in kibibytes.
fn peak_bytes(usage: &libc::rusage) -> u64 {
    u64::try_from(usage.ru_maxrss).unwrap_or_default() * 1024
}
