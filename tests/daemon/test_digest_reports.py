"""The reports that digests bring, over a living ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from nessus_sched.api.app import App
from nessus_sched.config.delivery import DigestReport, ReportSettings, When
from nessus_sched.daemon.digest_reports import write_report
from nessus_sched.delivery.router import NotWritten
from nessus_sched.delivery.routes import Route
from nessus_sched.store.pages import keep_page
from support.living_app import living_app
from support.post_office import config, route
from support.reading import Page


async def written(app: App, directory: Path, **settings: Any) -> Path:
    async def keep(name: str, text: str) -> str:
        return str(keep_page(directory / "reports", name, text))

    wanted = route(when=When.WEEKLY, **settings)
    found = Route(settings=wanted, sink=config(directory, wanted).sinks[0])
    keeping = attrs.evolve(app, keep_report=keep)
    now = app.now()
    return Path(await write_report(keeping, found, now - 7 * 86400, now))


@pytest.mark.parametrize("kind", list(DigestReport))
async def test_each_kind_is_written(kind: DigestReport, tmp_path: Path) -> None:
    async with living_app(tmp_path) as (app, _):
        path = await written(app, tmp_path, report=kind)
        narrow = await written(app, tmp_path, report=kind, networks=("192.0.2.1",))
    assert path.parent == tmp_path / "reports"
    assert path.name.startswith(f"{kind}-")
    assert narrow != path
    page = Page(path.read_text())
    assert "all hosts" in page.text
    assert "192.0.2.1" in Page(narrow.read_text()).text


async def test_why_not(tmp_path: Path) -> None:
    """A schedule that has no task, a template that does not render, a place that is a file."""
    async with living_app(tmp_path) as (app, _):
        with pytest.raises(NotWritten, match="schedule 'none'"):
            await written(app, tmp_path, report=DigestReport.TEAM, schedules=("none",))
        templates = tmp_path / "templates"
        templates.mkdir()
        (templates / "team.html").write_text("{% nonsense %}")
        app.service.context.config = attrs.evolve(
            app.config, reports=ReportSettings(templates=templates)
        )
        with pytest.raises(NotWritten, match=r"team\.html"):
            await written(app, tmp_path, report=DigestReport.TEAM)
        app.service.context.config = attrs.evolve(app.config, reports=ReportSettings())
        (tmp_path / "reports").write_text("in the way")
        with pytest.raises(NotWritten, match="cannot be written"):
            await written(app, tmp_path, report=DigestReport.TEAM)
