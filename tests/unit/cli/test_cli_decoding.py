"""Commands that decode images say how far they are."""

from __future__ import annotations

import shutil
from pathlib import Path

from command_line import segbench_

EXPERIMENT = """\
question: Does it say what it does?
baseline:
  dataset: {shapes: {num_train: 60, num_val: 8, num_test: 8, size_px: 16}}
  model: {unet: {width: 4, depth: 2}}
  norm: batch
  augment: flips
  loss: bce
  optimizer: {adam: {lr: 1e-3}}
  schedule: constant
  batch_size: 32
  epochs: 1
  precision: fp32
seeds: 1
"""


def test_run_and_measuring_plans_show_the_decoding_once(tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "short.yaml").write_text(EXPERIMENT)
    said = []
    for arguments in (("plan", "short", "--measure"), ("run", "short", "--device", "cpu")):
        shutil.rmtree(tmp_path / "data" / "cache", ignore_errors=True)
        done = segbench_(tmp_path, *arguments)
        assert done.returncode == 0, done.stderr
        said.append([line for line in done.stderr.splitlines() if line.endswith("images decoded")])
    assert said[0][-1] == said[1][-1] == "76 of 76 images decoded"
    again = segbench_(tmp_path, "plan", "short", "--measure")
    assert "images decoded" not in again.stderr
