"""Makes the sink that a configuration describes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from nessus_sched.config.delivery import JsonLinesSink, SinkSettings
from nessus_sched.config.problems import Problem
from nessus_sched.core.clock import Now
from nessus_sched.delivery.kept_scans import KeptScans
from nessus_sched.delivery.sinks.chat import NOT_UNDERSTOOD, SERVICES, Chat, understands
from nessus_sched.delivery.sinks.defectdojo import DefectDojo
from nessus_sched.delivery.sinks.json_lines import JsonLinesFile
from nessus_sched.delivery.sinks.port import Sink
from nessus_sched.delivery.sinks.syslog import Syslog
from nessus_sched.delivery.sinks.webhook import Webhook


class OpenSink(Protocol):
    """Makes a sink; see `sink_for`."""

    def __call__(
        self,
        settings: SinkSettings,
        *,
        wall: Now,
        scans: KeptScans,
        document_only: bool = False,
    ) -> Sink: ...


def sink_for(
    settings: SinkSettings, *, wall: Now, scans: KeptScans, document_only: bool = False
) -> Sink:
    """The sink; it connects to nothing yet. `document_only` makes a webhook send the document of
    a message alone."""
    if settings.webhook is not None:
        return Webhook(settings=settings.webhook, wall=wall, document_only=document_only)
    if settings.json_lines is not None:
        return _json_lines(settings.json_lines, wall)
    if settings.apprise is not None:
        return Chat(settings.apprise)
    assert settings.defectdojo is not None  # one of them, see config.checks
    return DefectDojo(settings=settings.defectdojo, scans=scans, wall=wall)


def sink_problems(sinks: Iterable[SinkSettings], file: str) -> Iterator[Problem]:
    """Mistakes in sinks that the configuration itself cannot see."""
    for settings in sinks:
        if settings.apprise is not None and not understands(settings.apprise):
            text = f"sink {settings.name}: {NOT_UNDERSTOOD}"
            yield Problem(file=file, message=text, hint=f"see {SERVICES}")


def _json_lines(settings: JsonLinesSink, wall: Now) -> Sink:
    if settings.file is not None:
        return JsonLinesFile(settings.file)
    assert settings.syslog is not None  # one of both, see config.checks
    return Syslog(address=settings.syslog, tls=settings.tls, wall=wall)
