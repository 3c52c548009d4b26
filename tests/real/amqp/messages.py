"""Prints one of each message as `NAME HEX`, made and serialized by the other side's own library."""

from omotes_sdk_protocol.internal import task_pb2 as task
from omotes_sdk_protocol import job_pb2 as job
from omotes_sdk_protocol import workflow_pb2 as workflow

submission = job.JobSubmission(
    uuid="u", timeout_ms=4294967295, workflow_type="w", esdl="<esdl é/>", job_reference="", job_priority=2
)
submission.params_dict.update({"b": 1.5, "a": [True, None, "x"], "c": {"d": -2}})
messages = [job.EsdlMessage(technical_message="t", severity=3, esdl_object_id="o"), job.EsdlMessage()]
constraint = workflow.WorkflowParameter.Constraint(other_key_name="k", relation=4)


def parameter(**kind):
    return workflow.WorkflowParameter(key_name="k", title="", constraints=[constraint], **kind)


parameters = [
    parameter(
        string_parameter=workflow.StringParameter(
            default="", enum_options=[workflow.StringEnum(key_name="k", display_name="d")]
        )
    ),
    parameter(boolean_parameter=workflow.BooleanParameter(default=False)),
    parameter(integer_parameter=workflow.IntegerParameter(default=-1, minimum=0, maximum=2**62)),
    parameter(float_parameter=workflow.FloatParameter(default=0.1, minimum=-1, maximum=0)),
    parameter(datetime_parameter=workflow.DateTimeParameter(default="2026-01-01T00:00:00Z")),
    parameter(duration_parameter=workflow.DurationParameter(default=1, minimum=2, maximum=3)),
    workflow.WorkflowParameter(description="d", integer_parameter=workflow.IntegerParameter()),
]
for name, message in {
    "submission": submission,
    "least_submission": job.JobSubmission(),
    "job_result": job.JobResult(uuid="u", result_type=3, output_esdl="", logs="l", esdl_messages=messages),
    "job_progress": job.JobProgressUpdate(uuid="u", progress=0.1, message="m"),
    "job_status": job.JobStatusUpdate(uuid="u", status=4),
    "job_delete": job.JobDelete(uuid="u"),
    "task_result": task.TaskResult(
        job_id="j",
        celery_task_id="c",
        result_type=1,
        output_esdl="<e/>",
        logs="l",
        celery_task_type="t",
        esdl_messages=messages,
    ),
    "task_start": task.TaskProgressUpdate(job_id="j", celery_task_id="c", status=0, message="m", celery_task_type="t"),
    "task_progress": task.TaskProgressUpdate(job_id="j", celery_task_type="t", progress=0.0),
    "workflows": workflow.AvailableWorkflows(
        workflows=[workflow.Workflow(type_name="n", type_description="d", parameters=parameters)]
    ),
    "request": workflow.RequestAvailableWorkflows(),
}.items():
    print(name, message.SerializeToString(deterministic=True).hex())
