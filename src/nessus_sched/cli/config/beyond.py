"""Mistakes in a configuration that reading the file does not show."""

from __future__ import annotations

from collections.abc import Iterator

from nessus_sched.config.problems import Problem
from nessus_sched.config.schema import Config


def problems_beyond_reading(config: Config, file: str) -> Iterator[Problem]:
    """Sinks that their library does not understand, and templates of reports that do not render.
    Slow: it may import Apprise and render every template."""
    from nessus_sched.delivery.sinks.open import sink_problems

    yield from sink_problems(config.sinks, file)
    own = config.reports.templates
    if own is None:
        return
    from nessus_sched.results.reports.sample import bad_templates

    for each in bad_templates(own):
        path = str(own / each.name)
        yield Problem(file=path, line=each.line or 0, column=1, message=each.problem)
