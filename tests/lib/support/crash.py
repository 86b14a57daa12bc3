"""A daemon that an error of its own ends, once it is up."""

from __future__ import annotations

import subprocess
import sys

from support.processes import START, Site

_SCRIPT = """
import sys
from nessus_sched.__main__ import main
from nessus_sched.daemon import serve
from nessus_sched.core.store_errors import StoreUnavailable

async def fail(metrics):
    raise {error}

serve.measure_loop_lag = fail
sys.argv[1:] = ["serve", "--config", sys.argv[1]]
main()
"""


def crashed(place: Site, error: str) -> str:
    """What it says when this expression is raised in it; it must end with code 1."""
    words = [sys.executable, "-c", _SCRIPT.format(error=error), str(place.file)]
    ended = subprocess.run(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=place.environ,
        timeout=START,
    )
    assert ended.returncode == 1, ended.stdout
    return ended.stdout
