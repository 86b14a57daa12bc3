"""Scanners, queues, and what can be named in a submission."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from nessus_sched.core.fields import field
from nessus_sched.core.scanner import ScannerError
from nessus_sched.core.states import TaskState
from nessus_sched.mcp.answers import StatusAnswer, iso, status_answer, wait_answer
from nessus_sched.mcp.app import App
from nessus_sched.mcp.refusals import translated
from nessus_sched.mcp.registry import Call, ToolDef, ToolError, tool
from nessus_sched.results.untrusted import clean_line
from nessus_sched.scheduler.admission import unknown
from nessus_sched.scheduler.views import ScannerView, TaskView
from nessus_sched.store.listing import TaskFilter


@attrs.frozen(kw_only=True)
class NoArgs:
    """No arguments."""


@attrs.frozen(kw_only=True)
class ScannerAnswer:
    scanner_instance: str = field("Name it in a submission to run only there.")
    name: str = field("For people.")
    url: str = field("Where it is.")
    pool: str = field("Its group of interchangeable scanners.")
    available: bool = field("It may be given work now.")
    reason: str | None = field("Why it may not, or what troubles it.")
    enabled: bool = field("By the operator.")
    draining: bool = field("Finishes what runs and starts nothing more.")
    breaker: str = field("closed (used as usual), open (left alone after errors) or half_open.")
    max_concurrent_scans: int = field("The operator's limit.")
    capacity: int = field("What holds now, with the scanner's own limit and other people's scans.")
    active_scans: int = field("Of ours.")
    free_slots: int = field("Scans that can start at once.")
    queued: int = field("Tasks in its own queue.")
    networks: list[str] = field("What it can reach; empty: everything in scope.")
    labels: dict[str, str] = field("The operator's words.")
    edition: str | None = field("Nessus edition.")
    version: str | None = field("Nessus version.")
    plugin_set_at: str | None = field("Age of its plugins (ISO 8601).")
    licensed_hosts: int | None = field("Limit of its licence.")
    last_contact: str | None = field("When it last answered (ISO 8601).")


@attrs.frozen(kw_only=True)
class ScannersAnswer:
    scanners: list[ScannerAnswer] = field("All configured scanners.")
    paused: bool = field("The operator has paused everything: nothing starts.")


@attrs.frozen(kw_only=True)
class QueueArgs:
    limit: int = field("Waiting tasks to list.", default=20, minimum=1, maximum=100)


@attrs.frozen(kw_only=True)
class QueueRow:
    queue: str = field("`overflow`, or a scanner.")
    length: int = field("Tasks in it.")
    blocked: int = field("Of these, waiting for a scan of the same targets to end.")


@attrs.frozen(kw_only=True)
class WaitingRow:
    task_id: str = field("The task.")
    name: str = field("As submitted.")
    queue: str | None = field("`overflow`, or a scanner.")
    queue_position: int | None = field("1 is next.")
    estimated_wait_seconds: float | None = field("Median; null when nothing is known.")
    wait_code: str | None = field("Stable machine code.")
    wait_reason: str | None = field("Why it waits.")


@attrs.frozen(kw_only=True)
class RunningRow:
    task_id: str = field("The task.")
    name: str = field("As submitted.")
    status: str = field("State.")
    scanner_instance: str | None = field("Scanner.")
    progress_percent: int | None = field("Null when not known.")


@attrs.frozen(kw_only=True)
class QueueAnswer:
    paused: bool = field("The operator has paused everything: nothing starts.")
    queued: int = field("Waiting tasks in all queues.")
    active: int = field("Tasks that hold a slot.")
    capacity: int = field("Slots of all usable scanners.")
    free_slots: int = field("Scans that can start at once.")
    queues: list[QueueRow] = field("Every queue.")
    running: list[RunningRow] = field("Tasks on a scanner.")
    waiting: list[WaitingRow] = field("The first waiting tasks, in the order of acceptance.")
    retry_wait: int = field("Tasks that wait for their next attempt.")


@attrs.frozen(kw_only=True)
class TemplatesArgs:
    scanner_instance: str | None = field(
        "Ask this scanner; left out: the first that answers.", default=None, max_length=64
    )


@attrs.frozen(kw_only=True)
class TemplateRow:
    name: str = field("Name for submit_custom_scan.")
    title: str = field("For people.")
    usable: bool = field("False: the licence does not allow it.")


@attrs.frozen(kw_only=True)
class TemplatesAnswer:
    scanner_instance: str = field("Scanner that was asked.")
    templates: list[TemplateRow] = field("Its templates.")


@attrs.frozen(kw_only=True)
class CredentialRow:
    name: str = field("Name for a submission.")
    kind: str = field("ssh_password, ssh_key, windows or snmpv3.")
    escalation: str | None = field("How it becomes privileged, if it does.")
    privileged: bool = field("Good for submit_privileged_scan.")


@attrs.frozen(kw_only=True)
class AuditRow:
    name: str = field("Name for submit_compliance_scan.")
    category: str = field("Such as Unix or Windows.")
    description: str = field("What it checks.")


@attrs.frozen(kw_only=True)
class CredentialsAnswer:
    credentials: list[CredentialRow] = field("Configured credentials, without secrets.")
    audits: list[AuditRow] = field("Configured audits.")


@attrs.frozen(kw_only=True)
class DeadArgs:
    limit: int = field("Dead letters to list.", default=20, minimum=1, maximum=100)


@attrs.frozen(kw_only=True)
class DeadAnswer:
    total: int = field("How many there are.")
    tasks: list[StatusAnswer] = field("Newest first, each with its error.")


@tool(writes=False)
async def list_scanners(app: Any, call: Call, args: NoArgs) -> ScannersAnswer:
    """All Nessus scanners: whether each can be used now (and why not), its free slots, queue,
    licence and plugin age."""
    return ScannersAnswer(
        scanners=[scanner_answer(view) for view in app.service.scanners()],
        paused=app.service.statistics().paused,
    )


@tool(writes=False)
async def get_queue_status(app: Any, call: Call, args: QueueArgs) -> QueueAnswer:
    """What runs, what waits, in which queue and place, and why. Answers "why is my scan not
    starting"."""
    statistics = app.service.statistics()
    with translated():
        page = await app.service.waiting(limit=args.limit)
    return QueueAnswer(
        paused=statistics.paused,
        queued=statistics.queued,
        active=statistics.active,
        capacity=statistics.capacity,
        free_slots=statistics.free,
        queues=[
            QueueRow(
                queue="overflow",
                length=statistics.overflow.length,
                blocked=statistics.overflow.parked,
            ),
            *(
                QueueRow(queue=each.scanner_id, length=each.queue.length, blocked=each.queue.parked)
                for each in statistics.scanners
            ),
        ],
        running=[_running(view) for view in app.service.active()],
        waiting=[_waiting(app, view) for view in page],
        retry_wait=app.service.context.store.counts()[TaskState.RETRY_WAIT],
    )


