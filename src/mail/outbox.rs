//! Mails that wait to be sent: one file for each recipient, beside the state.
//!
//! A file is locked while its mail is being sent, so that of two runs one sends it. Mails for other recipients than ours are of another
//! configuration and are left to it. Invariant: a mail is given up only when it is too old or there are too many, and never silently.

use std::fs::{self, DirBuilder, File};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::whole_file;

const MOST: usize = 50;
const OLDEST_DAYS: i64 = 30;
const DAY: i64 = 86_400_000_000;
const ENDING: &str = ".eml";

#[derive(Debug, Clone)]
pub struct Outbox {
    folder: PathBuf,
}

/// One mail for one recipient, ours alone until it is dropped.
#[derive(Debug)]
pub struct Waiting {
    pub to: String,
    pub message: Vec<u8>,
    /// `None` where it could not be written: it is in memory only.
    file: Option<(PathBuf, File)>,
}

impl Waiting {
    pub fn is_kept(&self) -> bool {
        self.file.is_some()
    }
}

impl Outbox {
    /// `outbox/` beside the state file.
    pub fn beside(state: &Path) -> Self {
        Self { folder: state.with_file_name("outbox") }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes one file for each recipient. What cannot be written is sent from memory, with a warning.
    pub fn keep(
        &self,
        id: &str,
        message: &[u8],
        recipients: &[String],
        now: i64,
        warnings: &mut Vec<String>,
    ) -> Vec<Waiting> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        let write = |number: usize, to: &String| {
            let path = self.folder.join(format!("{now:020}-{}-{number}{ENDING}", plain(id)));
            let content = [format!("TO {to}\n").as_bytes(), message].concat();
            whole_file::write_locked(&path, &content, 0o600).map(|file| (path, file))
        };
        let mut kept = Vec::new();
        let mut trouble = made.err();
        for (number, to) in recipients.iter().enumerate() {
            let file = if trouble.is_some() {
                None
            } else {
                write(number, to).map_err(|error| trouble = Some(error)).ok()
            };
            kept.push(Waiting { to: to.clone(), message: message.to_vec(), file });
        }
        if let Some(error) = trouble {
            let folder = self.folder.display();
            warnings.push(format!(
                "mails cannot be kept in {folder}: {error}; they are sent without that safety"
            ));
        }
        kept
    }

    /// Takes away what waits already of the same report: these new ones stand in for it.
    pub fn replace_older(&self, id: &str, new: &[Waiting]) {
        let run = run_of(&plain(id)).to_owned();
        let is_older = |path: &PathBuf| {
            let is_own = |waiting: &Waiting| waiting.file.as_ref().is_some_and(|(own, _)| own == path);
            letter_of(path).is_some_and(|letter| run_of(letter) == run) && !new.iter().any(is_own)
        };
        for path in self.files().into_iter().filter(is_older) {
            // One in another run's hand is being sent.
            let Some(waiting) = self.claim(&path) else { continue };
            if new.iter().any(|newer| newer.is_kept() && newer.to == waiting.to) {
                self.remove(&waiting);
            }
        }
    }

    /// Names of what earlier runs left, oldest first; gives up what has waited too long.
    pub fn waiting(
        &self,
        recipients: &[String],
        new: &[Waiting],
        now: i64,
        warnings: &mut Vec<String>,
    ) -> Vec<PathBuf> {
        let is_new = |path: &PathBuf| {
            new.iter().any(|waiting| waiting.file.as_ref().is_some_and(|(own, _)| own == path))
        };
        let mut found: Vec<PathBuf> = self.files().into_iter().filter(|path| !is_new(path)).collect();
        found.sort();
        let too_many = (found.len() + new.len()).saturating_sub(MOST);
        let mut given_up = Vec::new();
        let mut left = Vec::new();
        for (number, path) in found.into_iter().enumerate() {
            let why = if number < too_many {
                Some(format!("more than {MOST} mails wait"))
            } else {
                is_too_old(&path, now).then(|| format!("they are older than {OLDEST_DAYS} days"))
            };
            match why {
                Some(why) if fs::remove_file(&path).is_ok() => given_up.push(why),
                _ if self.is_for(&path, recipients) => left.push(path),
                _ => {}
            }
        }
        given_up.sort();
        for alike in given_up.chunk_by(|a, b| a == b) {
            warnings.push(format!("gave up {} unsent mails of earlier runs: {}", alike.len(), alike[0]));
        }
        left
    }

