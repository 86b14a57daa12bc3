"""Metrics as a scrape sees them, and the judge that Prometheus brings along."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping

import attrs
import pytest
from prometheus_client.parser import text_string_to_metric_families

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool (Debian package prometheus) is not here"
)


@attrs.frozen
class Sample:
    name: str
    labels: Mapping[str, str]
    value: float


@attrs.frozen
class Scrape:
    """One answer of /metrics."""

    samples: tuple[Sample, ...]

    @classmethod
    def of(cls, text: str) -> Scrape:
        return cls(
            tuple(
                Sample(sample.name, sample.labels, sample.value)
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            )
        )

    @property
    def names(self) -> set[str]:
        return {sample.name for sample in self.samples}

    def sum(self, name: str, **labels: str) -> float:
        """Of all series of that name with these labels. Raises `KeyError` for none."""
        found = [
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= dict(sample.labels).items()
        ]
        if not found:
            raise KeyError(name, labels)
        return sum(found)

    def by(self, name: str, label: str) -> dict[str, float]:
        """Sums of that name for each value of a label, without those that are 0."""
        sums: dict[str, float] = {}
        for sample in self.samples:
            if sample.name == name:
                key = sample.labels[label]
                sums[key] = sums.get(key, 0.0) + sample.value
        return {key: value for key, value in sums.items() if value}


def promtool(*words: str, text: str = "") -> str:
    """What it complained about; the empty string when it has nothing to say."""
    done = subprocess.run(
        ["promtool", *words], input=text, text=True, capture_output=True, check=False
    )
    return "" if done.returncode == 0 else f"{done.stdout}{done.stderr}" or "failed"
