"""Translates errors of the scheduler and the stores for clients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nessus_sched.api.app import ReadApp
from nessus_sched.api.operations import ToolError
from nessus_sched.core.store_errors import (
    NoFindings,
    OutcomeUnknown,
    StoreClosed,
    StoreUnavailable,
)
from nessus_sched.results.query.model import BadQuery
from nessus_sched.scheduler.admission.admit import unknown
from nessus_sched.scheduler.errors import RequestError


@contextmanager
def as_tool_errors() -> Iterator[None]:
    """Turns errors of operations into `ToolError`s that say what to do next."""
    try:
        yield
    except RequestError as error:
        raise ToolError(error.code, str(error), error.hint) from error
    except BadQuery as error:
        raise ToolError("bad_query", str(error)) from error
    except NoFindings as error:
        raise ToolError(
            "no_results", str(error), "get_scan_status says whether they are still pending."
        ) from error
    except StoreUnavailable as error:
        raise ToolError("store_unavailable", str(error), "Try again later.") from error
    except StoreClosed as error:
        raise ToolError(
            "store_unavailable", f"The daemon is stopping: {error}.", "Try again later."
        ) from error
    except OutcomeUnknown as error:
        raise ToolError(
            "store_unavailable",
            f"The daemon is stopping, and it is not known whether this was stored: {error}.",
            "Look for it before you try again, or repeat it with the same idempotency key.",
        ) from error


def check_scanner(app: ReadApp, name: str | None) -> None:
    """Raises `ToolError` for the name of an unknown scanner."""
    known = app.queries.scanner_ids
    if name is not None and name not in known:
        raise ToolError("unknown_scanner", unknown("scanner", name, known))


def check_pool(app: ReadApp, name: str | None) -> None:
    """Raises `ToolError` for the name of an unknown pool."""
    pools = {scanner.pool for scanner in app.config.scanners}
    if name is not None and name not in pools:
        raise ToolError("unknown_pool", unknown("pool", name, pools))
