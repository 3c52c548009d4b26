//! Writes a file so that a reader finds the old one or the whole new one, whatever happens meanwhile.
//!
//! Invariant: nothing but an ordinary file is ever replaced, and a failed write leaves no temporary file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Writes beside `path`, to disk, and only then gives it the name.
pub fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    write_locked(path, content, mode).map(|_| ())
}

/// Whether files can be made in this folder; leaves none.
pub fn try_out(folder: &Path) -> io::Result<()> {
    let path = temporary(&folder.join("timesweep"));
    write_new(&path, b"", 0o600)?;
    fs::remove_file(path)
}

/// The same, with the file locked from before it has its name; the lock ends with the handle.
pub fn write_locked(path: &Path, content: &[u8], mode: u32) -> io::Result<File> {
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::other("there is something else than an ordinary file of that name"));
    }
    let beside = temporary(path);
    let written = write_new(&beside, content, mode).and_then(|file| fs::rename(&beside, path).map(|()| file));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    let file = written?;
    sync_folder(path);
    Ok(file)
}

fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    path.with_file_name(format!(".{name}.{}.new", std::process::id()))
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<File> {
    // A file of this name is of a process that had our number and was killed.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.lock()?;
    file.write_all(content)?;
    file.sync_all()?;
    Ok(file)
}

/// The new name is on disk as well; a file system that cannot do this has nothing better.
fn sync_folder(path: &Path) {
    if let Some(folder) = path.parent()
        && let Ok(folder) = File::open(folder)
    {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_replaced_whole_and_with_its_mode() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("report.txt");
        for content in ["a long first text", "short"] {
            write(&path, content.as_bytes(), 0o600).expect("written");
            assert_eq!(fs::read_to_string(&path).expect("read"), content);
        }
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
    }

    #[test]
    fn a_write_that_fails_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(write(&folder.path().join("gone/report.txt"), b"x", 0o600).is_err());
        let device = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/full", &device).expect("a link");
        assert!(write(&device, b"x", 0o600).is_err());
        assert!(fs::symlink_metadata(&device).expect("there").is_symlink());
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
    }
}
