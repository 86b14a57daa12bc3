"""The files that `nessus-sched install` creates."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import attrs

import nessus_sched
from nessus_sched.cli.man import man_page

CONFIG: Final = "etc/nessus-sched"
STATE: Final = "var/lib/nessus-sched"
_EXEC_START: Final = re.compile(r"^ExecStart=\S+", re.MULTILINE)
_PLAIN: Final = re.compile(r"/[\w/.+@:,=-]+")
_HIDDEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - not used
"""Directories that the unit's ProtectHome= and PrivateTmp= hide from the service."""


@attrs.frozen(kw_only=True)
class Item:
    """A directory, a file with `text`, or a symbolic link to `link`; `path` is relative to the
    root of the system."""

    path: str
    mode: int = 0o644
    text: str | None = None
    link: str | None = None


def plan(program: str, prefix: str) -> Sequence[Item]:
    """Everything for a service that runs `program`, below `prefix` and in /etc."""
    top = Path(prefix.lstrip("/"))
    lib = top / "lib"
    unit = _EXEC_START.sub(
        lambda _: f"ExecStart={program}", packaged_file("systemd/nessus-sched.service"), count=1
    )
    items = [
        Item(path=str(lib / "systemd/system/nessus-sched.service"), text=unit),
        _copy(lib / "systemd/system/nessus-sched.socket", "systemd/nessus-sched.socket"),
        _copy(lib / "sysusers.d/nessus-sched.conf", "systemd/nessus-sched.sysusers"),
        _copy(lib / "tmpfiles.d/nessus-sched.conf", "systemd/nessus-sched.tmpfiles"),
        Item(path=str(top / "share/man/man1/nessus-sched.1"), text=man_page()),
        Item(path=CONFIG, mode=0o755),
        Item(path=f"{CONFIG}/credentials", mode=0o700),
        _copy(Path(CONFIG, "example.yaml"), "etc/nessus-sched.yaml"),
    ]
    command = str(top / "bin/nessus-sched")
    if program != f"/{command}":  # so that `ssh HOST nessus-sched mcp` finds it
        items.append(Item(path=command, link=program))
    return items


def _copy(path: Path, name: str) -> Item:
    return Item(path=str(path), text=packaged_file(name))


def put(item: Item, root: Path, *, pretend: bool) -> str:
    """Creates one item; what was done, in a word."""
    path = root / item.path
    if item.link is not None:
        return _put_link(path, item.link, pretend)
    if item.text is None:
        if path.is_dir() and stat.S_IMODE(path.stat().st_mode) == item.mode:
            return "unchanged"
        if not pretend:
            _make_directories(path, item.mode)
        return "made"
    return _put_file(path, item.text, item.mode, pretend)


def _put_file(path: Path, text: str, mode: int, pretend: bool) -> str:
    there = path.read_text(encoding="utf-8", errors="replace") if path.exists() else None
    if there == text and stat.S_IMODE(path.stat().st_mode) == mode:
        return "unchanged"
    if not pretend:
        _make_directories(path.parent, 0o755)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            fresh.write_text(text, encoding="utf-8")
            fresh.chmod(mode)
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
    return "made" if there is None else "replaced"


def _put_link(path: Path, target: str, pretend: bool) -> str:
    if path.is_symlink() and os.readlink(path) == target:
        return "unchanged"
    if path.exists() and not path.is_symlink():
        return "in the way, kept"
    if not pretend:
        _make_directories(path.parent, 0o755)
        path.unlink(missing_ok=True)
        path.symlink_to(target)
    return "made"


def _make_directories(path: Path, mode: int) -> None:
    """Creates a directory with this mode regardless of the umask; missing parents are
    world-readable."""
    if not path.is_dir():
        if not path.parent.is_dir():
            _make_directories(path.parent, 0o755)
        path.mkdir()
        path.chmod(mode)
    elif mode != 0o755 or path.parts[-2:] == tuple(CONFIG.split("/")):
        path.chmod(mode)


def remove(item: Item, root: Path, *, pretend: bool) -> bool:
    """Removes a file or link if it is ours; directories stay."""
    path = root / item.path
    if item.link is not None:
        ours = path.is_symlink() and os.readlink(path) == item.link
    else:
        ours = item.text is not None and path.is_file()
    if ours and not pretend:
        path.unlink()
    return ours


def unfit(program: str) -> str | None:
    """Why a service cannot run the program at this path; None if it can."""
    straight = program == os.path.normpath(program) and not program.startswith("//")
    if not straight or not _PLAIN.fullmatch(program):
        return f"a unit cannot name {program!r}: give a plain absolute path"
    return _hidden(program)


def out_of_reach(paths: Iterable[Path]) -> str | None:
    """Why the service's user could not read one of these; None if it could."""
    for path in paths:
        real = path.resolve()
        reason = _hidden(str(real))
        if reason is not None:
            return reason
        for part in (real, *real.parents):
            if not part.exists():
                return f"there is no {part}"
            if not part.stat().st_mode & (stat.S_IXOTH if part.is_dir() else stat.S_IROTH):
                return f"{part} is not readable by every user"
    return None


def _hidden(path: str) -> str | None:
    for above in _HIDDEN:
        if path.startswith(f"{above}/"):
            return f"{path} is below {above}, which is hidden from the service"
    return None


def packaged_file(name: str) -> str:
    """The text of a file of `etc/` or `systemd/`, such as `systemd/nessus-sched.service`."""
    return _place().joinpath(name).read_text(encoding="utf-8")


def _place() -> Traversable:
    """A folder of the installed package, or the root of a checkout."""
    installed = files("nessus_sched").joinpath("share")
    return installed if installed.is_dir() else Path(nessus_sched.__file__).parents[2]
