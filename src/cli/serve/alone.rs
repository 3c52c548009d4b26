//! Whether another `serve` writes into the same state.
//!
//! That loses nothing, but each of the two forgets quiet passes and tries mails of the other. Invariant: a look at it
//! never keeps a process from serving.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A file of its own: SQLite loses its locks where somebody else closes the state.
const BESIDE: &str = "-serve";

/// Keep it as long as the process serves. `None`: somebody else has it, or nobody can tell.
pub fn claim(state: &Path) -> Option<File> {
    let mut path = state.as_os_str().to_owned();
    path.push(BESIDE);
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).ok()?;
    match file.try_lock() {
        Ok(()) => Some(file),
        Err(TryLockError::WouldBlock) => {
            let state = state.display();
            tracing::warn!(%state, "another `timesweep serve` has this state as well: give each replica a file of its own");
            None
        }
        Err(TryLockError::Error(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::claim;

    #[test]
    fn one_has_the_state_until_it_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("state.db");
        let first = claim(&state);
        assert!(first.is_some() && claim(&state).is_none());
        drop(first);
        assert!(claim(&state).is_some());
        assert!(claim(&folder.path().join("nowhere/state.db")).is_none());
    }
}
