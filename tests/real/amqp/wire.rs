//! The messages, byte for byte as the other side's own library writes them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use prost::Message;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use timesweep::amqp::wire::{
    AvailableWorkflows, BooleanParameter, DateTimeParameter, DurationParameter, EsdlMessage, FloatParameter,
    IntegerParameter, JobDelete, JobProgressUpdate, JobResult, JobStatusUpdate, JobSubmission,
    RequestAvailableWorkflows, StringParameter, TaskProgressUpdate, TaskResult, Workflow, WorkflowParameter,
    string_parameter::StringEnum, task_progress_update::ProgressType, workflow_parameter::Constraint,
    workflow_parameter::ParameterType,
};

/// A Python with the client library of OMOTES.
pub fn python() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(root.join("dev/python-venv")).output().expect("dev/python-venv starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("a path").trim().into()
}

pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/amqp").join(name)
}

fn theirs() -> BTreeMap<String, Vec<u8>> {
    let output = Command::new(python()).arg(script("messages.py")).output().expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("text");
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16).expect("hex");
    let line = |line: &str| {
        let (name, hex) = line.split_once(' ').expect("NAME HEX");
        (name.to_owned(), hex.as_bytes().chunks(2).map(byte).collect())
    };
    lines.lines().map(line).collect()
}

#[track_caller]
fn same<M: Message + Default + PartialEq + std::fmt::Debug>(
    theirs: &BTreeMap<String, Vec<u8>>,
    name: &str,
    ours: &M,
) {
    let bytes = theirs.get(name).unwrap_or_else(|| panic!("there is no {name}"));
    assert_eq!(&ours.encode_to_vec(), bytes, "{name}");
    assert_eq!(&M::decode(bytes.as_slice()).expect(name), ours, "{name}");
}

fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

fn parameters() -> Struct {
    let number = |number| value(Kind::NumberValue(number));
    let list =
        vec![value(Kind::BoolValue(true)), value(Kind::NullValue(0)), value(Kind::StringValue("x".into()))];
    let inner = Struct { fields: BTreeMap::from([("d".into(), number(-2.0))]) };
    let list = value(Kind::ListValue(ListValue { values: list }));
    let fields = [("b", number(1.5)), ("a", list), ("c", value(Kind::StructValue(inner)))];
    Struct { fields: fields.into_iter().map(|(name, value)| (name.into(), value)).collect() }
}

fn esdl_messages() -> Vec<EsdlMessage> {
    let told = EsdlMessage { technical_message: "t".into(), severity: 3, esdl_object_id: Some("o".into()) };
    vec![told, EsdlMessage::default()]
}

#[test]
fn messages_of_jobs_and_tasks_are_written_byte_for_byte_as_the_other_side_writes_them() {
    let theirs = theirs();
    let submission = JobSubmission {
        uuid: "u".into(),
        timeout_ms: Some(u32::MAX),
        workflow_type: "w".into(),
        esdl: "<esdl é/>".into(),
        params_dict: Some(parameters()),
        job_reference: Some(String::new()),
        job_priority: Some(2),
    };
    same(&theirs, "submission", &submission);
    same(&theirs, "least_submission", &JobSubmission::default());
    let (uuid, logs) = ("u".to_owned(), "l".to_owned());
    let esdl_messages = esdl_messages();
    same(
        &theirs,
        "job_result",
        &JobResult {
            uuid: uuid.clone(),
            result_type: 3,
            output_esdl: Some(String::new()),
            logs: logs.clone(),
            esdl_messages: esdl_messages.clone(),
        },
    );
    let progress = JobProgressUpdate { uuid: uuid.clone(), progress: 0.1, message: "m".into() };
    same(&theirs, "job_progress", &progress);
    same(&theirs, "job_status", &JobStatusUpdate { uuid: uuid.clone(), status: 4 });
    same(&theirs, "job_delete", &JobDelete { uuid });
    let result = TaskResult {
        job_id: "j".into(),
        celery_task_id: "c".into(),
        result_type: 1,
        output_esdl: Some("<e/>".into()),
        logs,
        celery_task_type: "t".into(),
        esdl_messages,
    };
    same(&theirs, "task_result", &result);
    let start = TaskProgressUpdate {
        job_id: "j".into(),
        celery_task_id: "c".into(),
        message: "m".into(),
        celery_task_type: "t".into(),
        progress_type: Some(ProgressType::Status(0)),
    };
    same(&theirs, "task_start", &start);
    let progress = TaskProgressUpdate {
        job_id: "j".into(),
        celery_task_type: "t".into(),
        progress_type: Some(ProgressType::Progress(0.0)),
        ..TaskProgressUpdate::default()
    };
    same(&theirs, "task_progress", &progress);
}

#[test]
fn workflows_are_written_byte_for_byte_as_the_other_side_writes_them() {
    let theirs = theirs();
    let enum_options = vec![StringEnum { key_name: "k".into(), display_name: "d".into() }];
    let kinds = [
        ParameterType::StringParameter(StringParameter { default: Some(String::new()), enum_options }),
        ParameterType::BooleanParameter(BooleanParameter { default: Some(false) }),
        ParameterType::IntegerParameter(IntegerParameter {
            default: Some(-1),
            minimum: Some(0),
            maximum: Some(1 << 62),
        }),
        ParameterType::FloatParameter(FloatParameter {
            default: Some(0.1),
            minimum: Some(-1.0),
            maximum: Some(0.0),
        }),
        ParameterType::DatetimeParameter(DateTimeParameter { default: Some("2026-01-01T00:00:00Z".into()) }),
        ParameterType::DurationParameter(DurationParameter {
            default: Some(1.0),
            minimum: Some(2.0),
            maximum: Some(3.0),
        }),
    ];
    let with = |kind| WorkflowParameter {
        key_name: "k".into(),
        title: Some(String::new()),
        description: None,
        parameter_type: Some(kind),
        constraints: vec![Constraint { other_key_name: "k".into(), relation: 4 }],
    };
    let mut parameters: Vec<WorkflowParameter> = kinds.into_iter().map(with).collect();
    // An empty message that is set is not the same as none.
    parameters.push(WorkflowParameter {
        description: Some("d".into()),
        parameter_type: Some(ParameterType::IntegerParameter(<IntegerParameter as Default>::default())),
        ..WorkflowParameter::default()
    });
    let workflow = Workflow { type_name: "n".into(), type_description: "d".into(), parameters };
    same(&theirs, "workflows", &AvailableWorkflows { workflows: vec![workflow] });
    same(&theirs, "request", &RequestAvailableWorkflows {});
}
