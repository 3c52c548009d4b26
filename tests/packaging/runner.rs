//! A small Rundeck: runs the steps of a job one after the other, as the real one would on one node.
//!
//! It stops at the first failure, runs error handlers, captures `RUNDECK:DATA:` lines where the step has the filter, fills in
//! `${…}` in commands and `@…@` in scripts, and hands over options, data and the job in the environment.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::job::{Job, JobOption, Step};

/// What a reference to a value that is not there becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    Empty,
    Literal,
}

pub struct Rundeck {
    /// The node's own environment.
    pub environment: BTreeMap<String, String>,
    /// The key storage: a secret for each path.
    pub keys: BTreeMap<String, String>,
    pub missing: Missing,
    /// Whether the log filters are there; without them no data arrives.
    pub captures: bool,
    /// How the last execution of each job ended.
    states: BTreeMap<String, Ended>,
    executions: u32,
    folder: TempDir,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Succeeded,
    /// Stopped by a step, as a success.
    Halted,
    /// The exit code of the step that failed.
    Failed(i32),
}

#[derive(Debug)]
pub struct Execution {
    pub ended: Ended,
    /// Whether somebody is told by a mail of Rundeck's.
    pub is_mailed: bool,
    pub steps: Vec<StepRun>,
    pub data: BTreeMap<String, String>,
}

#[derive(Debug)]
pub struct StepRun {
    pub description: String,
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Execution {
    pub fn log(&self) -> String {
        let mut log = String::new();
        for step in &self.steps {
            let _ = write!(log, "[{}: {}]\n{}{}", step.description, step.code, step.out, step.err);
        }
        log
    }

    #[track_caller]
    pub fn that(self, ended: Ended) -> Self {
        assert_eq!(self.ended, ended, "{}", self.log());
        self
    }
}

impl Rundeck {
    pub fn new() -> Self {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_timesweep"));
        let path = format!("{}:/usr/bin:/bin", program.parent().expect("a folder").display());
        Self {
            environment: BTreeMap::from([("PATH".into(), path)]),
            keys: BTreeMap::new(),
            missing: Missing::Empty,
            captures: true,
            states: BTreeMap::new(),
            executions: 0,
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    pub fn run(&mut self, job: &Job, options: &[(&str, &str)]) -> Execution {
        self.executions += 1;
        let mut context = self.context(job, options);
        let mut steps = Vec::new();
        let mut ended = Ended::Succeeded;
        for step in &job.sequence.commands {
            ended = self.step(step, &mut context, &mut steps);
            if ended != Ended::Succeeded {
                break;
            }
        }
        self.states.insert(job.reference(), ended);
        let is_mailed = matches!(ended, Ended::Failed(_)) && job.notification.contains_key("onfailure");
        let data = context
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix("data.")?.into(), value.clone())));
        Execution { ended, is_mailed, steps, data: data.collect() }
    }

    /// What a job begins with: `option.config`, `job.execid` and so on.
    fn context(&self, job: &Job, options: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut context = BTreeMap::from([
            ("job.execid".to_owned(), self.executions.to_string()),
            ("job.name".to_owned(), job.name.clone()),
            ("job.group".to_owned(), job.group.clone()),
        ]);
        for option in &job.options {
            let given =
                options.iter().find(|(name, _)| *name == option.name).map(|(_, value)| (*value).to_owned());
            if let Some(value) = given.or_else(|| self.default_of(option)) {
                context.insert(format!("option.{}", option.name), value);
            }
        }
        context
    }

    fn default_of(&self, option: &JobOption) -> Option<String> {
        let stored = option.storage_path.as_ref().filter(|_| option.value_exposed);
        stored.and_then(|path| self.keys.get(path)).or(option.value.as_ref()).cloned()
    }

