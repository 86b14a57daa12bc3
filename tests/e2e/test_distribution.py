"""Wheel and sdist: what is in them, and that a clean place needs nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import attrs
import pytest

from nessus_sched import __version__

CHECKOUT = Path(__file__).parents[2]
WHEEL = f"nessus_sched-{__version__}-py3-none-any.whl"
IN_SDIST = {"src", "etc", "systemd", "tests", ".ci", "CHANGELOG.md", "LICENSE", "README.md",
            "pyproject.toml", "PKG-INFO", ".gitignore"}  # fmt: skip

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def done(*words: str | Path, where: Path, **environ: str) -> str:
    kept = {key: each for key, each in os.environ.items() if key not in {"PYTHONPATH", "HOME"}}
    ended = subprocess.run(
        words, cwd=where, env={**kept, "HOME": str(where), **environ}, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, f"{words}\n{ended.stdout}"
    return ended.stdout


@attrs.frozen
class Built:
    wheel: Path
    sdist: Path
    place: Path

    def build(self, source: Path, target: str, into: Path) -> None:
        done(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", into,
             where=source, PYTHONPATH=str(self.place / "tools"))  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    place = tmp_path_factory.mktemp("built")
    pip = (sys.executable, "-m", "pip", "install", "-q", "--target", place / "tools")
    done(*pip, "hatchling", where=place)
    sdist = place / f"nessus_sched-{__version__}.tar.gz"
    found = Built(place / WHEEL, sdist, place)
    for target in ("wheel", "sdist"):
        found.build(CHECKOUT, target, place)
    return found


def files(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_has_the_program_and_what_it_hands_out(built: Built) -> None:
    there = files(built.wheel)
    share = "nessus_sched/share"
    for folder, name in (("etc", "etc"), ("systemd", "systemd"), ("src/nessus_sched", "")):
        prefix = Path(f"{share}/{name}" if name else "nessus_sched")
        wanted = {
            str(prefix / each.relative_to(CHECKOUT / folder))
            for each in (CHECKOUT / folder).rglob("*")
            if each.is_file() and each.parent.name != "__pycache__"
        }
        assert wanted
        assert wanted <= there
    (info,) = {each.split("/")[0] for each in there} - {"nessus_sched"}
    assert f"{info}/licenses/LICENSE" in there
    assert not [each for each in there if "/tests/" in each or "__pycache__" in each]
    with zipfile.ZipFile(built.wheel) as archive:
        meta = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
    assert meta["Version"] == __version__
    assert "postgres" in meta.get_all("Provides-Extra", [])


def test_the_sdist_has_what_a_packager_needs_and_makes_the_same_wheel(
    built: Built, tmp_path: Path
) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    assert {each.name for each in source.iterdir()} == IN_SDIST
    built.build(source, "wheel", tmp_path / "again")
    assert files(tmp_path / "again" / WHEEL) == files(built.wheel)


def test_a_clean_place_needs_only_the_wheel(built: Built, tmp_path: Path) -> None:
    done(sys.executable, "-m", "venv", "v", where=tmp_path)
    bin_ = tmp_path / "v" / "bin"
    program = bin_ / "nessus-sched"
    done(bin_ / "pip", "install", "-q", built.wheel, where=tmp_path)
    assert __version__ in done(program, "--version", where=tmp_path)
    for shell in ("bash", "zsh", "fish"):
        assert "nessus-sched" in done(program, "completion", shell, where=tmp_path)
    assert ".TH" in done(program, "man", where=tmp_path)
    planned = done(
        program, "install", "--systemd", "--dry-run", "--program", "/bin/sh", where=tmp_path
    )
    assert {"service", "socket"} <= set(re.findall(r"nessus-sched\.(\w+)", planned))
    done(program, "demo", "--report", "report.html", where=tmp_path)
    assert "<html" in (tmp_path / "report.html").read_text()
    imports = (bin_ / "python", "-c", "import psycopg")
    with pytest.raises(AssertionError, match="No module named 'psycopg'"):
        done(*imports, where=tmp_path)
    done(bin_ / "pip", "install", "-q", f"{built.wheel}[postgres]", where=tmp_path)
    done(*imports, where=tmp_path)
