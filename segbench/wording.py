"""Counts and lists as a sentence says them, for messages, displays and reports alike."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: int, word: str) -> str:
    """Write `1 seed`, `3 seeds`, `1,200 trials`."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def listed(words: Sequence[str]) -> str:
    """Write `a`, `a and b`, `a, b and c`."""
    words = list(words)
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
