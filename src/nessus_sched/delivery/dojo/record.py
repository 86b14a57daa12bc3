"""What we remember in the description of a test, and whether old findings may be closed (pure).

DefectDojo closes what is in a test and not in the report. That is right only if the report would
show everything that ever went into the test: so the description holds the targets of all scans
that did, and how they scanned. Deleting these lines makes it
forget them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from nessus_sched.core.targets.ranges import difference, merged
from nessus_sched.core.targets.targets import BadTargets, TargetSet, targets_from
from nessus_sched.delivery.kept_scans import KeptScan

MARK: Final = "nessus-sched "
"""At the beginning of each of our lines."""
LONGEST: Final = 8_000
"""Characters of targets that a description holds."""
OTHERS: Final = "its test has findings that nessus-sched did not import"
_TARGETS: Final = f"{MARK}targets: "
_WAY: Final = f"{MARK}scans: "
_NOTE: Final = f"{MARK}note: "
_MANY: Final = "too many to list"
_SEVERAL: Final = "of several kinds"


@attrs.frozen(kw_only=True)
class Record:
    """The targets of all scans in a test, None if they are too many or not known, and how they
    scanned."""

    targets: TargetSet | None
    way: str


@attrs.frozen(kw_only=True)
class Decision:
    """Whether to close what is not in the report, and the description to set before."""

    close: bool
    description: str


def decide(scan: KeptScan, way: str, description: str, *, ours: bool, first: bool) -> Decision:
    """`way` says how `scan` scanned, `description` is that of its test. `ours`: the test was made
    by us; `first`: just now."""
    record = _read(description)
    now = targets_from(scan.targets)
    why = _doubt(scan, way, record, now, ours=ours, first=first)
    if record is None:
        # Nobody knows the targets of what others have imported.
        record = Record(targets=now if ours else None, way=way)
    else:
        record = Record(
            targets=None if record.targets is None else _union(record.targets, now),
            way=way if record.way == way else _SEVERAL,
        )
    note = None if why is None or first else f"{scan.task_id} closed nothing: {why}"
    return Decision(close=why is None and not first, description=_write(description, record, note))


def _doubt(
    scan: KeptScan, way: str, record: Record | None, now: TargetSet, *, ours: bool, first: bool
) -> str | None:
    if scan.doubt is not None:
        return scan.doubt
    if record is None:
        return None if first else "its earlier scans are not known" if ours else OTHERS
    if record.way != way:
        return "not all earlier scans looked for the same things"
    if record.targets is None or not _covers(now, record.targets):
        return "it had fewer targets than earlier scans"
    return None


def _covers(whole: TargetSet, part: TargetSet) -> bool:
    return not difference(part.ranges, whole.ranges) and set(part.names) <= set(whole.names)


def _union(one: TargetSet, other: TargetSet) -> TargetSet:
    names = tuple(sorted({*one.names, *other.names}))
    return TargetSet(ranges=merged((*one.ranges, *other.ranges)), names=names)


def _read(description: str) -> Record | None:
    """None if there is none, or somebody has changed it."""
    lines = description.splitlines()
    targets, way = _after(_TARGETS, lines), _after(_WAY, lines)
    if targets is None or way is None:
        return None
    if targets == _MANY:
        return Record(targets=None, way=way)
    try:
        return Record(targets=targets_from(targets.split(", ")), way=way)
    except BadTargets:
        return None


def _after(mark: str, lines: Iterable[str]) -> str | None:
    return next((line.removeprefix(mark) for line in lines if line.startswith(mark)), None)


def _write(description: str, record: Record, note: str | None) -> str:
    kept = [line for line in description.splitlines() if not line.startswith(MARK)]
    listed = None if record.targets is None else ", ".join(record.targets.texts)
    if listed is None or len(listed) > LONGEST:
        listed = _MANY
    ours = [_TARGETS + listed, _WAY + record.way, *([] if note is None else [_NOTE + note])]
    return "\n".join([*kept, *ours])
