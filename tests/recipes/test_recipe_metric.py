"""The recipe for a metric: one file in `engine/metrics/`, and it is everywhere, in the report too."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest

EXPERIMENT = """
question: Does a U-Net need batch normalisation?
baseline:
  dataset: {shapes: {size_px: 32, num_train: 8, num_val: 4, num_test: 4}}
  split: course
  model: {unet: {width: 4, depth: 2}}
  norm: batch
  epochs: 2
axes: {norm: [batch, none]}
seeds: 2
objective: {metric: val_f2}
claims: [{norm: batch > none, metric: test_f2}]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project" / "experiments").mkdir(parents=True)
    (tmp_path / "project" / "experiments" / "norms.yaml").write_text(EXPERIMENT, encoding="utf-8")
    return tmp_path / "project"


def means_of_images(trial: Path) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    with gzip.open(trial / "images.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            values.setdefault(row["metric"], []).append(float(row["value"]))
    return {name: sum(own) / len(own) for name, own in values.items()}


@pytest.mark.slow
def test_a_metric_costs_one_file(tree, project):
    tree.follow("A metric")
    assert len(tree.touched) == 1
    tree.test("tests/unit/engine/test_f2.py")

    def segbench(*command: str) -> str:
        return tree.run("-m", "segbench", *command, cwd=project)

    assert "f2: val and test, per image, 0 to 1, higher is better\n\nDice that" in segbench(
        "list", "metrics", "f2"
    )
    assert "### `f2`\n\nVal and test, per image" in segbench("list", "--markdown")

    segbench("sweep", "norms", "--device", "cpu")
    trials = sorted((project / "results" / "norms" / "trials").iterdir())
    assert len(trials) == 4
    for trial in trials:
        record = json.loads((trial / "trial.json").read_text(encoding="utf-8"))
        assert record["config"]["objective"]["metric"] == "val_f2"
        assert record["test"]["f2"] == pytest.approx(means_of_images(trial)["f2"], abs=1e-8)
        assert "f2_last" in record["test"]
        assert "val_f2" in (trial / "epochs.csv").read_text(encoding="utf-8").splitlines()[0].split(",")

    segbench("report", "norms")
    report = project / "reports" / "norms"
    page = (report / "report.md").read_text(encoding="utf-8")
    [head] = [line for line in page.splitlines() if line.startswith("| norm |") and "| F2 |" in line]
    assert head.index("| IoU |") < head.index("| F2 |") < head.index("| Soft Dice |")
    assert "F2" in (report / "tables" / "metrics.tex").read_text(encoding="utf-8")
    numbers = json.loads((report / "numbers.json").read_text(encoding="utf-8"))["numbers"]
    assert "metrics/batch, test_f2/mean" in numbers
    assert "effects/norm: none - batch, test_f2/difference" in numbers
    printed = numbers["metrics/batch, test_f2/mean"]["printed"]
    assert f"@metrics-batch-test-f2@mean\\endcsname{{{printed}}}" in (report / "numbers.tex").read_text(
        encoding="utf-8"
    )
    assert "batch,test_f2," in (report / "data" / "metrics.csv").read_text(encoding="utf-8")
    assert f"mean {printed}" in " ".join(segbench("explain", "norms", "batch, test_f2").split())
