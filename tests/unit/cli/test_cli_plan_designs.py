"""`segbench plan` of designs that are no factorial."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from segbench.cli.app import app

TEXT = """
question: Does it matter?
baseline:
  dataset: {shapes: {size_px: 16, num_train: 4, num_val: 2, num_test: 2}}
  model: {unet: {width: 4, depth: 2}}
  loss: {bce: 1}
  epochs: 10
"""
FRACTION = """
axes: {norm: [batch, none], epochs: [10, 2], batch_size: [8, 4], precision: [fp32, tf32]}
design: fractional
"""
TREE = """
axes:
  optimizer: [adam, sgd]
  momentum: {path: optimizer.momentum, levels: [0.9, 0], when: {optimizer: sgd}}
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "experiments").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("segbench.cli.plan._findings", lambda plan: ())
    return tmp_path


def plan(project: Path, text: str, *options: str) -> str:
    (project / "experiments" / "exp.yaml").write_text(TEXT + text)
    done = CliRunner().invoke(app, ["plan", "exp", *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_alias_table_of_a_fraction(project: Path) -> None:
    lines = [line.rstrip() for line in plan(project, FRACTION).splitlines()]
    start = next(k for k, line in enumerate(lines) if line.startswith("A fraction"))
    assert lines[start : start + 8] == [
        "A fraction of resolution IV: 8 of 16 combinations. Effects that it cannot tell from each other:",
        "  norm = epochs x batch_size x precision",
        "  epochs = norm x batch_size x precision",
        "  batch_size = norm x epochs x precision",
        "  precision = norm x epochs x batch_size",
        "  norm x epochs = batch_size x precision",
        "  norm x batch_size = epochs x precision",
        "  norm x precision = epochs x batch_size",
    ]


def test_the_design_as_json(project: Path) -> None:
    content = json.loads(plan(project, FRACTION, "--json"))
    assert (content["design"]["kind"], content["design"]["resolution"]) == ("fractional", 4)
    assert {"effect": ["norm", "epochs"], "others": [["batch_size", "precision"]]} in content["design"][
        "aliases"
    ]
    assert len(content["cells"]) == 8


def test_a_cell_without_an_axis(project: Path) -> None:
    output = plan(project, TREE)
    rows = [line.split()[:3] for line in output.splitlines() if line.strip().startswith(("adam", "sgd"))]
    assert rows == [["adam", "-", "0/3"], ["sgd", "0.9", "0/3"], ["sgd", "0", "0/3"]]
