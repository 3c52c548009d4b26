//! Points where a test can kill this process, to prove that a run survives being cut off there.
//!
//! Only debug builds look at `TIMESWEEP_KILL_AT`; in a release build [`reach`] is empty. The value is
//! `NAME` or `NAME:N` (the N-th time the point is reached, counted from 1).

#[cfg(debug_assertions)]
use std::sync::atomic::{AtomicUsize, Ordering};

/// Says that a step of the journal was reached; ends the process by SIGKILL where a test asks for it.
#[cfg(debug_assertions)]
pub fn reach(point: &str) {
    static REACHED: AtomicUsize = AtomicUsize::new(0);
    let Ok(wanted) = std::env::var("TIMESWEEP_KILL_AT") else { return };
    let (name, count) = wanted.split_once(':').unwrap_or((&wanted, "1"));
    if name == point && (REACHED.fetch_add(1, Ordering::SeqCst) + 1).to_string() == count {
        kill_this_process();
    }
}

#[cfg(not(debug_assertions))]
pub fn reach(_point: &str) {}

#[cfg(debug_assertions)]
#[allow(unsafe_code)]
fn kill_this_process() {
    // SAFETY: kill(2) with our own process id has no memory effects; it never returns to us.
    unsafe {
        libc::kill(libc::getpid(), libc::SIGKILL);
    }
    loop {
        std::thread::park();
    }
}
