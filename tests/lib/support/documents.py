"""The pages in etc/doc that are made from the program.

`PYTHONPATH=tests/lib .venv/bin/python -m support.documents` brings them up to date; a test
tells when they are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from nessus_sched.config.reference import reference
from nessus_sched.core.faults import FAULTS
from nessus_sched.core.states import FINAL, HOLDS_SLOT, TRANSITIONS, TaskState
from nessus_sched.sim.assumptions import ASSUMPTIONS
from nessus_sched.sim.refusals import ANSWERS, Refusal

FOLDER = Path(__file__).parents[3] / "etc/doc"
_ERRORS = """\
# Error codes

The last error of a task has one of these codes. MCP tools and `nessus-sched status --json` show it
as `error.code`, `nessus-sched dlq purge` selects by it (`--class`), and metrics count retries by
it. The cause says where something has to change: `ours` is nessus-sched or its configuration, and
`person` is someone who changed the scan on the scanner. What follows:

- **repeat**: the step is repeated with growing delays. If a launch keeps failing, the attempt has
  failed; if an export does, the task becomes a dead letter.
- **requeue**: the task returns to its old place in the queue.
- **suspend**: the same, and the scanner gets no more work until it has accepted a task again.
- **reroute**: the task goes to another scanner, and becomes a dead letter if none is left.
- **postpone**: the task gives up its slot and is tried again a minute later.
- **retry**: the attempt has failed; the next one follows after a delay, up to `max_attempts`.
- **bury**: the task becomes a dead letter, which `nessus-sched dlq retry` revives.
- **end**: the task ends as partial, canceled or timed out.
"""
_ASSUMED = "<!-- assumptions: made by support.documents -->\n"
_REFUSED = "<!-- refusals: made by support.documents -->\n"
_TABLE_END = "<!-- end of table -->\n"
_BEGIN, _END = "<!-- states: made by support.documents -->\n", "<!-- end of states -->\n"


def pages() -> Mapping[Path, str]:
    """What each page should say."""
    architecture = FOLDER / "architecture.md"
    simulator = FOLDER / "simulator.md"
    return {
        FOLDER / "configuration.md": reference().rstrip() + "\n",
        architecture: _with_states(architecture.read_text(encoding="utf-8")),
        simulator: _with_tables(simulator.read_text(encoding="utf-8")),
        FOLDER / "errors.md": "".join(f"{line}\n" for line in _errors()),
    }


def _errors() -> Iterator[str]:
    yield from _ERRORS.splitlines()
    yield from ("", "| code | cause | may clear by itself | uses up an attempt | what follows |")
    yield "|---|---|---|---|---|"
    for kind, fault in FAULTS.items():
        passes, counts = ("yes" if is_so else "" for is_so in (fault.passes, fault.counts))
        yield f"| `{kind}` | {fault.blame} | {passes} | {counts} | {fault.response} |"
    yield from ("", "## What to do", "")
    yield from (f"- `{kind}`: {fault.advice}" for kind, fault in FAULTS.items())


def _with_tables(text: str) -> str:
    for begin, rows in ((_ASSUMED, _assumptions()), (_REFUSED, _refusals())):
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(_TABLE_END)
        table = "".join(f"{row}\n" for row in rows)
        text = f"{before}{begin}{table}{_TABLE_END}{after}"
    return text


def _assumptions() -> Iterator[str]:
    yield from ("| name | default | what `yes` means | evidence |", "|---|---|---|---|")
    for each in ASSUMPTIONS.values():
        default = "yes" if each.default else "no"
        yield f"| `{each.name}` | {default} | {each.meaning} | {each.evidence} |"


def _refusals() -> Iterator[str]:
    yield from ("| name | answer | requests |", "|---|---|---|")
    for refusal in Refusal:
        words = ANSWERS.get(refusal)
        answer = f"{words.status} `{words.text}`" if words else "412 `API is not available`"
        routes = ", ".join(f"`{route}`" for route in words.routes) if words else "all writes"
        yield f"| `{refusal}` | {answer} | {routes} |"


def _with_states(text: str) -> str:
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    diagram = "".join(f"{line}\n" for line in _diagram())
    return f"{before}{_BEGIN}{diagram}{_END}{after}"


def _diagram() -> Iterator[str]:
    """A state diagram for Mermaid, and the same in a table for eyes."""
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {TaskState.QUEUED}"
    for state, following in TRANSITIONS.items():
        yield from (f"    {state} --> {after}" for after in _in_order(following))
        if state in FINAL:
            yield f"    {state} --> [*]"
    yield from ("```", "", "| from | to | a slot |", "|---|---|---|")
    for state, following in TRANSITIONS.items():
        to = ", ".join(_in_order(following)) or "(final)"
        yield f"| {state} | {to} | {'holds one' if state in HOLDS_SLOT else ''} |"


def _in_order(states: frozenset[TaskState]) -> list[TaskState]:
    return [state for state in TaskState if state in states]


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
