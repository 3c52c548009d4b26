//! The ticket as a file: `<prefix>_<vm>_<YYYY-MM-DD>` in one folder.
//!
//! Whoever looks finds no ticket or a whole one: it is written beside its place, brought to disk, and then
//! linked (a new one, so that of two programs one wins) or renamed (another chunk status).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;

use super::folder_lock::{self, FolderLock};
use super::note::Note;
use super::ticket::{ChunkStatus, EXPECTED, Ticket};
use crate::config::GateSettings;
use crate::crash_point;
use crate::problem::{Problem, Result};

/// No ticket is longer. More is another program's file.
const MOST_BYTES: u64 = 16 * 1024;
/// The programs that read tickets run under accounts of their own.
const MODE: u32 = 0o644;

#[derive(Debug, Clone)]
pub struct TicketFolder {
    folder: PathBuf,
    /// The state's own folder is made where it is missing; another one that is gone is a fault to tell.
    may_be_made: bool,
    prefix: String,
    vm_name: String,
}

/// What became of an attempt to write the first ticket of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    Ours,
    /// Somebody else was faster.
    Theirs,
}

impl TicketFolder {
    pub fn new(settings: &GateSettings, state_folder: &Path) -> Self {
        let own = settings.ticket.folder.clone();
        Self {
            may_be_made: own.is_none(),
            folder: own.unwrap_or_else(|| state_folder.to_owned()),
            prefix: settings.ticket.prefix.clone(),
            vm_name: settings.vm_name.clone(),
        }
    }

    pub fn path(&self, day: Date) -> PathBuf {
        self.folder.join(format!("{}_{}_{day}", self.prefix, self.vm_name))
    }

    /// The ticket of that very day; a damaged one is refused.
    pub fn read(&self, day: Date) -> Result<Option<Ticket>> {
        let path = self.path(day);
        let Some(text) = read_small(&path).map_err(|error| cannot_read(&path, &error))? else {
            return Ok(None);
        };
        let text = String::from_utf8(text).map_err(|_| damaged(&path, "it is not text"))?;
        Ticket::parse(&text, &self.vm_name).map(Some).map_err(|why| damaged(&path, &why))
    }

    /// What is wrong with a ticket that was checked outside of its day.
    pub fn of_another_day(&self, day: Date, checked_at: Timestamp, span: (Timestamp, Timestamp)) -> Problem {
        let why = format!("it was checked at {checked_at}, which is not on {day}");
        damaged(&self.path(day), &why)
            .cause(format!("expected its checked_at from {} until before {}", span.0, span.1))
    }

    /// For `check`: whether a ticket could be written into a folder that the configuration names.
    pub fn try_out(&self) -> Result<()> {
        if self.may_be_made {
            return Ok(());
        }
        crate::whole_file::try_out(&self.folder).map_err(|error| {
            cannot_write(&self.folder.join(format!("{}_{}_…", self.prefix, self.vm_name)), &error)
        })
    }

    /// Writes the first ticket of a day, unless there is one.
    pub fn create(&self, day: Date, ticket: &Ticket) -> Result<Creation> {
        let path = self.path(day);
        self.try_create(&path, ticket).map_err(|error| cannot_write(&path, &error))
    }

    /// Puts another ticket in the place of the one that is there.
    pub fn replace(&self, day: Date, ticket: &Ticket) -> Result<()> {
        let path = self.path(day);
        self.try_replace(&path, ticket).map_err(|error| cannot_write(&path, &error))
    }

    /// One at a time, from reading a word until another one is written.
    pub fn lock(&self, day: Date) -> Result<FolderLock> {
        folder_lock::lock(&self.folder).map_err(|error| cannot_write(&self.path(day), &error))
    }

    /// What is remembered beside the ticket of that day.
    pub fn note(&self, day: Date) -> Result<Option<Note>> {
        let path = self.note_path(day);
        let text = read_small(&path).map_err(|error| cannot_read(&path, &error))?;
        text.map(|text| Note::parse(&text, &path.display().to_string())).transpose()
    }

