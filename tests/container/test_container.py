"""The files for containers: judged by their linters, and true to what is beside them."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from nessus_sched.config.loading import load
from nessus_sched.config.scanners import ApiKeys
from nessus_sched.config.schema import Config
from nessus_sched.sim.options import SimOptions

CHECKOUT = Path(__file__).parents[2]
HERE = CHECKOUT / "etc/container"
COMPOSE = HERE / "compose.yaml"
PAIR = HERE / "pair" / "compose.yaml"


def judged(tool: str, *words: str) -> None:
    """Passes when the tool, which came with the development extra, finds nothing wrong."""
    path = Path(sysconfig.get_path("scripts"), tool)
    if not path.exists():
        pytest.skip(f"{tool} is not installed")
    done = subprocess.run([path, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def compose(file: Path = COMPOSE) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(file)
    return found


def test_the_containerfile_is_in_order() -> None:
    judged("hadolint", str(HERE / "Containerfile"))


@pytest.mark.slow
@pytest.mark.parametrize("file", [COMPOSE, PAIR], ids=["one", "pair"])
def test_the_compose_file_keeps_to_the_specification(file: Path) -> None:
    judged("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(file))


def test_what_is_copied_and_mounted_is_there() -> None:
    copied = re.findall(r"^COPY ([^-].*) \S+$", (HERE / "Containerfile").read_text(), re.MULTILINE)
    assert copied
    for name in " ".join(copied).split():
        assert (CHECKOUT / name).exists(), name
    services = compose()["services"].values()
    mounts = [volume for service in services for volume in service.get("volumes", ())]
    own = [mount for mount in mounts if mount.startswith((".", "${NESSUS_SCHED_CONFIG_DIR"))]
    assert len(own) == 6
    for mount in own:
        path = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", mount).split(":")[0]
        assert (HERE / path).exists(), path


def test_the_example_of_settings_names_all_of_them_with_their_defaults() -> None:
    settings = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", COMPOSE.read_text()))
    lines = (HERE / ".env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert example == settings


@pytest.mark.parametrize("file", [COMPOSE, PAIR], ids=["one", "pair"])
def test_every_service_is_bounded_and_can_change_nothing_in_its_image(file: Path) -> None:
    for name, service in compose(file)["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["restart"] == "unless-stopped", name
        assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}, name
        published = ("127.0.0.1:", "${DATABASE_ADDRESS:-192.0.2.10}:5432:")  # needs a password
        assert all(port.startswith(published) for port in service.get("ports", ())), name


def test_the_pair_has_what_its_files_name() -> None:
    found = compose(PAIR)
    services = found["services"]
    used = {secret for service in services.values() for secret in service["secrets"]}
    assert used == found["secrets"].keys()
    assert os.access(PAIR.parent / "database.sh", os.X_OK)
    readme = (HERE / "README.md").read_text()
    lines = re.findall(r"^store.*$", readme, re.MULTILINE)
    own = (HERE / "config" / "config.yaml").read_text()
    for name in ("store-password", "database-ca"):
        assert f"/run/secrets/{name}" in readme or f"credential:{name}" in readme
    assert len(lines) == 2
    assert "store:" not in own
    for each in ("east", "west"):
        assert services[each]["hostname"] == each
        assert "/health" in services[each]["healthcheck"]["test"][-1]


def config(name: str, tmp_path: Path) -> Config:
    for key in ("east-access-key", "east-secret-key"):
        (tmp_path / key).write_text("made-up\n")
    environ = {"STATE_DIRECTORY": "/var/lib/nessus-sched"}
    return load(HERE / name / "config.yaml", environ=environ, credentials_directory=tmp_path)


@pytest.mark.parametrize("name", ["config", "trial"])
def test_the_configurations_load(name: str, tmp_path: Path) -> None:
    loaded = config(name, tmp_path)
    assert loaded.http.bind == "0.0.0.0:9834"
    assert "nessus-sched" in loaded.http.hosts


def test_the_trial_has_the_keys_of_its_simulators(tmp_path: Path) -> None:
    services = compose()["services"]
    for scanner in config("trial", tmp_path).scanners:
        command = services[scanner.id]["command"]
        sim = SimOptions(seed=int(command[command.index("--seed") + 1]))
        assert isinstance(scanner.auth, ApiKeys)
        assert scanner.auth.access_key.reveal() == sim.effective_access_key
        assert scanner.auth.secret_key.reveal() == sim.effective_secret_key
        assert scanner.url == f"https://{scanner.id}:8834"
