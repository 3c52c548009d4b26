//! What the schedulers want: a code for a closed gate, silence, and values that an earlier step passed on.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

use super::{Output, exit};
use crate::problem::{Problem, Result};
use crate::sweep::gated::Go;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scheduler {
    /// Closed is 0, and nothing is printed: cron mails what is
    Cron,
    /// Closed is 0
    Rundeck,
    /// For `gate` in ExecCondition=: closed is 1, and every error 255
    Systemd,
    /// Closed is 99
    Airflow,
    /// Closed is 0
    K8s,
}

#[derive(Debug, Clone, Args)]
pub struct SkipArgs {
    /// End with this code where the gate is closed [default: 0]
    #[arg(long, value_name = "CODE", conflicts_with = "scheduler")]
    skip_exit_code: Option<u8>,
    /// End with what this scheduler takes for a skip
    #[arg(long, value_enum, value_name = "NAME")]
    scheduler: Option<Scheduler>,
}

impl SkipArgs {
    /// The code of `timesweep gate`.
    pub fn code_of_gate(&self) -> Result<u8> {
        if self.scheduler == Some(Scheduler::Systemd) { Ok(1) } else { self.code() }
    }

    /// The code of a run. systemd takes a service that did nothing for well done; only a condition may skip.
    pub fn code(&self) -> Result<u8> {
        let scheduled = if self.scheduler == Some(Scheduler::Airflow) { 99 } else { exit::DONE };
        let code = self.skip_exit_code.unwrap_or(scheduled);
        if exit::MEANINGS.contains(&code) {
            return Err(Problem::usage(format!("--skip-exit-code {code} has another meaning already"))
                .hint("choose one that is not in the list of exit codes of the README, such as 99"));
        }
        Ok(code)
    }

    /// A program that asked for JSON gets it.
    pub fn is_silent(&self, output: Output) -> bool {
        self.scheduler == Some(Scheduler::Cron) && output == Output::Text
    }
}

/// Anything but a plain yes or no was not passed on as it should be.
pub fn parse_go(value: &str) -> Result<Go> {
    match value {
        "yes" => Ok(Go::Yes),
        "no" => Ok(Go::No),
        "" => Err(Problem::usage("--go is empty: the earlier step passed nothing on")),
        other => Err(Problem::usage(format!("--go is `{other}`, which is neither `yes` nor `no`"))),
    }
    .map_err(|problem| problem.hint("nothing was touched; is the step with `timesweep gate --output rundeck` there, and its log filter?"))
}

/// For `gate --scheduler systemd` every error has to be 255: systemd reads any other code as a skip. This
/// counts for arguments that cannot be parsed as well, so it looks at them as they are.
pub fn error_code(arguments: impl Iterator<Item = OsString>) -> fn(u8) -> u8 {
    let words: Vec<String> = arguments.map(|word| word.to_string_lossy().into_owned()).collect();
    let is_gate = words.iter().skip(1).any(|word| word == "gate");
    let is_condition = words.windows(2).any(|pair| pair[0] == "--scheduler" && pair[1] == "systemd")
        || words.iter().any(|word| word == "--scheduler=systemd");
    if is_gate && is_condition { |_| exit::CONDITION_FAILED } else { |code| code }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Kind;

    fn skip(skip_exit_code: Option<u8>, scheduler: Option<Scheduler>) -> SkipArgs {
        SkipArgs { skip_exit_code, scheduler }
    }

    #[test]
    fn a_skip_ends_with_what_its_scheduler_takes_for_one() {
        for (scheduler, gate, run) in [
            (None, 0, 0),
            (Some(Scheduler::Cron), 0, 0),
            (Some(Scheduler::Rundeck), 0, 0),
            (Some(Scheduler::Systemd), 1, 0),
            (Some(Scheduler::Airflow), 99, 99),
            (Some(Scheduler::K8s), 0, 0),
        ] {
            let args = skip(None, scheduler);
            assert_eq!((args.code_of_gate(), args.code()), (Ok(gate), Ok(run)), "{scheduler:?}");
        }
        assert_eq!(skip(Some(42), None).code(), Ok(42));
        for taken in [2, 3, 4, 5, 10, 75, 101, 130, 143] {
            assert_eq!(skip(Some(taken), None).code().expect_err("taken").kind, Kind::Usage, "{taken}");
        }
    }

    #[test]
    fn only_a_plain_yes_goes() {
        assert_eq!((parse_go("yes"), parse_go("no")), (Ok(Go::Yes), Ok(Go::No)));
        for value in ["", " ", "${data.go}", "@data.go@", "YES", "yes ", "true", "1", "yes no", "-"] {
            assert_eq!(parse_go(value).expect_err(value).kind, Kind::Usage, "{value:?}");
        }
    }

    #[test]
    fn every_error_of_a_condition_is_255() {
        let code = |arguments: &str| error_code(arguments.split(' ').map(OsString::from))(5);
        assert_eq!(code("timesweep gate --scheduler systemd"), 255);
        assert_eq!(code("timesweep --config x gate --bogus --scheduler=systemd"), 255);
        assert_eq!(code("timesweep gate --scheduler rundeck"), 5);
        assert_eq!(code("timesweep run --apply --scheduler systemd"), 5);
    }
}