    pub fn write_note(&self, day: Date, note: &Note) -> Result<()> {
        let path = self.note_path(day);
        self.put(&path, &note.line(), MODE).map_err(|error| cannot_write(&path, &error))?;
        crash_point::reach("note-written");
        Ok(())
    }

    /// Hidden: no pattern for tickets finds it.
    fn note_path(&self, day: Date) -> PathBuf {
        self.folder.join(format!(".{}_{}_{day}.note", self.prefix, self.vm_name))
    }

    fn try_create(&self, path: &Path, ticket: &Ticket) -> io::Result<Creation> {
        if self.may_be_made {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        }
        let beside = Beside::write(path, &ticket.line(), MODE)?;
        crash_point::reach("ticket-prepared");
        match fs::hard_link(&beside.path, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(Creation::Theirs),
            linked => linked?,
        }
        drop(beside);
        self.sync()?;
        crash_point::reach("ticket-written");
        Ok(Creation::Ours)
    }

    fn try_replace(&self, path: &Path, ticket: &Ticket) -> io::Result<()> {
        let mode = fs::metadata(path).map_or(MODE, |found| found.permissions().mode() & 0o777);
        let beside = Beside::write(path, &ticket.line(), mode)?;
        crash_point::reach("ticket-close-prepared");
        self.rename(&beside, path)?;
        crash_point::reach("ticket-closed");
        Ok(())
    }

    fn put(&self, path: &Path, text: &str, mode: u32) -> io::Result<()> {
        self.rename(&Beside::write(path, text, mode)?, path)
    }

    fn rename(&self, beside: &Beside, path: &Path) -> io::Result<()> {
        fs::rename(&beside.path, path)?;
        self.sync()
    }

