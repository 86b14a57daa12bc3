"""The technical report of a file, which needs no daemon."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from nessus_sched.cli.output import print_note
from nessus_sched.config.delivery import ReportSettings
from nessus_sched.config.loading import load
from nessus_sched.config.problems import ConfigError
from nessus_sched.core.clock import system_now
from nessus_sched.results.reports import rendering, technical


def settings_of(config: Path | None) -> ReportSettings:
    """Those of a configuration, if there is one that this user can read."""
    if config is None or not os.access(config, os.R_OK):
        return ReportSettings()
    try:
        return load(config, environ=os.environ).reports
    except ConfigError:
        print_note(f"{config} has mistakes; templates and organization in it are not used")
        return ReportSettings()


def page_of(
    title: str, document: Mapping[str, Any], settings: ReportSettings | None = None
) -> Iterator[str]:
    """The pieces of the technical report. Raises `click.ClickException` for a user's template that
    does not render."""
    used = settings or ReportSettings()
    made = datetime.fromtimestamp(system_now(), UTC).astimezone()
    begun = rendering.head(
        technical.KIND, title, scope="scan report", period="", made=f"{made:%Y-%m-%d %H:%M %Z}",
        organization=used.organization,
    )  # fmt: skip
    try:
        yield from rendering.page(technical.KIND, {**begun, **document}, used.templates)
    except rendering.BadTemplate as error:
        raise click.ClickException(str(error)) from error
