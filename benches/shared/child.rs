//! Runs a program to its end and tells how long it took and how much memory it had at its peak.

use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Every so many looks its memory is read.
const LOOKS: u32 = 20;
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
    let (mut looks, mut peak_memory) = (0_u32, None);
    loop {
        if let Some((status, counted)) = reap(&child)? {
            let peak_memory = peak_memory.unwrap_or(counted);
            return Ok(Ended { status, took: begin.elapsed(), peak_memory });
        }
        looks += 1;
        if looks.is_multiple_of(LOOKS) {
            peak_memory = peak_memory.max(resident(&child));
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

/// The most that it had until now. What is counted at its end is never less than what we had ourselves when we
/// started it, so that is taken only for a program that ended at once.
fn resident(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

/// Linux counts in kibibytes.
fn peak_bytes(usage: &libc::rusage) -> u64 {
    u64::try_from(usage.ru_maxrss).unwrap_or_default() * 1024
}
