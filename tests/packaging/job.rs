//! A Rundeck job definition as a type: what is not in its format, or quoted where it has to be bare, does not parse.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub const FILES: [&str; 4] = ["one-step.yaml", "five-step.yaml", "two-job.yaml", "close-ticket.yaml"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[allow(clippy::struct_excessive_bools, reason = "the format has them")]
pub struct Job {
    pub name: String,
    pub group: String,
    pub uuid: uuid::Uuid,
    pub description: String,
    pub loglevel: String,
    pub execution_enabled: bool,
    pub schedule_enabled: bool,
    pub multiple_executions: bool,
    pub timeout: String,
    pub schedule: Option<Schedule>,
    pub time_zone: Option<String>,
    #[serde(rename = "nodefilters")]
    pub node_filters: NodeFilters,
    pub node_filter_editable: bool,
    #[serde(default)]
    pub options: Vec<JobOption>,
    #[serde(default)]
    pub notification: BTreeMap<String, Notification>,
    pub sequence: Sequence,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    pub crontab: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeFilters {
    pub filter: String,
    pub dispatch: Dispatch,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dispatch {
    pub threadcount: u32,
    #[serde(rename = "keepgoing")]
    pub keep_going: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[allow(clippy::struct_excessive_bools, reason = "the format has them")]
pub struct JobOption {
    pub name: String,
    pub description: String,
    pub value: Option<String>,
    #[serde(default)]
    pub values: Vec<String>,
    #[serde(default)]
    pub required: bool,
    #[serde(default)]
    pub enforced: bool,
    pub regex: Option<String>,
    #[serde(default)]
    pub secure: bool,
    #[serde(default)]
    pub value_exposed: bool,
    pub storage_path: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notification {
    pub email: Email,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Email {
    pub recipients: String,
    pub subject: String,
    #[serde(default)]
    pub attach_log: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequence {
    #[serde(rename = "keepgoing")]
    pub keep_going: bool,
    pub strategy: String,
    pub commands: Vec<Step>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Step {
    pub description: Option<String>,
    pub exec: Option<String>,
    pub script: Option<String>,
    pub script_interpreter: Option<String>,
    #[serde(rename = "nodeStep")]
    pub on_each_node: Option<bool>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Texts, every one: Rundeck takes bare booleans for configurations of plugins on some versions only.
    #[serde(default)]
    pub configuration: BTreeMap<String, String>,
    #[serde(default)]
    pub plugins: Plugins,
    #[serde(rename = "errorhandler")]
    pub error_handler: Option<Box<Step>>,
    #[serde(default)]
    pub keepgoing_on_success: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plugins {
    #[serde(rename = "LogFilter", default)]
    pub log_filters: Vec<LogFilter>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogFilter {
    #[serde(rename = "type")]
    pub kind: String,
    pub config: BTreeMap<String, String>,
}

impl Job {
    /// As another job refers to it.
    pub fn reference(&self) -> String {
        format!("{}/{}", self.group, self.name)
    }

    /// Every step, error handlers included.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.sequence
            .commands
            .iter()
            .flat_map(|step| std::iter::once(step).chain(step.error_handler.as_deref()))
    }
}

pub fn folder(part: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(part)
}

pub fn text(file: &str) -> String {
    fs::read_to_string(folder("rundeck").join(file)).expect(file)
}

pub fn jobs(file: &str) -> Vec<Job> {
    parsed(&text(file))
}

#[track_caller]
pub fn parsed(text: &str) -> Vec<Job> {
    serde_yaml_ng::from_str(text).expect("a list of jobs")
}

pub fn all_jobs() -> Vec<Job> {
    FILES.iter().flat_map(|file| jobs(file)).collect()
}
