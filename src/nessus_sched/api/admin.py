"""Operator actions: for the command line, never shown to models."""

from __future__ import annotations

from nessus_sched.api.admin_certify import CERTIFY_ACTIONS
from nessus_sched.api.admin_daemon import FLEET_ACTIONS
from nessus_sched.api.admin_findings import RESULT_ACTIONS
from nessus_sched.api.admin_import import IMPORT_ACTIONS
from nessus_sched.api.admin_log import LOG_ACTIONS
from nessus_sched.api.admin_tasks import TASK_ACTIONS
from nessus_sched.api.admin_upkeep import UPKEEP_ACTIONS
from nessus_sched.api.operations import Registry

OPERATORS = Registry(
    (
        *FLEET_ACTIONS,
        *CERTIFY_ACTIONS,
        *LOG_ACTIONS,
        *TASK_ACTIONS,
        *RESULT_ACTIONS,
        *IMPORT_ACTIONS,
        *UPKEEP_ACTIONS,
    )
)
