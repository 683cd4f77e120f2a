"""The recipe for a launcher: one file of another package, declared as an entry point."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

EXPERIMENT = """\
question: Does a launcher of another package train it?
baseline:
  dataset: {shapes: {num_train: 4, num_val: 2, num_test: 2, size_px: 16}}
  model: {unet: {width: 2, depth: 1}}
  loss: {bce: 1}
  optimizer: {adam: {lr: 1e-3}}
  batch_size: 2
  epochs: 1
axes:
  norm: [batch, none]
seeds: 1
"""


@pytest.mark.slow
def test_a_launcher_is_one_file_of_another_package(tree, tmp_path):
    tree.follow("A launcher")
    assert [file for file in tree.touched if file.endswith(".py")] == ["elsewhere/elsewhere.py"]
    package, project = tree.root / "elsewhere", tmp_path / "project"
    lay_out(package)
    (project / "experiments").mkdir(parents=True)
    (project / "experiments" / "exp.yaml").write_text(EXPERIMENT)

    command = ("-m", "segbench", "sweep", "exp", "--launcher", "elsewhere", "--no-study", "--device", "cpu")
    said = tree.run(*command, cwd=project, path=package)

    assert "elsewhere: 1 workers" in said
    assert "finished: 2 complete." in said
    records = list((project / "results" / "exp" / "trials").glob("*/trial.json"))
    assert [json.loads(record.read_text())["state"] for record in records] == ["complete", "complete"]


def lay_out(package: Path) -> None:
    """Add what an installer writes for the package beside its modules."""
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    metadata = package / f"{project['name']}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    [(group, points)] = project["entry-points"].items()
    lines = [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
