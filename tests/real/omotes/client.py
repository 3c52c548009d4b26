"""A client of the platform: HOST PORT USER PASSWORD VHOST [SECONDS]. Takes orders as lines of JSON, and tells
what it hears. SECONDS is how long it works at a status before it tells it, as one that writes it into a database.

{"submit": {"workflow": …, "parameters": {…}, "count": 1, "reference": …, "timeout": seconds}}
{"delete": "job id"}
"""

import json
import sys
import threading
import time
import uuid
from datetime import timedelta

# The library logs to the standard output, in the middle of other lines.
told, sys.stdout = sys.stdout, sys.stderr

from omotes_sdk.config import RabbitMQConfig  # noqa: E402
from omotes_sdk.job import Job  # noqa: E402
from omotes_sdk.omotes_interface import OmotesInterface  # noqa: E402
from omotes_sdk.workflow_type import WorkflowType  # noqa: E402

ESDL = (
    "<?xml version='1.0' encoding='UTF-8'?>\n"
    '<esdl:EnergySystem xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xmlns:esdl="http://www.tno.nl/esdl" id="5f6a0c2e-9d3a-4f43-8a7b-0f4b0f6a6c11" name="in"/>'
)
lock = threading.Lock()


def tell(**what):
    with lock:
        print(json.dumps({"at": time.time(), **what}), file=told, flush=True)


def finished(job, result):
    tell(
        job=str(job.id),
        result=int(result.result_type),
        logs=result.logs,
        esdl=result.output_esdl if result.HasField("output_esdl") else None,
    )


def progressed(job, update):
    tell(job=str(job.id), progress=update.progress, message=update.message)


def changed(job, update):
    time.sleep(works_at_a_status)
    tell(job=str(job.id), status=int(update.status))


def submit(client, order):
    workflow = client.get_workflow_type_manager().get_workflow_by_name(order["workflow"])
    if workflow is None:
        # As a client would that has heard of it before.
        workflow = WorkflowType(order["workflow"], "", [])
        client.get_workflow_type_manager()._workflows[order["workflow"]] = workflow
    timeout = order.get("timeout")
    for _ in range(order.get("count", 1)):
        job = client.submit_job(
            order.get("esdl", ESDL),
            order.get("parameters", {}),
            workflow,
            None if timeout is None else timedelta(seconds=timeout),
            finished,
            progressed,
            changed,
            True,
            job_reference=order.get("reference"),
        )
        tell(job=str(job.id), submitted=True)


host, port, user, password, vhost = sys.argv[1:6]
works_at_a_status = float(sys.argv[6]) if len(sys.argv) > 6 else 0
client = OmotesInterface(RabbitMQConfig(host, int(port), user, password, vhost), f"test-{uuid.uuid4()}")
client.start()
tell(workflows=[workflow.workflow_type_name for workflow in client.get_workflow_type_manager().get_all_workflows()])
for line in sys.stdin:
    order = json.loads(line)
    if "submit" in order:
        submit(client, order["submit"])
    elif "delete" in order:
        client.delete_job(Job(uuid.UUID(order["delete"]), WorkflowType("echo", "", [])))
        tell(job=order["delete"], deleting=True)
client.stop()
