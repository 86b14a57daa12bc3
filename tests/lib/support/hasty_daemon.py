"""The program with little patience for lost scanners: minutes become seconds.

python tests/lib/support/hasty_daemon.py serve ...
"""

from __future__ import annotations

import sys

LOST_AFTER = 3.0
"""Seconds without an answer after which a scanner is lost."""
GIVEN_UP_AFTER = 8.0
"""Seconds after which a launch in doubt is given up there."""
AGAIN = 2.0


def main() -> None:
    # Before the modules that import the value from it.
    from nessus_sched.scheduler.driver import connection

    connection.LOST_AFTER = LOST_AFTER
    from nessus_sched.scheduler.driver import launching, repaying, watching

    launching.GIVEN_UP_AFTER = GIVEN_UP_AFTER
    repaying.REPEAT_STOP = repaying.PAUSE = watching.REPEAT_COMMAND = AGAIN
    from nessus_sched.__main__ import main as program

    sys.exit(program())


if __name__ == "__main__":
    main()
