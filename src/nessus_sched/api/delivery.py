"""Actions on the outbox and its routes, for the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import attrs

from nessus_sched.api.answers import iso
from nessus_sched.api.app import App
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.operations import Call, ToolDef, ToolError, tool
from nessus_sched.api.scanners import NoArgs
from nessus_sched.config.delivery import SinkSettings
from nessus_sched.core.delivery.outbox import MessageState, OutboxItem
from nessus_sched.core.fields import field
from nessus_sched.delivery.service import Delivery, RouteStatus, UnknownRoute
from nessus_sched.delivery.text import plain_text
from nessus_sched.results.untrusted import clean_line

DAY: Final = 86400.0


@attrs.frozen(kw_only=True)
class MessagesArgs:
    route: str | None = field("Only of this route.", default=None, max_length=64)
    state: MessageState | None = field("Only waiting or dead ones.", default=None)
    after: int = field("Number of the last message of the page before.", default=0, minimum=0)
    limit: int = field("Maximum number.", default=50, minimum=1, maximum=500)


@attrs.frozen(kw_only=True)
class MessageRow:
    number: int = field("Order.")
    message_id: str = field("The same at every attempt.")
    route: str = field("Its route.")
    state: MessageState = field("waiting or dead.")
    kind: str = field("event, digest or sample.")
    title: str = field("In a line.")
    stored_at: str | None = field("Since when.")
    tries: int = field("Failed attempts.")
    error: str | None = field("Why the last one failed.")
    task_id: str | None = field("The task that it is about.")


@attrs.frozen(kw_only=True)
class MessagesAnswer:
    messages: list[MessageRow] = field("In the order of delivery.")
    next_after: int | None = field("For the next page; null at the end.")


@attrs.frozen(kw_only=True)
class ChooseArgs:
    message_ids: list[str] = field("Which ones.", factory=list, max_length=1000)
    route: str | None = field("Of this route.", default=None, max_length=64)


@attrs.frozen(kw_only=True)
class ChosenAnswer:
    message_ids: list[str] = field("Those that were found.")


@attrs.frozen(kw_only=True)
class RouteRow:
    name: str = field("Its name.")
    sink: str = field("Its sink.")
    sink_kind: str = field("apprise, webhook, defectdojo or json_lines; none for a removed route.")
    when: str = field("When it sends.")
    on: list[str] = field("What it sends.")
    next_digest: str | None = field("When its next digest is due.")
    waiting: int = field("Messages that wait.")
    dead: int = field("Dead letters.")
    oldest: str | None = field("Since when the first of them waits.")
    error: str | None = field("Why deliveries fail now.")
    failing_since: str | None = field("Since when.")
    next_try: str | None = field("When the next attempt is made.")
    unread: int = field("Journal rows that it has not read yet.")


@attrs.frozen(kw_only=True)
class RoutesAnswer:
    routes: list[RouteRow] = field("All routes.")


@attrs.frozen(kw_only=True)
class RouteArgs:
    route: str = field("Its name.", min_length=1, max_length=64)


@attrs.frozen(kw_only=True)
class TestedAnswer:
    delivered: bool = field("The sink took it.")
    error: str | None = field("Why not.")


@attrs.frozen(kw_only=True)
class PreviewArgs:
    route: str = field("Its name.", min_length=1, max_length=64)
    since_seconds: float = field("Of how long.", default=7 * DAY, minimum=1, maximum=400 * DAY)


@attrs.frozen(kw_only=True)
class PreviewAnswer:
    title: str = field("In a line.")
    text: str = field("As people read it.")
    document: dict[str, Any] = field("As programs read it.")


@tool(writes=False)
async def list_messages(app: App, call: Call, args: MessagesArgs) -> MessagesAnswer:
    """The messages that are not delivered: waiting ones and dead letters."""
    delivery = _delivery(app, call)
    with _as_unknown(), as_tool_errors():
        found = await delivery.messages(
            route=args.route, state=args.state, after=args.after, limit=args.limit + 1
        )
    page = found[: args.limit]
    return MessagesAnswer(
        messages=[_message_row(each) for each in page],
        next_after=page[-1].number if len(found) > len(page) else None,
    )


@tool(writes=True)
async def retry_messages(app: App, call: Call, args: ChooseArgs) -> ChosenAnswer:
    """Try messages again now: those with these ids, and all of a route."""
    delivery = _delivery(app, call)
    with _as_unknown(), as_tool_errors():
        found = await delivery.retry(args.message_ids, args.route, actor=call.peer.actor)
    return ChosenAnswer(message_ids=list(found))


@tool(writes=True)
async def drop_messages(app: App, call: Call, args: ChooseArgs) -> ChosenAnswer:
    """Delete messages: those with these ids, and all dead letters of a route."""
    delivery = _delivery(app, call)
    with _as_unknown(), as_tool_errors():
        found = await delivery.drop(args.message_ids, args.route, actor=call.peer.actor)
    return ChosenAnswer(message_ids=list(found))


@tool(writes=False)
async def list_routes(app: App, call: Call, args: NoArgs) -> RoutesAnswer:
    """The routes, and how their deliveries go."""
    delivery = _delivery(app, call)
    with as_tool_errors():
        rows = [_route_row(each) for each in await delivery.statuses()]
        orphans = await delivery.orphans()
    removed = [
        RouteRow(
            name=name, sink="", sink_kind="none", when="", on=[], next_digest=None,
            waiting=each.waiting, dead=each.dead, oldest=iso(each.oldest),
            error="the route is no longer configured", failing_since=None, next_try=None,
            unread=0,
        )
        for name, each in orphans.items()
    ]  # fmt: skip
    return RoutesAnswer(routes=rows + removed)


@tool(writes=True, timeout=55.0)
async def test_route(app: App, call: Call, args: RouteArgs) -> TestedAnswer:
    """Send a marked sample to the sink of a route, past the outbox."""
    delivery = _delivery(app, call)
    with _as_unknown():
        error = await delivery.test(args.route, actor=call.peer.actor)
    return TestedAnswer(delivered=error is None, error=error)


@tool(writes=False)
async def preview_route(app: App, call: Call, args: PreviewArgs) -> PreviewAnswer:
    """What a digest of a route would say about the latest time; sends nothing."""
    delivery = _delivery(app, call)
    with _as_unknown(), as_tool_errors():
        message = await delivery.preview(args.route, app.now() - args.since_seconds)
    return PreviewAnswer(
        title=message.title, text=plain_text(message), document=dict(message.document)
    )


DELIVERY_ACTIONS: Final[tuple[ToolDef, ...]] = (
    list_messages,
    retry_messages,
    drop_messages,
    list_routes,
    test_route,
    preview_route,
)


def _delivery(app: App, call: Call) -> Delivery:
    if app.scopes_of(call.peer):
        text = "messages are about all targets, and your role is limited to some"
        raise ToolError("not_permitted", text)
    assert app.delivery is not None
    return app.delivery


@contextmanager
def _as_unknown() -> Iterator[None]:
    try:
        yield
    except UnknownRoute as error:
        raise ToolError("unknown_route", str(error)) from error


def _message_row(item: OutboxItem) -> MessageRow:
    message = item.message
    return MessageRow(
        number=item.number,
        message_id=message.message_id,
        route=message.route,
        state=item.state,
        kind=message.kind.value,
        title=clean_line(message.title),
        stored_at=iso(item.stored_at),
        tries=item.tries,
        error=item.error,
        task_id=message.task_id,
    )


def _route_row(status: RouteStatus) -> RouteRow:
    settings, backlog = status.route.settings, status.backlog
    return RouteRow(
        name=settings.name,
        sink=settings.sink,
        sink_kind=_kind(status.route.sink),
        when=settings.when.value,
        on=[each.value for each in settings.on],
        next_digest=iso(status.next_digest),
        waiting=backlog.waiting,
        dead=backlog.dead,
        oldest=iso(backlog.oldest),
        error=status.error,
        failing_since=iso(status.since),
        next_try=iso(status.next_try),
        unread=status.unread,
    )


def _kind(sink: SinkSettings) -> str:
    kinds = ("apprise", "webhook", "defectdojo", "json_lines")
    return next(kind for kind in kinds if getattr(sink, kind) is not None)
