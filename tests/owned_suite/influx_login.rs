//! An InfluxDB of its own that asks who is there, and one that is started again.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use timesweep::problem::Kind;
use timesweep::retention::ownership::OwnedName;

use super::influx::{open, query};

struct OwnInflux {
    folder: TempDir,
    url: String,
}

impl OwnInflux {
    fn start(login: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("timesweep-own-").tempdir().expect("a folder");
        let mut server = Self { folder, url: String::new() };
        server.up(login);
        let env = server.testbed(&["env"]).output().expect("the testbed");
        let lines = String::from_utf8(env.stdout).expect("text");
        let mut urls =
            lines.lines().filter_map(|line| line.strip_prefix("export TIMESWEEP_TEST_INFLUX_URL="));
        server.url = urls.next().expect("the server's address").to_owned();
        server
    }

    fn up(&self, login: &str) {
        let mut up = self.testbed(&["up", "influxdb"]);
        let up = up.env("TIMESWEEP_TESTBED_INFLUX_LOGIN", login).output().expect("the testbed");
        assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    }

    fn testbed(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("dev/testbed"));
        command.args(arguments).env("TIMESWEEP_TESTBED_DIR", self.folder.path());
        command
    }

    fn stop(&self) {
        let record = std::fs::read_to_string(self.folder.path().join("run/influxdb.pid")).expect("a record");
        let pid = record.split(' ').next().expect("a process id").to_owned();
        let ended = format!(
            "kill {pid}; while kill -0 {pid} && ! grep -q '^State:.Z' /proc/{pid}/status; do sleep 0.02; done"
        );
        Command::new("sh").args(["-c", &ended]).output().expect("a shell");
        assert!(!Path::new("/proc").join(&pid).join("exe").exists());
    }

    fn secret(&self, name: &str, text: &str) -> String {
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

#[tokio::test]
async fn only_an_admin_gets_a_list_and_no_error_tells_the_password() {
    let server = OwnInflux::start("true");
    let made = query(&server.url, "CREATE USER boss WITH PASSWORD 'Geheim-1' WITH ALL PRIVILEGES").await;
    assert!(!made.contains("error"), "{made}");
    let right = format!("user = \"boss\"\n{}", server.secret("right", "Geheim-1"));
    let as_boss = server.url.replace("://", "://boss:Geheim-1@");
    for statement in [
        "CREATE DATABASE a",
        "CREATE DATABASE b",
        "CREATE USER guest WITH PASSWORD 'Geheim-2'",
        "GRANT ALL ON a TO guest",
    ] {
        let made = query(&as_boss, statement).await;
        assert!(!made.contains("error"), "{made}");
    }
    let wrong = format!("user = \"boss\"\n{}", server.secret("wrong", "Geheim-3"));
    // Such a user sees a list that is shorter, and would be complete by its looks.
    let guest = format!("user = \"guest\"\n{}", server.secret("guest", "Geheim-2"));
    for login in ["", &wrong, &guest] {
        let store = open(&server.url, login).expect("a store");
        let problem = store.list().await.expect_err("not let in");
        assert_eq!(problem.kind, Kind::Unreachable);
        let shown = format!("{problem} {problem:?}");
        assert!(shown.contains("an admin of this InfluxDB") && !shown.contains("Geheim"), "{shown}");
        let refused = store.drop_dataset(&OwnedName("a".into())).await.expect_err("not let in");
        assert!(!format!("{refused} {refused:?}").contains("Geheim"));
    }
    let store = open(&server.url, &right).expect("a store");
    let names: Vec<String> =
        store.list().await.expect("a list").into_iter().map(|listed| listed.name.0).collect();
    assert_eq!(names, ["a", "b"]);
    store.drop_dataset(&OwnedName("a".into())).await.expect("dropped");
}

#[tokio::test]
async fn a_server_that_was_started_again_hides_no_write() {
    let server = OwnInflux::start("false");
    for name in ["old", "new"] {
        query(&server.url, &format!("CREATE DATABASE {name}")).await;
    }
    super::influx::post(format!("{}/write?db=old", server.url), "m v=1".into()).await;
    super::influx::post(format!("{}/write?db=new", server.url), "m v=1".into()).await;
    let store = open(&server.url, "").expect("a store");
    let first = store.list().await.expect("a list");
    super::influx::post(format!("{}/write?db=new", server.url), "m v=2".into()).await;
    server.stop();
    store.list().await.expect_err("it is down");
    let moment = jiff::Timestamp::now().as_microsecond();
    server.up("false");
    for store in [store, open(&server.url, "").expect("another process")] {
        for (then, now) in first.iter().zip(store.list().await.expect("a list")) {
            assert_eq!(then.name, now.name);
            assert!(now.last_change >= Some(moment), "nobody can tell what was written before: {now:?}");
        }
    }
}
