"""What a report shows of how a host was scanned."""

from __future__ import annotations

import pytest

from nessus_sched.results.coverage import CoverageBuilder, HostCoverage
from support.nessus_xml import document, host, item, output, read

INFORMATION = item(19506, output("Scanner IP : 192.0.2.250\nPort range : default"))
LOGGED_IN = item(
    141118, output("Nessus was able to log in to the remote host via the following :\n")
)


def coverage(*items: str) -> HostCoverage:
    """Of a host with these report items."""
    builder = CoverageBuilder()
    events, _ = read(document(host("192.0.2.1", *items)))
    [found] = [built for event in events if (built := builder.add(event)) is not None]
    return found


@pytest.mark.parametrize(
    ("items", "answered"),
    [
        ([], False),
        ([INFORMATION], False),
        ([INFORMATION, item(45590), item(12053)], False),
        ([INFORMATION, item(10180, output("The remote host is up"))], True),
        ([INFORMATION, item(10180, output("The remote host (192.0.2.1) is dead"))], False),
        ([INFORMATION, item(10114)], True),
        ([INFORMATION, item(10287)], True),
        ([INFORMATION, item(11219, port=22)], True),
        ([INFORMATION, LOGGED_IN], True),
    ],
)
def test_a_host_answered_only_if_something_shows_it(items: list[str], answered: bool) -> None:
    assert coverage(*items).answered is answered
