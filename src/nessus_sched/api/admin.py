"""Operator actions: for the command line, never shown to models."""

from __future__ import annotations

from nessus_sched.api.admin_certify import CERTIFY_ACTIONS
from nessus_sched.api.admin_daemon import DAEMON_ACTIONS
from nessus_sched.api.admin_findings import RESULT_ACTIONS
from nessus_sched.api.admin_import import IMPORT_ACTIONS
from nessus_sched.api.admin_tasks import TASK_ACTIONS
from nessus_sched.api.operations import Registry

OPERATORS = Registry(
    (
        *DAEMON_ACTIONS,
        *CERTIFY_ACTIONS,
        *TASK_ACTIONS,
        *RESULT_ACTIONS,
        *IMPORT_ACTIONS,
    )
)