    fn is_for(&self, path: &Path, recipients: &[String]) -> bool {
        self.claim(path).is_some_and(|waiting| recipients.contains(&waiting.to))
    }

    fn files(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let is_mail = |path: &PathBuf| written_at(path).is_some();
        entries.flatten().map(|entry| entry.path()).filter(is_mail).collect()
    }

    /// Takes a mail, unless another run has it in hand or has just sent it.
    pub fn claim(&self, path: &Path) -> Option<Waiting> {
        let mut file = File::open(path).ok()?;
        file.try_lock().ok()?;
        let is_still_there = file.metadata().is_ok_and(|found| found.nlink() > 0);
        let mut content = Vec::new();
        file.read_to_end(&mut content).ok().filter(|_| is_still_there)?;
        let (to, message) = split(&content)?;
        Some(Waiting { to, message, file: Some((path.to_owned(), file)) })
    }

    /// After the server took it.
    pub fn remove(&self, waiting: &Waiting) {
        if let Some((path, _)) = &waiting.file {
            let _ = fs::remove_file(path);
        }
    }
}

/// The first line names the recipient.
fn split(content: &[u8]) -> Option<(String, Vec<u8>)> {
    let end = content.iter().position(|byte| *byte == b'\n')?;
    let to = std::str::from_utf8(&content[..end]).ok()?.strip_prefix("TO ")?;
    Some((to.to_owned(), content[end + 1..].to_vec()))
}

fn is_too_old(path: &Path, now: i64) -> bool {
    written_at(path).is_some_and(|at| at < now.saturating_sub(OLDEST_DAYS * DAY))
}

/// The name begins with the moment, so that names sort by it; `None` for files that are not ours.
fn written_at(path: &Path) -> Option<i64> {
    let name = path.file_name()?.to_str()?.strip_suffix(ENDING)?;
    name.split_once('-')?.0.parse().ok()
}

/// What follows the moment in a name: the letter's id and the recipient's number.
fn letter_of(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()?.split_once('-').map(|(_, letter)| letter)
}

/// A letter's id begins with its run.
fn run_of(letter: &str) -> &str {
    letter.split(['.', '@']).next().unwrap_or(letter)
}

