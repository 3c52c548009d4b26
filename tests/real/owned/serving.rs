//! `timesweep serve` as a child process, and what a program says to it over REST.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use uuid::Uuid;

use crate::real::support::eventually;

pub const MAY_DELETE: &str = "a-token-that-may-delete";
pub const MAY_READ: &str = "a-token-that-may-only-read";

pub struct Serving {
    child: Child,
    log: PathBuf,
    pub url: String,
    http: reqwest::Client,
}

/// What REST said: the status, and JSON where it was JSON.
#[derive(Debug)]
pub struct Said {
    pub code: u16,
    pub json: Value,
}

impl Serving {
    /// As soon as it answers over REST.
    pub async fn start(command: Command, log: PathBuf) -> Self {
        let mut serving = Self::start_unheard(command, log);
        eventually("it serves REST", async || {
            let log = serving.log();
            assert!(serving.is_running(), "it has ended: {log}");
            let said = log.lines().find_map(|line| line.split_once("serving on "));
            said.map(|(_, url)| url.trim().clone_into(&mut serving.url)).is_some()
        })
        .await;
        serving
    }

    /// Without waiting for anything: it may not live for long.
    pub fn start_unheard(mut command: Command, log: PathBuf) -> Self {
        let file = File::options().create(true).append(true).open(&log).expect("a log");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { child: child.expect("timesweep starts"), log, url: String::new(), http }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_none()
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([format!("-{signal}"), pid]).status().expect("kill starts");
        assert!(sent.success());
    }

    /// Its exit code once it has ended; nine hundred and the signal where one ended it.
    pub async fn ended(&mut self) -> i32 {
        eventually("the process ends", async || !self.is_running()).await;
        let status = self.child.wait().expect("its state");
        status.code().unwrap_or_else(|| 900 + status.signal().unwrap_or_default())
    }

    #[track_caller]
    pub fn stop(mut self) -> impl Future<Output = ()> {
        self.signal("TERM");
        async move {
            let code = self.ended().await;
            assert_eq!(code, 0, "{}", self.log());
        }
    }

    /// As the kernel does it: nothing is finished.
    pub async fn kill(mut self) {
        self.signal("KILL");
        assert_eq!(self.ended().await, 909);
    }

    /// Stands still without ending, and goes on.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    pub fn thaw(&self) {
        self.signal("CONT");
    }

    pub async fn said(&self, request: reqwest::RequestBuilder) -> Said {
        let answer = request.send().await.expect("an answer");
        let code = answer.status().as_u16();
        let text = answer.text().await.expect("text");
        Said { code, json: serde_json::from_str(&text).unwrap_or_default() }
    }

    /// Without a token.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        self.http.request(method, format!("{}{path}", self.url))
    }

    pub async fn get(&self, path: &str) -> Value {
        let said = self.said(self.request("GET", path).bearer_auth(MAY_READ)).await;
        assert_eq!(said.code, 200, "{path}: {said:?}");
        said.json
    }

    pub async fn delete_job(&self, job: Uuid) -> Said {
        self.said(self.request("DELETE", &format!("/job/{job}")).bearer_auth(MAY_DELETE)).await
    }

    pub async fn cancel_mark(&self, id: &str) -> Said {
        self.said(self.request("POST", &format!("/api/v1/marks/{id}/cancel")).bearer_auth(MAY_DELETE)).await
    }

    /// The parts of its health, and whether all of them are well.
    pub async fn health(&self) -> Said {
        self.said(self.request("GET", "/health")).await
    }

    pub async fn listens(&self) {
        eventually("everything works", async || self.health().await.json["status"] == "ok").await;
    }

    /// Well, and waiting for another one to end.
    pub async fn stands_by(&self, part: &str) {
        eventually(part, async || {
            let health = self.health().await;
            let is_well = (health.code, health.json["status"].as_str()) == (200, Some("standby"));
            is_well && health.json["parts"][part] == "standby"
        })
        .await;
    }

    pub async fn is_in_trouble(&self, part: &str) {
        eventually(part, async || self.health().await.json["parts"][part] == "trouble").await;
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the log of serve ---\n{}", self.log());
        }
    }
}
