//! An InfluxDB of one test alone, and how any other program would talk to one.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

pub struct OwnInflux {
    folder: TempDir,
    pub url: String,
}

impl OwnInflux {
    /// `login`: whether it asks who is there (`true`) or not (`false`).
    pub fn start(login: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("timesweep-own-").tempdir().expect("a folder");
        let mut server = Self { folder, url: String::new() };
        server.up(login);
        let env = server.testbed(&["env"]).output().expect("the testbed");
        let lines = String::from_utf8(env.stdout).expect("text");
        let mut urls =
            lines.lines().filter_map(|line| line.strip_prefix("export TIMESWEEP_TEST_INFLUX_URL="));
        urls.next().expect("the server's address").clone_into(&mut server.url);
        server
    }

    pub fn up(&self, login: &str) {
        self.up_with("TIMESWEEP_TESTBED_INFLUX_LOGIN", login);
    }

    /// Started again, so that it answers with this many rows at most.
    pub fn limit_rows(&self, most: usize) {
        self.stop();
        self.up_with("TIMESWEEP_TESTBED_INFLUX_ROWS", &most.to_string());
    }

    fn up_with(&self, setting: &str, value: &str) {
        let mut up = self.testbed(&["up", "influxdb"]);
        let up = up.env(setting, value).output().expect("the testbed");
        assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    }

    fn testbed(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("dev/testbed"));
        command.args(arguments).env("TIMESWEEP_TESTBED_DIR", self.folder.path());
        command
    }

    pub fn stop(&self) {
        let record = std::fs::read_to_string(self.folder.path().join("run/influxdb.pid")).expect("a record");
        let pid = record.split(' ').next().expect("a process id").to_owned();
        let ended = format!(
            "kill {pid}; while kill -0 {pid} && ! grep -q '^State:.Z' /proc/{pid}/status; do sleep 0.02; done"
        );
        Command::new("sh").args(["-c", &ended]).output().expect("a shell");
        assert!(!Path::new("/proc").join(&pid).join("exe").exists());
    }

    /// The setting `password`, from a file with this text.
    pub fn secret(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        format!("password = {{ file = {:?} }}", path.display().to_string())
    }
}

impl Drop for OwnInflux {
    fn drop(&mut self) {
        let _ = self.testbed(&["down"]).output();
    }
}

/// Posts to the server as any other program would.
pub async fn post(url: String, body: String) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let form = "application/x-www-form-urlencoded";
    let answer = http.post(url).header("content-type", form).body(body).send().await.expect("an answer");
    answer.text().await.expect("text")
}

pub fn encoded(text: &str) -> String {
    let add = |text: String, byte: u8| text + &format!("%{byte:02X}");
    text.bytes().fold(String::new(), add)
}

/// Written here once more, by other rules than the program's: every letter by its number.
pub async fn query(url: &str, statement: &str) -> String {
    post(format!("{url}/query"), format!("q={}", encoded(statement))).await
}
