"""Reports that are imported piece by piece."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nessus_sched.api import validation
from nessus_sched.api.app import App
from nessus_sched.api.operations import Call, ToolError
from nessus_sched.api.tools import OPERATORS
from nessus_sched.ipc.peer import Peer
from support.apps import app_of
from support.world import one_scanner


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    async with one_scanner(tmp_path) as (w, _):
        yield app_of(w)


async def operate(app: App, operation: str, connection: str = "c", **arguments: Any) -> Any:
    found = OPERATORS.get(operation)
    assert found is not None
    args: Any = validation.parse(found.arguments, arguments)
    return await found.fn(app, Call(peer=Peer(connection=connection, uid=0)), args)


@pytest.mark.parametrize("data", ["é", "\u0665\u0666==", "a", "ab c", "=", "\x00"])
async def test_a_piece_that_is_not_base64_is_refused(app: App, data: str) -> None:
    task_id = (await operate(app, "import_begin", name="n", file="f")).task_id
    with pytest.raises(ToolError, match=r"^data: ") as refused:
        await operate(app, "import_piece", task_id=task_id, data=data)
    assert refused.value.code == "bad_arguments"
    piece = base64.b64encode(b"<x/>").decode()
    assert (await operate(app, "import_piece", task_id=task_id, data=piece)).task_id == task_id


async def test_a_report_is_its_senders_alone(app: App) -> None:
    task_id = (await operate(app, "import_begin", "mine", name="n", file="f")).task_id
    for name, more in (("import_piece", {"data": "AAAA"}), ("import_end", {})):
        with pytest.raises(ToolError, match=r"no report .* is being imported here"):
            await operate(app, name, "theirs", task_id=task_id, **more)
    await operate(app, "import_piece", "mine", task_id=task_id, data="AAAA")


async def test_few_reports_at_once(app: App) -> None:
    for _ in range(4):
        await operate(app, "import_begin", name="n", file="f")
    with pytest.raises(ToolError, match="4 reports are being imported already"):
        await operate(app, "import_begin", name="n", file="f")