fn plain(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || ".-@".contains(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const NOW: i64 = 1_800_000_000_000_000;

    fn outbox() -> (tempfile::TempDir, Outbox) {
        let folder = tempfile::tempdir().expect("a folder");
        let outbox = Outbox::beside(&folder.path().join("state.db"));
        (folder, outbox)
    }

    fn to(addresses: &[&str]) -> Vec<String> {
        addresses.iter().map(|&address| address.to_owned()).collect()
    }

    fn keep(outbox: &Outbox, id: &str, recipients: &[String], at: i64) -> Vec<Waiting> {
        let mut warnings = Vec::new();
        let kept = outbox.keep(id, b"Subject: x\r\n\r\nbody", recipients, at, &mut warnings);
        assert_eq!(warnings, Vec::<String>::new());
        kept
    }

    #[test]
    fn what_is_kept_is_found_again_and_readable_by_us_alone() {
        let (_folder, outbox) = outbox();
        let all = to(&["a@x.y", "b@x.y"]);
        drop(keep(&outbox, "run", &all, NOW));
        let found = outbox.waiting(&all, &[], NOW + 1, &mut Vec::new());
        assert_eq!(found.len(), 2);
        let first = outbox.claim(&found[0]).expect("the first");
        assert_eq!(
            (first.to.as_str(), first.message.as_slice()),
            ("a@x.y", b"Subject: x\r\n\r\nbody".as_slice())
        );
        assert_eq!(fs::metadata(&found[0]).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(outbox.folder()).expect("there").permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_mail_in_hand_is_nobody_elses_and_a_sent_one_is_gone() {
        let (_folder, outbox) = outbox();
        let all = to(&["a@x.y"]);
        let new = keep(&outbox, "run", &all, NOW);
        let (path, _) = new[0].file.as_ref().expect("a file");
        assert!(outbox.claim(path).is_none(), "another run has it in hand");
        assert_eq!(outbox.waiting(&all, &new, NOW, &mut Vec::new()), Vec::<PathBuf>::new());
        let path = path.clone();
        drop(new);
        let again = outbox.claim(&path).expect("free again");
        outbox.remove(&again);
        assert!(outbox.claim(&path).is_none());
    }

    #[test]
    fn what_waits_too_long_is_given_up_with_a_note_and_a_strangers_mail_is_left_to_him() {
        let (_folder, outbox) = outbox();
        let all = to(&["a@x.y"]);
        drop(keep(&outbox, "old", &all, NOW - 31 * DAY));
        drop(keep(&outbox, "stranger", &to(&["gone@x.y"]), NOW - DAY));
        drop(keep(&outbox, "young", &all, NOW - DAY));
        let mut warnings = Vec::new();
        let left = outbox.waiting(&all, &[], NOW, &mut warnings);
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(warnings, ["gave up 1 unsent mails of earlier runs: they are older than 30 days"]);
        assert_eq!(outbox.waiting(&to(&["gone@x.y"]), &[], NOW, &mut Vec::new()).len(), 1);
    }

    #[test]
    fn a_report_waits_once_for_each_recipient_however_often_it_is_sent() {
        let (_folder, outbox) = outbox();
        let all = to(&["a@x.y", "b@x.y"]);
        drop(keep(&outbox, "run1@x.y", &all, NOW));
        drop(keep(&outbox, "run2@x.y", &all, NOW + 1));
        drop(keep(&outbox, "run1@x.y", &to(&["gone@x.y"]), NOW + 2));
        let again = keep(&outbox, "run1.77@x.y", &all[..1], NOW + 3);
        outbox.replace_older("run1.77@x.y", &again);
        drop(again);
        let mut left = outbox.files();
        left.sort();
        let left: Vec<_> = left.iter().filter_map(|path| letter_of(path)).collect();
        let expected =
            ["run1@x.y-1.eml", "run2@x.y-0.eml", "run2@x.y-1.eml", "run1@x.y-0.eml", "run1.77@x.y-0.eml"];
        assert_eq!(left, expected, "b's copy, the other run's and the stranger's are left");
    }

    #[test]
    fn a_report_that_waits_is_not_given_up_for_one_that_could_not_be_kept() {
        let (_folder, outbox) = outbox();
        drop(keep(&outbox, "run1@x.y", &to(&["a@x.y"]), NOW));
        let unkept = Waiting { to: "a@x.y".into(), message: b"again".to_vec(), file: None };
        outbox.replace_older("run1.77@x.y", &[unkept]);
        assert_eq!(outbox.files().len(), 1);
    }

    #[test]
    fn fifty_are_kept_and_the_oldest_go_first() {
        let (_folder, outbox) = outbox();
        let all = to(&["a@x.y"]);
        for number in 0..53 {
            drop(keep(&outbox, "run", &all, NOW + number));
        }
        let mut warnings = Vec::new();
        let left = outbox.waiting(&all, &[], NOW + 100, &mut warnings);
        assert_eq!((left.len(), warnings.len()), (50, 1));
        assert_eq!(written_at(&left[0]), Some(NOW + 3));
    }

    #[test]
    fn without_a_folder_the_mail_is_sent_from_memory() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("outbox"), "a file is in the way").expect("written");
        let outbox = Outbox::beside(&folder.path().join("state.db"));
        let mut warnings = Vec::new();
        let kept = outbox.keep("run", b"x", &to(&["a@x.y"]), NOW, &mut warnings);
        assert!(!kept[0].is_kept() && warnings[0].contains("cannot be kept"), "{warnings:?}");
    }

    #[test]
    fn other_files_are_left_alone() {
        let (_folder, outbox) = outbox();
        drop(keep(&outbox, "run", &to(&["a@x.y"]), NOW));
        for name in ["notes.txt", "x-y.eml", ".00-half.eml.12.new"] {
            fs::write(outbox.folder().join(name), "mine").expect("written");
        }
        assert_eq!(outbox.waiting(&to(&["a@x.y"]), &[], NOW, &mut Vec::new()).len(), 1);
        assert_eq!(fs::read_dir(outbox.folder()).expect("listed").count(), 4);
    }
}
