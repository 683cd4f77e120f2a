"""One undisturbed sweep that all others are compared with, and the counts at the end."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from chaos import counts
from chaos.harness import SMALL, Project

_BEGAN = time.monotonic()


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Decoded images, and what guards and commands remember: shared, so that every sweep finds it made.

    `SEGBENCH_CHAOS_BASE` names a folder that keeps them, and the undisturbed sweep, for the next time.
    """
    base = os.environ.get("SEGBENCH_CHAOS_BASE")
    data = Path(base) / "data" if base else tmp_path_factory.mktemp("base") / "data"
    data.mkdir(parents=True, exist_ok=True)
    return data


@pytest.fixture(scope="session")
def undisturbed_project(data: Path) -> Project:
    """A project with 24 trials whose sweep nobody disturbed."""
    project = Project(data.parent / "undisturbed", data)
    done = project.sweep()
    assert done.returncode == 0, done.stdout + done.stderr
    assert ": 24 complete." in done.stdout
    return project


@pytest.fixture(scope="session")
def undisturbed(undisturbed_project: Project) -> dict[str, Any]:
    """The records of the undisturbed sweep."""
    records = undisturbed_project.records()
    images = [value for key, value in records.items() if key.endswith("images.csv.gz")]
    curves = {str(value) for key, value in records.items() if key.endswith("epochs.csv")}
    assert len(images) == len(set(images)) == len(curves) == 24  # equal numbers would make every test pass
    return records


@pytest.fixture
def project(tmp_path: Path, data: Path) -> Project:
    """A project with the four trials of the small design."""
    return Project(tmp_path / "project", data, SMALL)


@pytest.fixture(scope="session")
def small(data: Path) -> dict[str, Any]:
    """The records of the small design's four trials, undisturbed."""
    project = Project(data.parent / "small", data, SMALL)
    done = project.sweep()
    assert done.returncode == 0, done.stdout + done.stderr
    return project.records()


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int) -> None:
    lines = counts.lines()
    if not lines:
        return
    terminalreporter.section("chaos")
    for line in lines:
        terminalreporter.write_line(line)
    target = os.environ.get("SEGBENCH_CHAOS_RECORD")
    if target:
        write_record(Path(target), lines, terminalreporter, exitstatus)


def write_record(target: Path, lines: list[str], terminalreporter: Any, exitstatus: int) -> None:
    """Write the counts as a dated page, with the commit that they are of."""
    outcomes = {
        name: len(terminalreporter.stats.get(name, ())) for name in ("passed", "failed", "error", "skipped")
    }
    skipped = [
        f"  {report.nodeid}: {report.longrepr[2]}" for report in terminalreporter.stats.get("skipped", ())
    ]
    seconds = time.monotonic() - _BEGAN
    here = Path(__file__).parent
    commit = subprocess.run(
        ["git", "-C", here, "rev-parse", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    is_dirty = bool(
        subprocess.run(
            ["git", "-C", here, "status", "--porcelain"], capture_output=True, text=True
        ).stdout.strip()
    )
    text = [
        "# What the chaos suite did",
        "",
        "`make chaos-record` wrote this page; `make chaos` prints the same.",
        "",
        "```",
        f"date       {time.strftime('%Y-%m-%d', time.gmtime())}",
        f"commit     {commit}{', with changes that are not committed' if is_dirty else ''}",
        f"machine    {os.cpu_count()} cores, {platform.system()}, Python {sys.version.split()[0]}, CPU",
        f"took       {seconds / 60:.0f} min",
        f"tests      {', '.join(f'{number} {name}' for name, number in outcomes.items() if number)}",
        *skipped,
        f"exit code  {int(exitstatus)}",
        "",
        *lines,
        "```",
        "",
    ]
    target.write_text("\n".join(text))
