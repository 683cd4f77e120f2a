"""What a table of measurements says of the machine, and how medians are printed."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def heading(title: str) -> list[str]:
    """Return the lines above a table: what, when, where, under which load."""
    commit = subprocess.run(
        ["git", "-C", Path(__file__).parent, "rev-parse", "--short=12", "HEAD"],
        capture_output=True,
        text=True,
    ).stdout.strip()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return [
        f"## {title}",
        "",
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, commit {commit or 'unknown'}, "
        f"{len(os.sched_getaffinity(0))} cores, {platform.system()}, Python {sys.version.split()[0]}; "
        f"load of the last 1, 5 and 15 minutes before: {load}",
        "",
    ]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(line)} |" for line in lines] + [""]


def spread(values: Sequence[float], unit: str = "s", digits: int = 3) -> str:
    """Return median, smallest and largest of some measurements."""
    low, mid, high = min(values), statistics.median(values), max(values)
    return f"{mid:.{digits}f} {unit} ({low:.{digits}f} to {high:.{digits}f}, n = {len(values)})"