@tool(writes=False)
async def list_scan_templates(app: Any, call: Call, args: TemplatesArgs) -> TemplatesAnswer:
    """The scan templates that a scanner offers, for submit_custom_scan."""
    drivers = app.service.fleet.drivers
    names: Sequence[str] = list(drivers)
    if args.scanner_instance is not None:
        if args.scanner_instance not in drivers:
            raise ToolError("unknown_scanner", unknown("scanner", args.scanner_instance, drivers))
        names = [args.scanner_instance]
    trouble = "no scanner is configured"
    for name in names:
        try:
            templates = await drivers[name].scanner.templates()
        except ScannerError as error:
            trouble = f"{name}: {error}"
            continue
        rows = [
            TemplateRow(name=each.name, title=clean_line(each.title), usable=each.usable)
            for each in templates
        ]
        return TemplatesAnswer(scanner_instance=name, templates=rows)
    raise ToolError("scanner_unavailable", trouble, "list_scanners tells more.")


@tool(writes=False)
async def list_credentials(app: Any, call: Call, args: NoArgs) -> CredentialsAnswer:
    """Names and kinds of the configured credentials and audits. Secrets are never shown and
    never given: submissions use the names."""
    return CredentialsAnswer(
        credentials=[
            CredentialRow(
                name=each.name,
                kind=each.kind,
                escalation=each.escalation.method if each.escalation else None,
                privileged=each.privileged or each.escalation is not None,
            )
            for each in app.config.credentials
        ],
        audits=[
            AuditRow(name=each.name, category=each.category, description=each.description)
            for each in app.config.audits
        ],
    )


@tool(writes=False)
async def list_dead_letters(app: Any, call: Call, args: DeadArgs) -> DeadAnswer:
    """Tasks that failed for good, each with its error. They wait for an operator, who can
    retry or purge them with the `nessus-sched dlq` command."""
    with translated():
        page = await app.service.tasks(
            TaskFilter(states=frozenset({TaskState.DEAD})), limit=args.limit
        )
    return DeadAnswer(
        total=app.service.context.store.counts()[TaskState.DEAD],
        tasks=[status_answer(app, app.service.view(task)) for task in page.tasks],
    )


FLEET_TOOLS: tuple[ToolDef, ...] = (
    list_scanners,
    get_queue_status,
    list_scan_templates,
    list_credentials,
    list_dead_letters,
)


def scanner_answer(view: ScannerView) -> ScannerAnswer:
    settings, statistics, info = view.settings, view.statistics, view.info
    obstacle = statistics.obstacle.text if statistics.obstacle else None
    return ScannerAnswer(
        scanner_instance=settings.id,
        name=settings.name or settings.id,
        url=settings.url,
        pool=settings.pool,
        available=statistics.usable and view.trouble is None,
        reason=clean_line(view.trouble, 500) if view.trouble else obstacle,
        enabled=statistics.enabled,
        draining=statistics.draining,
        breaker=statistics.breaker.state,
        max_concurrent_scans=statistics.slots.limit,
        capacity=statistics.slots.capacity,
        active_scans=len(statistics.slots.active),
        free_slots=statistics.free,
        queued=statistics.queue.length,
        networks=list(settings.networks),
        labels=dict(settings.labels),
        edition=clean_line(info.edition) if info else None,
        version=clean_line(info.version) if info else None,
        plugin_set_at=iso(info.plugin_set_at) if info else None,
        licensed_hosts=info.licensed_hosts if info else None,
        last_contact=iso(view.reached_at),
    )


def _running(view: TaskView) -> RunningRow:
    return RunningRow(
        task_id=view.task.task_id,
        name=clean_line(view.task.request.name),
        status=view.task.state,
        scanner_instance=view.task.scanner_instance,
        progress_percent=view.progress,
    )


def _waiting(app: App, view: TaskView) -> WaitingRow:
    wait = wait_answer(app, view)
    return WaitingRow(
        task_id=view.task.task_id,
        name=clean_line(view.task.request.name),
        queue=wait.queue if wait else None,
        queue_position=wait.queue_position if wait else None,
        estimated_wait_seconds=wait.estimated_wait_seconds if wait else None,
        wait_code=wait.wait_code if wait else None,
        wait_reason=wait.wait_reason if wait else None,
    )
