//! A process that is killed between two steps leaves a state that opens and tells the truth.
//!
//! The test starts itself again with `TIMESWEEP_KILL_AT`; the child does one small run and dies in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::*;

const PATH_OF_CHILD: &str = "TIMESWEEP_TEST_STATE_OF_CHILD";

/// Does nothing unless a test below starts it.
#[tokio::test]
async fn child_that_is_killed() {
    let Ok(path) = std::env::var(PATH_OF_CHILD) else { return };
    let state = open(Path::new(&path)).await;
    let run = begun(&state).await;
    let ids = state.write_intents(run, &[intent(1), intent(2)]).await.expect("intents");
    state
        .write_outcomes(&[(ids[0], Outcome::Gone), (ids[1], Outcome::Gone)], 1, None)
        .await
        .expect("outcomes");
    state.finish_run(run, 2, 0, "{}").await.expect("finish");
}

fn run_child(path: &Path, kill_at: &str) {
    use std::os::unix::process::ExitStatusExt;
    let child = Command::new(std::env::current_exe().expect("this program"))
        .args(["child_that_is_killed", "--nocapture"])
        .env(PATH_OF_CHILD, path)
        .env("TIMESWEEP_KILL_AT", kill_at)
        .output()
        .expect("start the child");
    assert_eq!(child.status.signal(), Some(libc::SIGKILL), "{kill_at}: {child:?}");
}

/// What is there after a kill: runs, open intents, ended.
async fn after(kill_at: &str) -> (usize, usize, bool) {
    let folder = folder();
    let path = file_in(&folder);
    run_child(&path, kill_at);
    let preview = State::open_existing(&path).await.expect("preview").expect("a state");
    let previewed = preview.open_intents(&identity()).await.expect("open intents").len();
    let state = open(&path).await;
    let open = state.open_intents(&identity()).await.expect("open intents").len();
    assert_eq!(previewed, open, "{kill_at}");
    begun(&state).await;
    let runs = state.runs(10).await.expect("runs");
    (runs.len() - 1, open, runs.last().is_some_and(|run| run.end.is_some()))
}

#[tokio::test]
async fn a_killed_process_leaves_what_it_had_written() {
    assert_eq!(after("run-begun").await, (1, 0, false));
    assert_eq!(after("before-intents").await, (1, 0, false));
    assert_eq!(after("intents-written").await, (1, 2, false));
    assert_eq!(after("before-outcomes").await, (1, 2, false));
    assert_eq!(after("outcomes-written").await, (1, 0, false));
    assert_eq!(after("run-finished").await, (1, 0, true));
}

/// Without effect as root, whom no mode stops; run it as another user to see it work.
#[tokio::test]
async fn a_killed_process_in_a_read_only_folder_is_read_completely_or_not_at_all() {
    let folder = folder();
    let path = file_in(&folder);
    run_child(&path, "intents-written");
    let shared_memory = folder.path().join("state.db-shm");
    let side_files = [path.clone(), folder.path().join("state.db-wal"), shared_memory.clone()];
    seal(&folder, &side_files, 0o400, 0o500);
    let preview = State::open_existing(&path).await.expect("preview").expect("a state");
    assert_eq!(preview.open_intents(&identity()).await.expect("open intents").len(), 2);
    preview.close().await.expect("close");
    if !shared_memory.exists() {
        return; // as root the preview could tidy up
    }
    seal(&folder, &side_files, 0o400, 0o700);
    fs::remove_file(&shared_memory).expect("remove");
    seal(&folder, &side_files[..2], 0o400, 0o500);
    let problem = State::open_existing(&path).await.expect_err("the log cannot be read");
    assert!(problem.sentence.contains("has changes beside it"), "{problem}");
    seal(&folder, &[], 0, 0o700);
}

fn seal(folder: &TempDir, files: &[PathBuf], file_mode: u32, folder_mode: u32) {
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
    for file in files {
        set(file, file_mode);
    }
    set(folder.path(), folder_mode);
}
