//! What a folder weighs, as `du` counts: blocks instead of lengths, a file with several names once,
//! links not followed.
//!
//! Bytes are kept apart by file system, since another one may be mounted anywhere below. What vanishes
//! while we look is fine; what cannot be read is told, and then the sum is not known.

use std::collections::{BTreeMap, HashSet};
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Blocks of `stat` have this size, whatever the file system's own are.
const BLOCK: u64 = 512;

/// A file system, as `stat` numbers it.
pub type Device = u64;

/// Called right before a path is looked at; tests change the world there.
pub type Look<'a> = &'a mut dyn FnMut(&Path);

pub struct Scale<'a> {
    /// Files with several names that were weighed already, in whichever tree.
    seen: HashSet<(Device, u64)>,
    /// One path on each file system that was met.
    pub met: BTreeMap<Device, PathBuf>,
    limit: Limit,
    look: Look<'a>,
}

/// When weighing ends early: at an instant, or once nobody waits for it any more.
#[derive(Debug, Clone)]
pub struct Limit {
    pub deadline: Instant,
    pub given_up: Arc<AtomicBool>,
}

impl Limit {
    fn is_over(&self) -> bool {
        Instant::now() > self.deadline || self.given_up.load(Ordering::Relaxed)
    }
}

/// The weight of one tree.
#[derive(Debug, Default)]
pub struct Weight {
    pub by_device: BTreeMap<Device, u64>,
    /// The first place that could not be read, with the reason.
    pub unreadable: Option<String>,
}

impl Weight {
    /// `None` where a part could not be read.
    pub fn bytes(&self) -> Option<u64> {
        self.unreadable.is_none().then(|| self.by_device.values().sum())
    }
}

/// The time is over; a part of a sum is no sum.
#[derive(Debug)]
pub struct TooLong;

impl<'a> Scale<'a> {
    pub fn new(limit: Limit, look: Look<'a>) -> Self {
        Self { seen: HashSet::new(), met: BTreeMap::new(), limit, look }
    }

    /// Weighs `root` and everything below, without the trees that start at one of `apart`.
    pub fn weigh(&mut self, root: &Path, apart: &[PathBuf]) -> Result<Weight, TooLong> {
        let mut weight = Weight::default();
        let mut waiting = vec![root.to_owned()];
        while let Some(path) = waiting.pop() {
            if self.limit.is_over() {
                return Err(TooLong);
            }
            if apart.contains(&path) {
                continue;
            }
            (self.look)(&path);
            if let Err(error) = self.put_on(&path, &mut weight, &mut waiting)
                && !vanished(&error)
            {
                weight.unreadable.get_or_insert_with(|| format!("{}: {error}", path.display()));
            }
        }
        Ok(weight)
    }

    fn put_on(&mut self, path: &Path, weight: &mut Weight, waiting: &mut Vec<PathBuf>) -> io::Result<()> {
        let found = path.symlink_metadata()?;
        if self.is_new(&found) {
            *weight.by_device.entry(found.dev()).or_default() += found.blocks() * BLOCK;
            self.met.entry(found.dev()).or_insert_with(|| path.to_owned());
        }
        if found.is_dir() {
            for entry in path.read_dir()? {
                waiting.push(entry?.path());
            }
        }
        Ok(())
    }

    fn is_new(&mut self, found: &Metadata) -> bool {
        found.is_dir() || found.nlink() < 2 || self.seen.insert((found.dev(), found.ino()))
    }
}

/// Somebody removed it, or put a file in a folder's place, between two looks.
fn vanished(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
