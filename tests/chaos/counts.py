"""What the suite did, counted for its end."""

from __future__ import annotations

from collections import Counter

TITLES = {
    "kill": "kill -9 delivered, by what was killed and what it was doing",
    "sweep": "sweeps of the kill test",
    "signal": "signals sent",
    "fault": "faults injected",
    "damage": "files damaged, and what became of them",
    "compared": "compared with an undisturbed sweep",
}

_counts: Counter[tuple[str, str]] = Counter()


def count(kind: str, what: str, number: int = 1) -> None:
    """Count something under one of `TITLES`."""
    assert kind in TITLES, kind
    _counts[kind, what] += number


def total(kind: str) -> int:
    return sum(number for (of, _), number in _counts.items() if of == kind)


def lines() -> list[str]:
    """Return the counts as text, a part a title."""
    found = []
    for kind, title in TITLES.items():
        rows = sorted((what, number) for (of, what), number in _counts.items() if of == kind)
        if rows:
            found.append(f"{title}: {sum(number for _, number in rows)}")
            found += [f"  {number:6d}  {what}" for what, number in rows]
    return found
