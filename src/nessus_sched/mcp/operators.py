"""Operator actions: for the command line, never shown to models."""

from __future__ import annotations

from nessus_sched.mcp.operators_fleet import FLEET_ACTIONS
from nessus_sched.mcp.operators_import import IMPORT_ACTIONS
from nessus_sched.mcp.operators_log import LOG_ACTIONS
from nessus_sched.mcp.operators_results import RESULT_ACTIONS
from nessus_sched.mcp.operators_tasks import TASK_ACTIONS
from nessus_sched.mcp.operators_upkeep import UPKEEP_ACTIONS
from nessus_sched.mcp.registry import Registry

OPERATORS = Registry(
    (*FLEET_ACTIONS, *LOG_ACTIONS, *TASK_ACTIONS, *RESULT_ACTIONS, *IMPORT_ACTIONS, *UPKEEP_ACTIONS)
)
