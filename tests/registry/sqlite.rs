//! The suite on SQLite files, and what is special about a file.

use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;
use timesweep::problem::Kind;
use timesweep::registry;

use super::world::Place;
use super::{adoption, differential, meddled, together};

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn place(&self) -> Place {
        Place::Sqlite(self.0.path().join("registry.db"))
    }
}

#[tokio::test]
async fn a_file_does_what_the_ledger_does() {
    for seed in 0..12 {
        let folder = Folder::new();
        differential::compare(folder.place(), seed, 80).await;
    }
}

#[tokio::test]
async fn nothing_owned_in_a_file_is_due_whatever_others_write_into_it() {
    for seed in 0..12 {
        let folder = Folder::new();
        meddled::nothing_owned_is_due(folder.place(), seed, 100).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_registries_on_one_file_lose_nothing() {
    let folder = Folder::new();
    together::replicas_lose_nothing(folder.place()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registries_that_open_a_new_file_at_once_make_it_once() {
    let folder = Folder::new();
    together::replicas_start_at_once(folder.place()).await;
}

#[tokio::test]
async fn one_runner_at_a_time_uses_a_file() {
    let folder = Folder::new();
    together::one_runner_at_a_time(folder.place()).await;
}

#[tokio::test]
async fn rows_of_others_in_a_file_are_taken_in() {
    let folder = Folder::new();
    // The file has to be ours before others can write to it.
    drop(folder.place().open().await);
    adoption::what_is_there_enters_the_ledger(folder.place()).await;
    let folder = Folder::new();
    adoption::what_others_change_is_taken_in(folder.place()).await;
    let folder = Folder::new();
    adoption::a_deletion_meets_a_row_that_nobody_has_read_yet(folder.place()).await;
    let folder = Folder::new();
    adoption::rows_that_mean_nothing_stay(folder.place()).await;
}

#[tokio::test]
async fn a_file_is_for_its_owner_alone_and_never_that_of_another_program() {
    let folder = Folder::new();
    let Place::Sqlite(path) = folder.place() else { unreachable!() };
    drop(folder.place().open().await);
    let mode = std::fs::metadata(&path).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let other = Place::Sqlite(folder.0.path().join("other.db"));
    let Place::Sqlite(other_path) = &other else { unreachable!() };
    std::fs::write(other_path, "").expect("an empty file");
    other.run("CREATE TABLE theirs (x)").await;
    let refused = registry::open(&other.settings()).await.map(|_| ()).expect_err("another program's");
    assert_eq!(refused.kind, Kind::Unreachable);
    assert!(refused.sentence.contains("another program"), "{refused}");
}

#[tokio::test]
async fn a_file_of_a_newer_timesweep_is_refused_untouched() {
    let folder = Folder::new();
    drop(folder.place().open().await);
    folder.place().run("INSERT INTO timesweep_registry_version VALUES (2)").await;
    let refused = registry::open(&folder.place().settings()).await.map(|_| ()).expect_err("newer");
    assert!(refused.sentence.contains("newer"), "{refused}");
}
