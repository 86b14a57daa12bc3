"""The `nessus-sched` command. The relay must start like a bare interpreter: it comes
before every other import, and the command line interface is loaded only for the rest."""

from __future__ import annotations

import sys


def main() -> int:
    """Runs the command line of this process; the exit code."""
    if sys.argv[1:2] == ["mcp"]:
        from nessus_sched.ipc import relay

        code = relay.main(sys.argv[2:])
        if code is not None:
            return code
    import importlib
    import signal

    if sys.argv[1:2] == ["serve"]:
        # A reload that is asked for while we start must not end us: it waits for the daemon.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    return int(importlib.import_module("nessus_sched.cli.main").main() or 0)


if __name__ == "__main__":
    sys.exit(main())
