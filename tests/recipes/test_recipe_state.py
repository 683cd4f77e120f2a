"""The recipe for a trial's state: a line in `records.py`, and its counterpart in Optuna's words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[1] / "compat" / "format_1"
TRIAL = "f0849eef7fd6"
"""A trial that failed; it stands in the new state here."""

ASK = """
import json, sys
from pathlib import Path
from typer.testing import CliRunner
from segbench.cli.app import app
from segbench.config.load import load_experiment
from segbench.dashboard.study import STATES
from segbench.records import State
from segbench.report.analyse import analyse
from segbench.store.results import read_results

experiment = load_experiment("format_1")
folder = experiment.project.results / "format_1"
found = analyse(experiment, read_results(folder), project=experiment.project)
status = CliRunner().invoke(app, ["status", "format_1"]).output
json.dump(
    {
        "head": found.head["trials"],
        "failures": found.failures["state"].tolist(),
        "failed": int(found.cells["failed"].sum()),
        "studies": sorted(State) == sorted(STATES),
        "status": status,
    },
    sys.stdout,
)
"""


@pytest.mark.slow
def test_a_state_costs_two_files(tree, tmp_path):
    tree.follow("A trial's state")
    assert len(tree.touched) == 2
    project = project_with_a_refused_trial(tmp_path / "project")

    said = json.loads(tree.run("-c", ASK, cwd=project))

    assert "1 diverged, 1 pruned, 1 refused" in said["head"]
    assert sorted(said["failures"]) == ["diverged", "interrupted", "pruned", "refused"]
    assert said["failed"] == 2  # with the pruned one
    assert said["studies"]
    assert "refused" in said["status"].splitlines()[1]
    assert f"refused  none, größe, rotate, seed 0, {TRIAL}: it was not wanted" in said["status"]


def project_with_a_refused_trial(project: Path) -> Path:
    (project / "experiments").mkdir(parents=True)
    shutil.copytree(RESULTS, project / "results" / "format_1")
    shutil.copy(RESULTS / "experiment.yaml", project / "experiments" / "format_1.yaml")
    record = project / "results" / "format_1" / "trials" / TRIAL / "trial.json"
    content = json.loads(record.read_text(encoding="utf-8"))
    assert content["state"] == "failed"
    content |= {"state": "refused", "failure": None, "reason": "it was not wanted"}
    record.write_text(json.dumps(content), encoding="utf-8")
    return project
