//! Reads a data folder of PostgreSQL on this host: data, write-ahead log and tablespaces apart, and the
//! file systems that they lie on.
//!
//! The only links that are followed are `pg_wal` and those in `pg_tblspc`. A part that cannot be read
//! completely has no size.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::retention::measured::{DiskReading, FileSystemReading, TablespaceReading};
use crate::retention::model::ByteCount;

use super::tree::{Device, Limit, Look, Scale, TooLong, Weight};
use super::{Answer, cluster, file_system};

/// Microseconds since 1970 UTC for `now`. The error is one phrase.
pub fn read(folder: &Path, limit: &Limit, now: i64, look: Look<'_>) -> Result<Answer, String> {
    let folder = &folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
    let system = cluster::system_of(folder)?;
    let mut desk = Desk::default();
    let (wal, spaces) = (desk.wal_folder(folder), desk.tablespace_folders(folder));
    let apart: Vec<PathBuf> = wal.iter().chain(spaces.iter().filter_map(|s| s.1.as_ref())).cloned().collect();
    let mut scale = Scale::new(limit.clone(), look);
    let too_long = |TooLong| {
        format!("reading {} takes too long; `time_limit` in [disk] is in the way", folder.display())
    };

    let data = desk.note("data", scale.weigh(folder, &apart).map_err(too_long)?);
    let mut reading = DiskReading { at: now, data, ..DiskReading::default() };
    if let Some(wal) = wal {
        reading.wal = desk.note("wal", scale.weigh(&wal, &[]).map_err(too_long)?);
    }
    for (name, path) in spaces {
        let bytes = match &path {
            Some(path) => desk.note(&name, scale.weigh(path, &[]).map_err(too_long)?),
            None => None,
        };
        let path = path.map(|path| path.display().to_string());
        reading.tablespaces.push(TablespaceReading { name, path, bytes });
    }
    reading.file_systems = desk.file_systems(&scale.met);
    Ok(Answer { reading, system: Some(system), unknown: desk.unknown })
}

/// What is put together while the parts are weighed.
#[derive(Default)]
struct Desk {
    /// The parts on each file system, in the order of the reading.
    holds: BTreeMap<Device, Vec<String>>,
    unknown: Vec<String>,
}

impl Desk {
    fn note(&mut self, part: &str, weight: Weight) -> Option<ByteCount> {
        for device in weight.by_device.keys() {
            self.holds.entry(*device).or_default().push(part.to_owned());
        }
        let bytes = weight.bytes().map(ByteCount);
        if let Some(why) = weight.unreadable {
            self.unknown.push(format!("the size of {part} is unknown: {why}"));
        }
        bytes
    }

    fn wal_folder(&mut self, folder: &Path) -> Option<PathBuf> {
        let found = folder.join("pg_wal").canonicalize();
        found.map_err(|error| self.unknown.push(format!("the size of wal is unknown: pg_wal: {error}"))).ok()
    }

    /// Links that lead to a tablespace on this host, by their names, which are object ids; what leads nowhere is
    /// told. A link is the server's: where it runs in a root of its own, ours has something else there, or nothing.
    fn tablespace_folders(&mut self, folder: &Path) -> Vec<(String, Option<PathBuf>)> {
        let links = match fs::read_dir(folder.join("pg_tblspc")) {
            Ok(links) => links,
            Err(error) => {
                self.unknown.push(format!("the tablespaces are unknown: pg_tblspc: {error}"));
                return Vec::new();
            }
        };
        let mut found: Vec<_> = links.flatten().map(|link| self.tablespace(&link.path())).collect();
        found.sort();
        found
    }

    fn tablespace(&mut self, link: &Path) -> (String, Option<PathBuf>) {
        let name = link.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let target = link.canonicalize().map_err(|error| error.to_string());
        let target = target.and_then(|target| {
            if holds_tablespace(&target) { Ok(target) } else { Err("it leads to none".into()) }
        });
        match target {
            Ok(target) => (name, Some(target)),
            Err(why) => {
                self.unknown
                    .push(format!("the size of tablespace {name} is unknown: {}: {why}", link.display()));
                (name, None)
            }
        }
    }

    fn file_systems(&mut self, met: &BTreeMap<Device, PathBuf>) -> Vec<FileSystemReading> {
        let mut found = Vec::new();
        for (device, holds) in std::mem::take(&mut self.holds) {
            let Some(path) = met.get(&device) else { continue };
            // The first path that was met is the tree's own root or a mount point, so it does not vanish.
            match file_system::read(path, holds) {
                Ok(reading) => found.push(reading),
                Err(error) => {
                    self.unknown.push(format!("the file system of {} is unknown: {error}", path.display()));
                }
            }
        }
        found.sort_by(|one, other| one.path.cmp(&other.path));
        found
    }
}

/// PostgreSQL makes one folder per version in it: `PG_17_202406281`.
fn holds_tablespace(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name());
    names.any(|name| name.to_string_lossy().starts_with("PG_"))
}
