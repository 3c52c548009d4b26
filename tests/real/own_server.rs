//! A server of one test alone, for what would disturb all others: a restart, other settings, a crowd.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

pub struct OwnServer {
    folder: TempDir,
    pub url: String,
}

impl OwnServer {
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("timesweep-own-").tempdir().expect("a folder");
        let mut server = Self { folder, url: String::new() };
        server.up();
        server.url = server.address();
        server
    }

    fn up(&self) {
        let up = self.testbed(&["up", "postgres"]).output().expect("the testbed");
        assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    }

    fn address(&self) -> String {
        let env = self.testbed(&["env"]).output().expect("the testbed");
        let lines = String::from_utf8(env.stdout).expect("text");
        let mut urls =
            lines.lines().filter_map(|line| line.strip_prefix("export TIMESWEEP_TEST_POSTGRES_URL="));
        urls.next().expect("the server's address").to_owned()
    }

    pub fn testbed(&self, arguments: &[&str]) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("dev/testbed");
        let mut command = Command::new(script);
        command.args(arguments).env("TIMESWEEP_TESTBED_DIR", self.folder.path());
        command
    }

    /// As `pg_ctl stop --mode=immediate` does: no checkpoint, and every session breaks off.
    pub fn break_off(&self) {
        let record = std::fs::read_to_string(self.folder.path().join("run/postgres.pid")).expect("a record");
        let pid = record.split(' ').next().expect("a process id").to_owned();
        let ended = format!(
            "kill -QUIT {pid}; while kill -0 {pid} && ! grep -q '^State:.Z' /proc/{pid}/status; do sleep 0.02; done"
        );
        let sent = Command::new("sh").args(["-c", &ended]).output().expect("a shell");
        assert!(!Path::new("/proc").join(&pid).join("exe").exists(), "{sent:?}");
    }

    pub fn start_again(&self) {
        self.up();
        assert_eq!(self.address(), self.url, "it has the address it had");
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        let _ = self.testbed(&["down"]).output();
    }
}
