"""A simple reader of tools' names and descriptions: which one fits a request?

It compares words (BM25, with endings cut off) and understands nothing: no synonyms, no grammar, no
numbers. Where it is right, the words that people use are in the description; where it is wrong, a
language model may still be right. It says nothing about arguments."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping

import attrs

_ENDINGS = ("ations", "ation", "ings", "ing", "ed", "es", "s", "e")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "a about again all also an and are as at be but by can could did do does for from had has "
        "have how i if in is it its just me more my need not of on or our out please really right "
        "so that the their them then there they this to us was we what when where which who why "
        "will with would you",
    )
)
_SATURATION, _LENGTH = 1.2, 0.5
_NAME = 2
"""How often each word of a name counts."""


def words_of(text: str) -> list[str]:
    found = re.findall(r"[a-z]+[0-9]*[a-z]*", text.lower().replace("_", " "))
    return [_stem(word) for word in found if word not in _COMMON]


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


@attrs.frozen
class Judge:
    counts: Mapping[str, Counter[str]]

    @classmethod
    def of(cls, described: Mapping[str, str]) -> Judge:
        return cls(
            {
                name: Counter(words_of(name) * _NAME + words_of(text))
                for name, text in described.items()
            }
        )

    def choice(self, request: str) -> str:
        """The tool that fits best; the first by name of those that fit equally."""
        return min(self.counts, key=lambda name: (-self._score(name, request), name))

    def _score(self, name: str, request: str) -> float:
        counts = self.counts[name]
        mean = sum(each.total() for each in self.counts.values()) / len(self.counts)
        score = 0.0
        for word in set(words_of(request)):
            known = sum(word in each for each in self.counts.values())
            rarity = math.log(1 + (len(self.counts) - known + 0.5) / (known + 0.5))
            damping = _SATURATION * (1 - _LENGTH + _LENGTH * counts.total() / mean)
            score += rarity * counts[word] * (_SATURATION + 1) / (counts[word] + damping)
        return score
