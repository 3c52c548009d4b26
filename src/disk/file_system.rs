//! Where a file system is mounted, how large it is and what it has left.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::retention::measured::FileSystemReading;
use crate::retention::model::ByteCount;

/// Reads the file system that `path` lies on.
pub fn read(path: &Path, holds: Vec<String>) -> io::Result<FileSystemReading> {
    let found = rustix::fs::statvfs(path)?;
    let bytes = |blocks: u64| ByteCount(blocks.saturating_mul(found.f_frsize));
    let reserved = found.f_bfree.saturating_sub(found.f_bavail);
    Ok(FileSystemReading {
        path: mount_point(path)?.display().to_string(),
        holds,
        size: bytes(found.f_blocks.saturating_sub(reserved)),
        free: bytes(found.f_bavail),
        // Some file systems make inodes as they need them, and count none.
        free_inodes: (found.f_files > 0).then_some(found.f_favail),
    })
}

/// The highest folder above an absolute path that lies on the same file system.
fn mount_point(path: &Path) -> io::Result<PathBuf> {
    let device = path.symlink_metadata()?.dev();
    let on_it = |folder: &&Path| folder.symlink_metadata().is_ok_and(|found| found.dev() == device);
    Ok(path.ancestors().take_while(on_it).last().unwrap_or(path).to_owned())
}
