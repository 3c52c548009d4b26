"""Deletes the jobs of the arguments as a program that uses the SDK does: HOST PORT USER PASSWORD VHOST JOB..."""

import sys
import uuid
from datetime import timedelta

from omotes_sdk.config import RabbitMQConfig
from omotes_sdk.job import Job
from omotes_sdk.omotes_interface import OmotesInterface

host, port, user, password, vhost, *jobs = sys.argv[1:]
client = OmotesInterface(
    RabbitMQConfig(host, int(port), user, password, vhost),
    "timesweep-test",
    timeout_on_initial_workflow_definitions=timedelta(0),
)
try:
    client.start()
except RuntimeError as nobody_announces_workflows:
    print(nobody_announces_workflows, file=sys.stderr)
for job in jobs:
    client.delete_job(Job(id=uuid.UUID(job), workflow_type=None))
client.stop()
