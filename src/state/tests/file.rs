//! The file: how it is made, what is refused, and what happens when the disk or other programs misbehave.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::problem::{Kind, Problem};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("metadata").permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
}

async fn pragma<T>(state: &State, statement: &'static str) -> T
where
    T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    let rows = state.file.rows(sqlx::query(statement)).await.expect("pragma");
    sqlx::Row::get(&rows[0], 0)
}

async fn change(state: &State, statement: &'static str) {
    state.file.execute(sqlx::query(statement)).await.expect("change");
}

fn assert_clear(problem: &Problem, kind: Kind, words: &str) {
    assert_eq!(problem.kind, kind, "{problem}");
    assert!(problem.sentence.contains(words), "{problem}");
    assert!(problem.hint.is_some(), "{problem}");
}

async fn refused(path: &Path) -> [Problem; 2] {
    let writing = State::open(path).await.expect_err("open");
    [writing, State::open_existing(path).await.expect_err("open existing")]
}

#[tokio::test]
async fn a_new_state_is_private_durable_and_reopens() {
    let folder = folder();
    let path = folder.path().join("var/lib/state.db");
    let state = open(&path).await;
    assert_eq!((mode(&path), mode(path.parent().expect("parent"))), (0o600, 0o700));
    assert_eq!(mode(&folder.path().join("var")), 0o700);
    assert_eq!(pragma::<String>(&state, "PRAGMA journal_mode").await, "wal");
    assert_eq!(pragma::<i64>(&state, "PRAGMA synchronous").await, 2, "FULL: a commit is on disk");
    assert_eq!(pragma::<i64>(&state, "PRAGMA foreign_keys").await, 1);
    assert_eq!(pragma::<i64>(&state, "PRAGMA busy_timeout").await, 10_000);
    let run = begun(&state).await;
    state.close().await.expect("close");
    assert_eq!(
        fs::read_dir(path.parent().expect("parent")).expect("list").count(),
        1,
        "no side files are left"
    );
    assert_eq!(open(&path).await.last_run().await.expect("read").expect("run").run.id, run);
}

#[tokio::test]
async fn modes_that_are_there_already_stay() {
    let folder = folder();
    let path = file_in(&folder);
    fs::write(&path, "").expect("an empty file");
    set_mode(&path, 0o640);
    begun(&open(&path).await).await;
    assert_eq!(mode(&path), 0o640);
}

#[tokio::test]
async fn every_table_is_strict() {
    let state = State::in_memory().await.expect("open");
    let loose =
        "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT strict
                 AND name NOT LIKE 'sqlite%' AND name <> '_sqlx_migrations'";
    assert_eq!(pragma::<i64>(&state, loose).await, 0);
}

#[tokio::test]
async fn a_preview_creates_nothing() {
    let folder = folder();
    let path = folder.path().join("missing/state.db");
    assert!(State::open_existing(&path).await.expect("nothing there").is_none());
    assert_eq!(fs::read_dir(folder.path()).expect("list").count(), 0);
    let empty = file_in(&folder);
    fs::write(&empty, "").expect("an empty file");
    assert!(State::open_existing(&empty).await.expect("nothing in it").is_none());
    assert_eq!(fs::metadata(&empty).expect("metadata").len(), 0);
}

#[tokio::test]
async fn a_preview_reads_and_cannot_write() {
    let folder = folder();
    let path = file_in(&folder);
    let writer = open(&path).await;
    let run = begun(&writer).await;
    let preview = State::open_existing(&path).await.expect("open").expect("a state");
    assert_eq!(preview.last_run().await.expect("read").expect("run").run.id, run);
    assert_clear(
        &preview.begin_run(&new_run()).await.expect_err("read-only"),
        Kind::Unreachable,
        "cannot be written",
    );
    begun(&writer).await;
    assert_eq!(preview.runs(10).await.expect("read").len(), 2, "it sees what others write meanwhile");
    writer.close().await.expect("close");
    preview.close().await.expect("close");
    assert_eq!(fs::read_dir(folder.path()).expect("list").count(), 1, "no side files are left");
}

/// Without effect as root, whom no mode stops; run it as another user to see it work.
#[tokio::test]
async fn a_preview_works_on_a_read_only_file_in_a_read_only_folder() {
    let folder = folder();
    let path = file_in(&folder);
    let state = open(&path).await;
    let run = begun(&state).await;
    state.close().await.expect("close");
    set_mode(&path, 0o400);
    for folder_mode in [0o500, 0o700] {
        set_mode(folder.path(), folder_mode);
        let preview = State::open_existing(&path).await.expect("open").expect("a state");
        assert_eq!(preview.last_run().await.expect("read").expect("run").run.id, run);
        preview.close().await.expect("close");
    }
}

/// Without effect as root.
#[tokio::test]
async fn places_without_write_access_are_said_clearly() {
    let folder = folder();
    let path = file_in(&folder);
    open(&path).await.close().await.expect("close");
    set_mode(&path, 0o400);
    if fs::OpenOptions::new().append(true).open(&path).is_ok() {
        return;
    }
    let state = open(&path).await;
    assert_clear(
        &state.begin_run(&new_run()).await.expect_err("file"),
        Kind::Unreachable,
        "cannot be written",
    );
    set_mode(folder.path(), 0o500);
    let sealed = State::open(&folder.path().join("new/state.db")).await.expect_err("folder");
    assert_clear(&sealed, Kind::Unreachable, "cannot be created");
    let sealed = State::open(&folder.path().join("new.db")).await.expect_err("folder");
    assert_clear(&sealed, Kind::Unreachable, "cannot be created");
    set_mode(folder.path(), 0o700);
}

