"""A worker for the workflows `echo` and `rest`, on the platform's own base: HOSTNAME WORKFLOW...

The brokers come from the platform's own variables. TEST_INFLUX_URL is where results go, TEST_FOLDER where a
task says that it is at work.
"""

import os
import re
import signal
import socket
import sys
import time
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

from omotes_sdk.internal.worker.worker import initialize_worker

folder = Path(os.environ["TEST_FOLDER"])
influx = os.environ.get("TEST_INFLUX_URL")


def write_database(name):
    query = urllib.parse.urlencode({"q": f'CREATE DATABASE "{name}"'}).encode()
    urllib.request.urlopen(f"{influx}/query", query).read()
    line = f"carrier,assetId=a value=1 {time.time_ns()}".encode()
    urllib.request.urlopen(f"{influx}/write?db={name}", line).read()


def work(esdl, parameters, progress, workflow):
    behaviour = parameters.get("behaviour", "")
    at_work = folder / f"at-work-{os.getpid()}"
    at_work.touch()
    for step in range(int(parameters.get("steps", 0))):
        progress(step / 100, f"step {step}")
    time.sleep(float(parameters.get("seconds", 0)))
    at_work.unlink()
    if behaviour == "fail":
        raise RuntimeError("this task was told to fail")
    if behaviour == "nothing":
        return None, []
    if behaviour == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    dataset = str(uuid.uuid4())
    if behaviour.startswith("dataset "):
        dataset = behaviour.split()[1]
    if influx:
        write_database(dataset)
    return re.sub(r' id="[^"]*"', f' id="{dataset}"', esdl, count=1), []


if __name__ == "__main__":
    name, *workflows = sys.argv[1:]
    socket.gethostname = lambda: name
    initialize_worker(workflows, work)
