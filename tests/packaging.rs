//! What `packaging/` promises to schedulers: jobs, units and lines that are whole, and that do what they say.

#[path = "real/support.rs"]
#[allow(dead_code, reason = "the tests in real.rs use all of it")]
mod support;

mod packaging {
    mod cron;
    mod job;
    mod operating;
    mod place;
    mod runner;
    mod runner_itself;
    mod structure;
    mod systemd;
    mod weekly_run;
}
