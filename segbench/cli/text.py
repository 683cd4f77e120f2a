"""Numbers as commands print them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Write a time: `40 s`, `25 min`, `3.2 h`."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def count(number: int, what: str) -> str:
    """Write a number of things: `1 trial`, `3 trials`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def size(num_bytes: float) -> str:
    """Write an amount of data: `12.3 MiB`, `4.5 GiB`."""
    mib = num_bytes / 2**20
    return f"{mib:,.1f} MiB" if mib < 1024 else f"{mib / 1024:,.1f} GiB"
