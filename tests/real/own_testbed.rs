//! Servers of one test alone, by the script that starts those of all tests.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// Its servers end with it.
pub struct OwnTestbed {
    folder: TempDir,
}

impl OwnTestbed {
    pub fn with(service: &str) -> Self {
        Self::configured(service, "")
    }

    /// With a line more in its configuration. A broker alone reads one.
    pub fn configured(service: &str, line: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("timesweep-own-").tempdir().expect("a folder");
        let testbed = Self { folder };
        let mut up = testbed.command(&["up", service]);
        succeeds(up.env("TIMESWEEP_TESTBED_RABBITMQ_LINE", line));
        testbed
    }

    /// Starts it where it is not running, on what it kept.
    pub fn up(&self, service: &str) {
        succeeds(&mut self.command(&["up", service]));
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("dev/testbed");
        let mut command = Command::new(script);
        command.args(arguments).env("TIMESWEEP_TESTBED_DIR", self.folder.path());
        command
    }

    /// What the tests are told by this name.
    pub fn env(&self, name: &str) -> String {
        let env = self.command(&["env"]).output().expect("the testbed");
        let lines = String::from_utf8(env.stdout).expect("text");
        let prefix = format!("export {name}=");
        let mut values = lines.lines().filter_map(|line| line.strip_prefix(&prefix));
        // As a shell reads it: the script escapes what could mean something there.
        values.next().unwrap_or_else(|| panic!("{name} is not told")).replace('\\', "")
    }

    /// Sends the signal to the server and waits until it has ended.
    pub fn end(&self, service: &str, signal: &str) {
        let record = self.folder.path().join(format!("run/{service}.pid"));
        let record = std::fs::read_to_string(record).expect("a record");
        let pid = record.split(' ').next().expect("a process id").to_owned();
        let ended = format!(
            "kill -{signal} {pid}; while kill -0 {pid} && ! grep -q '^State:.Z' /proc/{pid}/status; do sleep 0.02; done"
        );
        let sent = Command::new("sh").args(["-c", &ended]).output().expect("a shell");
        assert!(!Path::new("/proc").join(&pid).join("exe").exists(), "{sent:?}");
    }
}

fn succeeds(command: &mut Command) {
    let ran = command.output().expect("the testbed");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

impl Drop for OwnTestbed {
    fn drop(&mut self) {
        let _ = self.command(&["down"]).output();
    }
}
