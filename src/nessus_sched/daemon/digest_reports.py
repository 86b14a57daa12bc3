"""Writes the reports for people that digests bring."""

from __future__ import annotations

import os

from nessus_sched.api.app import App
from nessus_sched.api.operations import Call, ToolError
from nessus_sched.api.reporting.make import ReportKind, make
from nessus_sched.api.reporting.scope import Asked
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.delivery.router import NotWritten
from nessus_sched.delivery.routes import Route
from nessus_sched.ipc.peer import Peer
from nessus_sched.results.reports.period import Period


async def write_report(app: App, route: Route, begin: float, end: float) -> str:
    """The path of a route's report about a time (epoch seconds). Raises `NotWritten`."""
    settings = route.settings
    assert settings.report is not None
    asked = Asked(
        schedule=next(iter(settings.schedules), None),
        targets=settings.networks,
        **settings.labels,
    )
    period = Period(since=begin, until=end, zone=app.config.calendar.time_zone)
    call = Call(peer=Peer(connection=f"route {route.name}", uid=os.getuid()))
    try:
        made = await make(app, call, ReportKind(settings.report.value), asked, period, end)
        return await app.keep_report(made.name, made.text)
    except ToolError as error:
        raise NotWritten(error.message) from error
    except StoreUnavailable as error:
        raise NotWritten(str(error)) from error