    fn step(&self, step: &Step, context: &mut BTreeMap<String, String>, runs: &mut Vec<StepRun>) -> Ended {
        if step.kind.as_deref() == Some("job-state-conditional") {
            return self.conditional(step);
        }
        let run = self.command(step, context);
        if self.captures && step.plugins.log_filters.iter().any(|filter| filter.kind == "key-value-data") {
            context.extend(run.out.lines().filter_map(captured));
        }
        let code = run.code;
        runs.push(run);
        let Some(handler) = step.error_handler.as_deref().filter(|_| code != 0) else {
            return if code == 0 { Ended::Succeeded } else { Ended::Failed(code) };
        };
        let is_handled = self.step(handler, context, runs) == Ended::Succeeded;
        if is_handled && handler.keepgoing_on_success { Ended::Succeeded } else { Ended::Failed(code) }
    }

    /// Goes on where the condition is met.
    fn conditional(&self, step: &Step) -> Ended {
        let setting = |name: &str| step.configuration.get(name).map_or("", String::as_str);
        let state = self.states.get(setting("jobName")).expect("the job is there and has run");
        let is_met = match setting("executionState") {
            "Succeeded" => !matches!(state, Ended::Failed(_)),
            "Failed" => matches!(state, Ended::Failed(_)),
            other => panic!("{other} is not known here"),
        };
        let expected = setting("condition") == "Equals";
        match (is_met == expected, setting("halt"), setting("fail")) {
            (true, ..) | (false, "false", _) => Ended::Succeeded,
            (false, "true", "false") => Ended::Halted,
            _ => Ended::Failed(1),
        }
    }

    fn command(&self, step: &Step, context: &BTreeMap<String, String>) -> StepRun {
        let mut command = match (&step.exec, &step.script, &step.script_interpreter) {
            (Some(line), None, _) => {
                let mut shell = Command::new("/bin/sh");
                shell.arg("-c").arg(filled_in(line, "${", "}", context, self.missing));
                shell
            }
            (None, Some(script), Some(interpreter)) => {
                let file = self.folder.path().join("script");
                fs::write(&file, filled_in(script, "@", "@", context, self.missing)).expect("the script");
                let mut shell = Command::new(interpreter);
                shell.arg(file);
                shell
            }
            _ => panic!("this step cannot be run here: {step:?}"),
        };
        command.env_clear().envs(&self.environment).envs(variables(context)).current_dir(self.folder.path());
        let output = command.output().expect("the command starts");
        StepRun {
            description: step.description.clone().unwrap_or_default(),
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// `RUNDECK:DATA:key = value`; an empty value is not captured.
fn captured(line: &str) -> Option<(String, String)> {
    let (key, value) = line.strip_prefix("RUNDECK:DATA:")?.split_once('=')?;
    let (key, value) = (key.trim(), value.trim_start());
    let is_pair = !key.is_empty() && !key.contains(char::is_whitespace) && !value.is_empty();
    is_pair.then(|| (format!("data.{key}"), value.to_owned()))
}

/// `option.db_password` as `RD_OPTION_DB_PASSWORD`.
fn variables(context: &BTreeMap<String, String>) -> impl Iterator<Item = (String, &String)> {
    let name = |key: &str| key.to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    context.iter().map(move |(key, value)| (format!("RD_{}", name(key)), value))
}

fn filled_in(
    text: &str,
    open: &str,
    close: &str,
    context: &BTreeMap<String, String>,
    missing: Missing,
) -> String {
    let (mut result, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once(open) {
        result.push_str(before);
        let key = after.split_once(close).map(|(key, _)| key).filter(|key| is_reference(key));
        let Some(key) = key else {
            result.push_str(open);
            rest = after;
            continue;
        };
        match (context.get(key), missing) {
            (Some(value), _) => result.push_str(value),
            (None, Missing::Empty) => {}
            (None, Missing::Literal) => result.push_str(&[open, key, close].concat()),
        }
        rest = &after[key.len() + close.len()..];
    }
    result + rest
}

fn is_reference(key: &str) -> bool {
    let part =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    key.split_once('.').is_some_and(|(group, name)| part(group) && part(name))
}
