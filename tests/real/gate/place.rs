//! A folder with a configuration whose store is never connected to, and the program in it.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::launcher_server::today;
use crate::real::support::Ran;

pub struct Place {
    pub folder: TempDir,
    launcher_url: String,
}

impl Place {
    /// `gate` is what follows `[gate]`.
    pub fn new(gate: &str) -> Self {
        let place = Self { folder: tempfile::tempdir().expect("a folder"), launcher_url: String::new() };
        place.configure(gate);
        place
    }

    /// With a launcher at this address; `launcher` is what follows its url.
    pub fn with_launcher(url: &str, gate: &str, launcher: &str) -> Self {
        let mut place = Self::new(&with_launcher(gate, launcher));
        url.clone_into(&mut place.launcher_url);
        place
    }

    pub fn configure(&self, gate: &str) {
        let text = format!(
            "[state]\npath = \"{}\"\n[stores.main]\nurl = \"postgres://nobody@127.0.0.1:1/nothing\"\n\
             [gate]\nvm_name = \"pg1\"\n{gate}",
            self.folder.path().join("state/state.db").display()
        );
        std::fs::write(self.folder.path().join("timesweep.toml"), text)
            .expect("the configuration is written");
    }

    /// Today's ticket, whether it is there or not.
    pub fn ticket(&self) -> PathBuf {
        self.folder.path().join(format!("state/timesweep_pg1_{}", today()))
    }

    pub fn write_ticket(&self, text: &str) {
        std::fs::create_dir_all(self.ticket().parent().expect("a folder")).expect("the folder is made");
        std::fs::write(self.ticket(), text).expect("the ticket is written");
    }

    pub fn forget(&self) {
        let _ = std::fs::remove_file(self.ticket());
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_timesweep"));
        command.env_clear().env("HOME", self.folder.path()).env("TEST_LAUNCHER_URL", &self.launcher_url);
        command.current_dir(self.folder.path()).args(arguments);
        command
    }

    pub fn ran(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().expect("timesweep starts"))
    }

    /// Asks the gate; whether it is open, and why.
    #[track_caller]
    pub fn asked(&self) -> (bool, String) {
        let said = self.ran(&["gate", "--output", "json"]).with_code(0).json();
        (said["open"].as_bool().expect("open"), said["reason"].as_str().expect("a reason").to_owned())
    }
}

pub fn with_launcher(gate: &str, launcher: &str) -> String {
    format!("{gate}\n[gate.launcher]\nurl = {{ env = \"TEST_LAUNCHER_URL\" }}\n{launcher}\n")
}
