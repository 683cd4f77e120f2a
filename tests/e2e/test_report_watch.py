"""A report that follows a sweep, with real processes: from nothing over a part to the whole."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from chaos.harness import PATIENCE_S, SMALL, Project
from command_line import command

pytestmark = pytest.mark.slow


def wait_for(text: str, page: Path, watching: subprocess.Popen[str]) -> str:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert watching.poll() is None, watching.communicate()
        if page.is_file() and text in (found := page.read_text()):
            return found
        time.sleep(0.2)
    raise AssertionError(f"{text} never stood in {page.name}")


def test_a_report_follows_a_sweep(tmp_path: Path) -> None:
    project = Project(tmp_path / "followed", tmp_path / "data", SMALL + "claims:\n  - {norm: batch > none}\n")
    page = project.root / "reports" / "tiny" / "report.html"
    sweep = ("sweep", "tiny", "--workers", "1", "--threads", "1", "--device", "cpu")
    with subprocess.Popen(
        command("report", "tiny", "--watch", "--no-pdf"),
        cwd=project.root,
        env=project.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        try:
            assert watching.stdout is not None
            assert watching.stdout.readline() == "waiting for the first trial of tiny to end\n"
            assert project.run(*sweep, "--seeds", "0").returncode == 0
            partial = wait_for("partial: 2 of 4 trials", page, watching)
            assert "location.reload()" in partial
            assert "not judged" in partial
            assert not page.with_name("report.tex").exists()
            assert project.run(*sweep).returncode == 0
            said, errors = watching.communicate(timeout=PATIENCE_S)
        finally:
            watching.kill()
    assert watching.returncode == 0, errors
    assert "reports/tiny/report.html: 4 of 4 complete" in said
    whole = page.read_text()
    assert "location.reload()" not in whole
    assert "4 of 4 complete" in whole
    assert page.with_name("report.tex").is_file()
