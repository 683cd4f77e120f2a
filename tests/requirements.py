"""What must not skip: where a machine has LaTeX or Chromium, a test that skips for want of it has failed."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure for the markers in SEGBENCH_REQUIRE (`latex,browser`), as CI sets it."""
    report = yield
    required = set(filter(None, os.environ.get("SEGBENCH_REQUIRE", "").split(",")))
    markers = sorted(required & {mark.name for mark in item.iter_markers()})
    if report.skipped and markers:
        report.outcome = "failed"
        report.longrepr = (
            f"SEGBENCH_REQUIRE names {', '.join(markers)}, but this was skipped: {report.longrepr}"
        )
    return report
