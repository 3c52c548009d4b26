//! The workflows that jobs may ask for, from the file that the platform's own orchestrator reads.
//!
//! Invariant: what clients are told is byte for byte what the platform's own library makes of the same file, so
//! far as that one can read it; a file that cannot be read is one sentence with the place in it.

use std::collections::BTreeMap;
use std::path::Path;

use prost::Message;
use serde_json::Value;

use super::celery::CONTROL_EXCHANGE;
use crate::amqp::declared::CLIENTS_EXCHANGE;
use crate::amqp::wire::{AvailableWorkflows, Workflow};
use crate::config::OmotesSettings;
use crate::config::queues::FIXED;
use crate::problem::{Problem, Result};

mod object;
mod parameter;

use self::object::{Fault, Object, missing};

/// A workflow is a queue of the broker as well, and those have no longer names.
const LONGEST_NAME: usize = 255;
const RESERVED_BEGINNINGS: [&str; 2] = ["amq.", "timesweep_"];
/// Beside queues that nobody can give another name.
const RESERVED: [&str; 4] =
    [CLIENTS_EXCHANGE, CONTROL_EXCHANGE, "omotes_task_progress_events", "omotes_task_result_events"];
const WAY_OUT: &str =
    "mend the file, or name another one in WORKFLOW_CONFIG_PATH or as `workflows` of [omotes]";
/// In the order of `named_queues`.
const QUEUES_SET_IN: [&str; 3] = [
    "TASK_RESULT_QUEUE_NAME, or `results` of [omotes]",
    "TASK_PROGRESS_QUEUE_NAME, or `progress` of [omotes]",
    "`dead_letters` of [omotes]",
];

#[derive(Debug, Clone)]
pub struct Workflows {
    announced: AvailableWorkflows,
}

impl Workflows {
    /// Of this installation, whose queues have names of their own.
    pub fn of(settings: &OmotesSettings) -> Result<Self> {
        let workflows = Self::read(&settings.workflows)?;
        workflows.refuse_queues(&settings.named_queues()).map_err(|(why, set_in)| {
            let shown = settings.workflows.display();
            Problem::usage(format!("the workflow file {shown}: {why}"))
                .hint(format!("give the workflow another name, or the queue ({set_in})"))
        })?;
        Ok(workflows)
    }

    /// The error says as well where the queue gets its name.
    fn refuse_queues(&self, queues: &[&str; 3]) -> Result<(), (Fault, &'static str)> {
        let mut named = queues.iter().zip(QUEUES_SET_IN);
        match named.find(|(queue, _)| self.names().any(|name| name == **queue)) {
            Some((name, set_in)) => Err((
                format!("a workflow cannot be called `{name}`: a queue of timesweep is called so"),
                set_in,
            )),
            None => Ok(()),
        }
    }

    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Problem::usage(format!("the workflow file {shown} cannot be read")).because(&error).hint(
                "name it in WORKFLOW_CONFIG_PATH, or as `workflows` of [omotes]; it has to be readable here",
            )
        })?;
        Self::parse(&text)
            .map_err(|why| Problem::usage(format!("the workflow file {shown}: {why}")).hint(WAY_OUT))
    }

    pub fn parse(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("this is no JSON: {error}"))?;
        let list = value.as_array().ok_or("it has to be a list of workflows")?;
        let mut workflows: Vec<Workflow> = Vec::new();
        // The last one of a name wins, at the place of the first: so does the platform's own library.
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for (number, value) in (1..).zip(list) {
            let workflow = read_workflow(value).map_err(|why| format!("workflow {number}{why}"))?;
            if let Some(place) = places.get(&workflow.type_name) {
                workflows[*place] = workflow;
            } else {
                places.insert(workflow.type_name.clone(), workflows.len());
                workflows.push(workflow);
            }
        }
        Ok(Self { announced: AvailableWorkflows { workflows } })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.announced.workflows.iter().map(|workflow| workflow.type_name.as_str())
    }

    /// What clients are told.
    pub fn encoded(&self) -> Vec<u8> {
        self.announced.encode_to_vec()
    }
}

fn read_workflow(value: &Value) -> Result<Workflow, Fault> {
    let object = Object::of(value)?;
    let type_name = object.text("workflow_type_name")?.ok_or_else(|| missing("workflow_type_name"))?;
    check_name(&type_name)?;
    let of_this = |why: Fault| format!(" (`{type_name}`){why}");
    let description = object
        .text("workflow_type_description_name")
        .and_then(|text| text.ok_or_else(|| missing("workflow_type_description_name")));
    let mut parameters = Vec::new();
    for (number, value) in (1..).zip(object.list("workflow_parameters").map_err(of_this)?) {
        let read = parameter::read(value);
        parameters.extend(read.map_err(|why| of_this(format!(", parameter {number}{why}")))?);
    }
    Ok(Workflow { type_name: type_name.clone(), type_description: description.map_err(of_this)?, parameters })
}

