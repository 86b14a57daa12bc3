"""The estimate of tokens, against a public tokenizer."""

from __future__ import annotations

import time

import pytest

from nessus_sched.results.query.tokens import estimated_tokens
from support.dense_texts import dense_texts
from support.tokens import tokens_in

TEXTS = dense_texts()
BELOW, ABOVE = 0.85, 2.4
DENSE = ("hex dump", "fingerprints", "keys", "memory", "packages", "addresses", "cves", "json")


@pytest.mark.parametrize("kind", TEXTS)
def test_the_estimate_is_rather_too_high_than_too_low(kind: str) -> None:
    found = estimated_tokens(TEXTS[kind]) / tokens_in(TEXTS[kind])
    assert BELOW <= found <= ABOVE
    if kind in DENSE:
        assert 0.97 <= found <= 1.5


def test_short_texts() -> None:
    assert estimated_tokens("") == 0
    assert estimated_tokens("a") == 1


@pytest.mark.parametrize("text", ["a" * 400_000, "=" * 400_000, " " * 400_000, "é" * 400_000])
def test_the_time_follows_the_length(text: str) -> None:
    began = time.process_time()
    estimated_tokens(text)
    assert time.process_time() - began < 0.5  # quadratic, it would be minutes
