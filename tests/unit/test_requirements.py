"""SEGBENCH_REQUIRE: a skip that CI must not overlook."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
FILE = """
import pytest

@pytest.mark.latex
@pytest.mark.skipif(True, reason="pdflatex is not installed")
def test_page():
    pass

@pytest.mark.skipif(True, reason="no GPU here")
def test_other():
    pass
"""


def run(folder: Path, required: str) -> str:
    (folder / "test_it.py").write_text(FILE)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    latex: needs pdflatex\n")
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "SEGBENCH_REQUIRE": required}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "requirements", "-p", "no:cacheprovider", "test_it.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.stdout


def test_a_skip_for_want_of_what_is_required_is_a_failure(tmp_path):
    text = run(tmp_path, "latex,browser")
    assert "SEGBENCH_REQUIRE names latex, but this was skipped" in text
    assert "pdflatex is not installed" in text
    assert "1 skipped, 1 error" in text


def test_without_it_tests_skip(tmp_path):
    assert "2 skipped" in run(tmp_path, "")
