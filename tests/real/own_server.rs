//! A PostgreSQL of one test alone, for what would disturb all others: a restart, other settings, a crowd.

use std::process::Command;

use super::own_testbed::OwnTestbed;

pub struct OwnServer {
    testbed: OwnTestbed,
    pub url: String,
}

impl OwnServer {
    pub fn start() -> Self {
        let testbed = OwnTestbed::with("postgres");
        let url = testbed.env("TIMESWEEP_TEST_POSTGRES_URL");
        Self { testbed, url }
    }

    pub fn testbed(&self, arguments: &[&str]) -> Command {
        self.testbed.command(arguments)
    }

    /// As `pg_ctl stop --mode=immediate` does: no checkpoint, and every session breaks off.
    pub fn break_off(&self) {
        self.testbed.end("postgres", "QUIT");
    }

    pub fn start_again(&self) {
        self.testbed.up("postgres");
        assert_eq!(self.testbed.env("TIMESWEEP_TEST_POSTGRES_URL"), self.url, "it has the address it had");
    }
}
