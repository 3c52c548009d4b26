"""Prints in hex what the platform's own library announces of the workflow file of the argument."""

import sys

from omotes_sdk.workflow_type import WorkflowTypeManager

manager = WorkflowTypeManager.from_json_config_file(sys.argv[1])
print(manager.to_pb_message().SerializeToString(deterministic=True).hex())