#[tokio::test]
async fn paths_that_are_plainly_wrong_are_a_matter_of_usage() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "x").expect("file");
    for (path, words) in [
        (folder.path().to_owned(), "is a folder"),
        (PathBuf::new(), "is empty"),
        (file.join("state.db"), "not a folder"),
        (PathBuf::from("/dev/null"), "not an ordinary file"),
        (PathBuf::from("/tmp/a\0b"), "not plain text"),
    ] {
        for problem in refused(&path).await {
            assert_clear(&problem, Kind::Usage, words);
        }
    }
}

#[tokio::test]
async fn names_that_mean_something_to_sqlite_are_just_names() {
    let folder = folder();
    for name in [":memory:", "file:x?mode=memory", "a?b#c%20d", "é \u{1F4A5}'\".db"] {
        let path = folder.path().join(name);
        open(&path).await.close().await.expect("close");
        assert!(fs::metadata(&path).expect("a file of that name").len() > 0);
    }
}

#[tokio::test]
async fn what_is_no_state_is_refused_and_left_as_it_is() {
    let folder = folder();
    let path = file_in(&folder);
    let text = "this is a letter to my mother, and no database at all. ".repeat(50);
    fs::write(&path, &text).expect("letter");
    for problem in refused(&path).await {
        assert_clear(&problem, Kind::Unreachable, "is no SQLite database");
    }
    assert_eq!(fs::read_to_string(&path).expect("letter"), text);
}

#[tokio::test]
async fn the_database_of_another_program_is_refused_and_left_as_it_is() {
    let folder = folder();
    let path = file_in(&folder);
    let other = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut other = sqlx::ConnectOptions::connect(&other).await.expect("connect");
    sqlx::raw_sql("CREATE TABLE dashboard (id INTEGER)").execute(&mut other).await.expect("table");
    sqlx::Connection::close(other).await.expect("close");
    let before = fs::read(&path).expect("bytes");
    for problem in refused(&path).await {
        assert_clear(&problem, Kind::Unreachable, "another program");
    }
    assert_eq!(fs::read(&path).expect("bytes"), before);
}

#[tokio::test]
async fn a_state_of_a_newer_timesweep_is_refused() {
    let folder = folder();
    let path = file_in(&folder);
    let state = open(&path).await;
    change(&state, "INSERT INTO _sqlx_migrations VALUES (99, 'later', CURRENT_TIMESTAMP, 1, x'00', 0)").await;
    state.close().await.expect("close");
    for problem in refused(&path).await {
        assert_clear(&problem, Kind::Unreachable, "newer timesweep");
        assert!(problem.to_string().contains("version 99"), "{problem}");
    }
}

#[tokio::test]
async fn a_full_disk_fails_one_call_and_harms_nothing() {
    let folder = folder();
    let state = open(&file_in(&folder)).await;
    let run = begun(&state).await;
    change(&state, "PRAGMA max_page_count = 1").await;
    let many: Vec<Intent> = (0..5_000).map(intent).collect();
    let full = state.write_intents(run, &many).await.expect_err("full");
    assert_clear(&full, Kind::Unreachable, "is full");
    assert_eq!(state.open_intents(&identity()).await.expect("read"), []);
    change(&state, "PRAGMA max_page_count = 100000").await;
    state.write_intents(run, &many[..2]).await.expect("works again");
}

#[tokio::test]
async fn a_state_that_another_program_locks_is_busy() {
    let folder = folder();
    let (state, other) = (open(&file_in(&folder)).await, open(&file_in(&folder)).await);
    change(&state, "PRAGMA busy_timeout = 50").await;
    change(&other, "BEGIN IMMEDIATE").await;
    assert_clear(
        &state.begin_run(&new_run()).await.expect_err("locked"),
        Kind::Busy,
        "locked by another program",
    );
    change(&other, "COMMIT").await;
    begun(&state).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_that_open_and_write_at_once_all_succeed() {
    let folder = folder();
    let path = file_in(&folder);
    let writers = (0..6).map(|_| {
        let path = path.clone();
        tokio::spawn(async move {
            let state = open(&path).await;
            let run = begun(&state).await;
            for number in 0..25 {
                let ids = state.write_intents(run, &[intent(number)]).await.expect("intents");
                state.write_outcomes(&[(ids[0], Outcome::Gone)], 1, None).await.expect("outcomes");
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("writer");
    }
    let state = open(&path).await;
    assert_eq!(state.runs(100).await.expect("runs").len(), 6);
    assert_eq!(state.open_intents(&identity()).await.expect("open intents"), []);
}

#[tokio::test]
async fn a_dropped_future_leaves_a_sound_state() {
    let folder = folder();
    let state = open(&file_in(&folder)).await;
    let run = begun(&state).await;
    let many: Vec<Intent> = (0..300).map(intent).collect();
    for _ in 0..50 {
        let written = state.write_intents(run, &many);
        let _ = tokio::time::timeout(std::time::Duration::from_micros(300), written).await;
    }
    let open = state.open_intents(&identity()).await.expect("open intents");
    assert_eq!(open.len() % many.len(), 0, "a batch is there as a whole or not at all");
    state.write_intents(run, &many).await.expect("works");
}

#[tokio::test]
async fn a_state_behind_a_symbolic_link_is_the_same_state() {
    let folder = folder();
    let path = file_in(&folder);
    let run = begun(&open(&path).await).await;
    let link = folder.path().join("link.db");
    symlink(&path, &link).expect("link");
    assert_eq!(open(&link).await.last_run().await.expect("read").expect("run").run.id, run);
}
