//! One at a time in a folder of tickets, while a word is read, decided about and written.
//!
//! The lock is the folder's own: it leaves no file behind, and it ends with the process. Invariant: whoever waits
//! gives up after a while, since any program that may read the folder could hold it.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// Held until it is dropped.
#[derive(Debug)]
pub struct FolderLock {
    _folder: File,
}

pub fn lock(folder: &Path) -> io::Result<FolderLock> {
    lock_within(folder, PATIENCE)
}

fn lock_within(path: &Path, patience: Duration) -> io::Result<FolderLock> {
    let folder = File::open(path)?;
    let give_up = Instant::now() + patience;
    loop {
        match folder.try_lock() {
            // Some network file systems cannot lock a folder, and have nothing better.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(FolderLock { _folder: folder }),
            Err(TryLockError::WouldBlock) if Instant::now() < give_up => std::thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(
                    io::ErrorKind::WouldBlock,
                    "another program keeps its folder locked",
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_by_one_at_a_time_and_nobody_waits_for_ever() {
        let place = tempfile::tempdir().expect("a folder");
        let first = lock(place.path()).expect("the lock");
        let second = lock_within(place.path(), Duration::from_millis(50)).expect_err("locked");
        assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
        drop(first);
        assert!(lock(place.path()).is_ok());
        assert_eq!(std::fs::read_dir(place.path()).expect("the folder").count(), 0, "nothing is left");
    }
}