fn check_name(name: &str) -> Result<(), Fault> {
    if name.is_empty() || name.len() > LONGEST_NAME || name.contains(char::is_control) {
        return Err(
            ": `workflow_type_name` has to be 1 to 255 bytes without control characters: a queue is \
             called like it"
                .into(),
        );
    }
    let is_taken = RESERVED.contains(&name) || FIXED.contains(&name);
    if is_taken || RESERVED_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)) {
        return Err(format!(
            ": `workflow_type_name` cannot be `{name}`: something else on the broker is called so"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        Workflows::parse(text).expect_err(text)
    }

    fn with(parameter: &str) -> String {
        format!(
            r#"[{{"workflow_type_name": "w", "workflow_type_description_name": "d", "workflow_parameters": [{parameter}]}}]"#
        )
    }

    #[test]
    fn an_empty_parameter_is_set_all_the_same() {
        let text = with(r#"{"parameter_type": "duration", "key_name": "k"}"#);
        let encoded = Workflows::parse(&text).expect("workflows").encoded();
        assert!(encoded.ends_with(&[0x4a, 0x00]), "{encoded:02x?}");
    }

    #[test]
    fn the_last_workflow_of_a_name_wins_at_the_place_of_the_first() {
        let one = |name: &str, text: &str| {
            format!(r#"{{"workflow_type_name": "{name}", "workflow_type_description_name": "{text}"}}"#)
        };
        let text = format!("[{}, {}, {}]", one("a", "1"), one("b", "2"), one("a", "3"));
        let workflows = Workflows::parse(&text).expect("workflows");
        assert_eq!(workflows.names().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(workflows.announced.workflows[0].type_description, "3");
    }

    #[test]
    fn a_name_that_is_something_else_on_the_broker_is_refused() {
        let others = ["", "a\nb", "amq.x", "timesweep_x", "celery.pidbox", "omotes_task_result_events"];
        for name in others.into_iter().chain(["job_submissions", "request_available_workflows"]) {
            let fault = check_name(name).expect_err(name);
            assert!(fault.starts_with(": `workflow_type_name` "), "{fault}");
        }
        check_name(&"x".repeat(256)).expect_err("too long");
        for name in [&"x".repeat(255), "simulator", "amqx", "my celery.pidbox"] {
            check_name(name).expect(name);
        }
    }

    #[test]
    fn a_name_that_this_installation_gave_to_a_queue_is_refused() {
        let workflows = Workflows::parse(&with("")).expect("workflows");
        workflows.refuse_queues(&["results", "progress", "W"]).expect("none is called so");
        for queues in
            [["w", "progress", "letters"], ["results", "w", "letters"], ["results", "progress", "w"]]
        {
            let fault = workflows.refuse_queues(&queues).expect_err("the name of a queue");
            assert_eq!(fault.0, "a workflow cannot be called `w`: a queue of timesweep is called so");
        }
    }

    #[test]
    fn a_fault_has_its_place() {
        for (text, sentence) in [
            ("[", "this is no JSON: EOF while parsing a list at line 1 column 1"),
            ("{}", "it has to be a list of workflows"),
            ("[1]", "workflow 1: it has to be an object"),
            ("[{}]", "workflow 1: `workflow_type_name` is missing"),
            (
                r#"[{"workflow_type_name": "w"}]"#,
                "workflow 1 (`w`): `workflow_type_description_name` is missing",
            ),
            (r#"[{"workflow_type_name": 1}]"#, "workflow 1: `workflow_type_name` has to be text"),
        ] {
            assert_eq!(said(text), sentence, "{text}");
        }
        let place = "workflow 1 (`w`), parameter 1";
        for (parameter, sentence) in [
            (r#"{"key_name": "k"}"#, " (`k`): `parameter_type` is missing"),
            (r#"{"parameter_type": "string"}"#, ": `key_name` is missing"),
            (
                r#"{"parameter_type": "integer", "key_name": "k", "minimum": 1.5}"#,
                " (`k`): `minimum` has to be a whole number",
            ),
            (
                r#"{"parameter_type": "boolean", "key_name": "k", "minimum": 1}"#,
                " (`k`): nobody knows `minimum` of a parameter of type `boolean`",
            ),
            (
                r#"{"parameter_type": "datetime", "key_name": "k", "default": "soon"}"#,
                " (`k`): `default` is no date and time such as 2026-01-31T12:00:00+00:00",
            ),
            (
                r#"{"parameter_type": "string", "key_name": "k", "enum_options": [{"key_name": "a"}]}"#,
                " (`k`), option 1: `display_name` is missing",
            ),
            (
                r#"{"parameter_type": "float", "key_name": "k", "constraints": [{"other_key_name": "a", "relation": "near"}]}"#,
                " (`k`), constraint 1: `relation` is one of greater, greater_or_eq, smaller, smaller_or_eq, eq",
            ),
        ] {
            assert_eq!(said(&with(parameter)), format!("{place}{sentence}"));
        }
    }
}