    /// A new name in a folder is on disk once the folder is.
    fn sync(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

/// A file beside its later place, on disk. Removed when dropped; a kill leaves it behind, and nobody reads it.
struct Beside {
    path: PathBuf,
}

impl Beside {
    fn write(place: &Path, text: &str, mode: u32) -> io::Result<Self> {
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let beside =
            Self { path: place.with_file_name(format!(".{name}.{}.part", uuid::Uuid::now_v7().simple())) };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside.path)?;
        // A service has a mask that takes everything from others.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        Ok(beside)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Nothing where there is no file. What is no plain file (it could block for ever) is an error.
fn read_small(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Ok(found) if !found.is_file() => return Err(io::Error::other("it is not an ordinary file")),
        found => found?,
    };
    let mut text = Vec::new();
    File::open(path)?.take(MOST_BYTES).read_to_end(&mut text)?;
    Ok(Some(text))
}

fn cannot_write(path: &Path, error: &io::Error) -> Problem {
    let hint = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space on that disk and start again",
        ErrorKind::WouldBlock => "another run closes its ticket at this very moment; try again",
        ErrorKind::NotFound => "make the folder again, or name another one as `folder` of [gate.ticket]",
        ErrorKind::ReadOnlyFilesystem => {
            "that disk is mounted read-only; name another `folder` in [gate.ticket]"
        }
        _ => "give this user write access to the folder, or name another one as `folder` of [gate.ticket]",
    };
    Problem::unreachable(format!("the ticket {} cannot be written", path.display())).because(error).hint(hint)
}

fn cannot_read(path: &Path, error: &io::Error) -> Problem {
    Problem::unreachable(format!("the ticket {} cannot be read", path.display()))
        .because(error)
        .hint("give this user access to it and to the folders above it")
}

fn damaged(path: &Path, why: &str) -> Problem {
    Problem::refused(format!("the ticket {} is damaged: {why}", path.display()))
        .cause(format!("expected {EXPECTED}"))
        .hint("find out what was done today, then write the line by hand, or remove the file to ask again")
}

/// `dropped` stays: a run that came second must not say less than the first.
pub fn may_become(before: ChunkStatus, after: ChunkStatus) -> bool {
    before != ChunkStatus::Dropped || after == ChunkStatus::Dropped
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use jiff::civil::date;

    use super::*;
    use crate::gate::decide::Row;
    use crate::problem::Kind;

    fn folder(path: &Path) -> TicketFolder {
        TicketFolder {
            folder: path.to_owned(),
            may_be_made: false,
            prefix: "timesweep".into(),
            vm_name: "pg1".into(),
        }
    }

    fn ticket(id: &str, chunk_status: ChunkStatus) -> Ticket {
        let row = Row { id: id.into(), vm_name: "pg1".into(), ..Row::default() };
        Ticket { row, checked_at: "2026-11-22T02:00:05Z".into(), chunk_status }
    }

    fn names(path: &Path) -> Vec<String> {
        let entries = fs::read_dir(path).expect("the folder");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_ticket_has_its_promised_name_and_nothing_else_is_left_in_the_folder() {
        let place = tempfile::tempdir().expect("a folder");
        let (tickets, day) = (folder(place.path()), date(2026, 11, 22));
        assert_eq!(tickets.read(day), Ok(None));
        assert_eq!(tickets.create(day, &ticket("1", ChunkStatus::Pending)), Ok(Creation::Ours));
        tickets.replace(day, &ticket("1", ChunkStatus::Dropped)).expect("replaced");
        assert_eq!(names(place.path()), ["timesweep_pg1_2026-11-22"]);
        assert_eq!(tickets.read(day), Ok(Some(ticket("1", ChunkStatus::Dropped))));
        assert_eq!(tickets.read(date(2026, 11, 15)), Ok(None), "another day's never counts");
        assert_eq!(tickets.read(date(2026, 11, 29)), Ok(None));
    }

    #[test]
    fn of_many_at_once_one_writes_the_ticket() {
        let place = tempfile::tempdir().expect("a folder");
        let (tickets, day) = (folder(place.path()), date(2026, 11, 22));
        let start = Barrier::new(8);
        let write = |number: usize| {
            start.wait();
            let id = number.to_string();
            let creation = tickets.create(day, &ticket(&id, ChunkStatus::Pending)).expect("an answer");
            (creation == Creation::Ours).then_some(id)
        };
        let write = &write;
        let winners: Vec<String> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|number| scope.spawn(move || write(number))).collect();
            threads.into_iter().filter_map(|thread| thread.join().expect("no panic")).collect()
        });
        let written = tickets.read(day).expect("readable").expect("a ticket").row.id;
        assert_eq!(winners, [written], "one has won, and its ticket is the one that is there");
        assert_eq!(names(place.path()).len(), 1);
    }

    #[test]
    fn what_is_no_ticket_is_refused_with_what_was_expected() {
        let place = tempfile::tempdir().expect("a folder");
        let (tickets, day) = (folder(place.path()), date(2026, 11, 22));
        for content in [&b""[..], b"17,pg1,due", b"\xff\xfe", b"a,pg1,b,c,d,e,drop"] {
            fs::write(tickets.path(day), content).expect("written");
            let problem = tickets.read(day).expect_err("damaged");
            assert_eq!(problem.kind, Kind::Refused);
            assert!(problem.to_string().contains("expected one line `launcher_id,vm_name,"), "{problem}");
        }
        fs::remove_file(tickets.path(day)).expect("removed");
        fs::create_dir(tickets.path(day)).expect("a folder in its place");
        assert_eq!(tickets.read(day).expect_err("a folder").kind, Kind::Unreachable);
    }

    #[test]
    fn a_folder_that_is_gone_is_told_and_not_made() {
        let place = tempfile::tempdir().expect("a folder");
        let missing = place.path().join("missing");
        let problem = folder(&missing)
            .create(date(2026, 11, 22), &ticket("1", ChunkStatus::Pending))
            .expect_err("gone");
        assert_eq!(problem.kind, Kind::Unreachable);
        assert!(problem.to_string().contains("make the folder again"), "{problem}");
        assert!(!missing.exists());
    }

    #[test]
    fn dropped_is_the_last_word() {
        use ChunkStatus::{Dropped, Failed, Partial, Pending};
        for before in [Pending, Partial, Failed, Dropped] {
            for after in [Partial, Failed, Dropped] {
                assert_eq!(
                    may_become(before, after),
                    before != Dropped || after == Dropped,
                    "{before} {after}"
                );
            }
        }
    }
}
