"""Whether trials take what `segbench bench` and `segbench plan` say they will.

`python -m benchmarks.prediction [EPOCHS] ['EXPERIMENT SCALE,EXPERIMENT']`

For each committed experiment, in a folder of its own: `segbench bench` takes a few steps of every kind of
cell, then one worker with all cores trains one seed of every kind for a few epochs (3), as a sweep does. Set
side by side are the seconds of an epoch (the median of the trial's), the peak memory of the process, and
what `plan` makes of it: a trial of all the experiment's epochs with its tests, against as many of the
measured ones and what the trial took besides (network, test images, files). Each side is a process of its
own, and they work in turn. `$SEGBENCH_DATA` names the data sets. Without a GPU only.

The second table asks the same of the cost model in docs/performance.md: how the rate falls with the pixels,
and what several workers on the same cores reach together.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.machine import heading, table
from segbench.config.load import load_experiment

EXPERIMENTS: Final = ("norm_ablation small", "reference/c16_loss small", "reference/c23_flips small")
TIME_BOUND, MEMORY_BOUND = 0.20, 0.15
SIZES_PX: Final = (64, 128, 256)
_ROOT: Final = Path(__file__).parents[1]

SCALED: Final = """\
question: How does the rate fall with the pixels?
baseline:
  dataset: {{shapes: {{num_train: 64, num_val: 16, num_test: 16, size_px: {size_px}}}}}
  input: dataset
  model: {{unet: {{width: 16}}}}
  norm: batch
  augment: flips
  loss: {{bce: 1, dice: 1}}
  optimizer: {{adam: {{lr: 1e-3}}}}
  schedule: constant
  batch_size: 8
  epochs: 4
  precision: bf16
seeds: {seeds}
"""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a trial took."""

    label: str
    epoch_s: float
    memory_mib: float
    besides_s: float
    """From start to accepted record, less the epochs."""


def main(num_epochs: int = 3, experiments: tuple[str, ...] = EXPERIMENTS) -> None:
    print("\n".join(heading("Predicted and measured, CPU, one worker")), flush=True)
    rows = []
    for each in experiments:
        rows += predicted_and_measured(*each.partition(" ")[::2], num_epochs)
    header = ["experiment", "cell", "epoch, said", "took", "off by", "memory, said", "took", "off by"]
    print("\n".join(table([*header, "whole trial, said", "took", "off by"], rows)), flush=True)
    print("\n".join(scaling()))


def predicted_and_measured(name: str, scale: str, num_epochs: int) -> list[list[str]]:
    """Return one row per kind of cell."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        file = root / "experiments" / f"{name.rpartition('/')[2]}.yaml"
        file.parent.mkdir()
        shutil.copy(_ROOT / "experiments" / f"{name}.yaml", file)
        options = ("--set", f"epochs={num_epochs}", "--device", "cpu", *(("--scale", scale) if scale else ()))
        said = said_of(root, file.stem, *options)
        segbench(root, "sweep", file.stem, *options, "--workers", "1", "--seeds", "0")
        whole_epochs = load_experiment(file, scale=scale or None).baseline.epochs
        title = "_".join(filter(None, (file.stem, scale)))
        trained = trained_in(root / "results" / title)
    rows = []
    for label, steps in said.items():
        took = trained[label]
        rows.append(
            [
                *(title, label),
                *_beside(steps["epoch_time_s"], took.epoch_s, "s", TIME_BOUND),
                *_beside(steps["memory_mib"], took.memory_mib, "MiB", MEMORY_BOUND),
                *_beside(
                    whole_epochs * steps["epoch_time_s"] + steps["besides_s"],
                    whole_epochs * took.epoch_s + took.besides_s,
                    "s",
                    TIME_BOUND,
                ),
            ]
        )
    return rows


def scaling() -> list[str]:
    """Return the table of pixels and workers."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "experiments").mkdir()
        rows = []
        for size_px in SIZES_PX:
            file = root / "experiments" / f"size{size_px}.yaml"
            file.write_text(SCALED.format(size_px=size_px, seeds=1))
            steps = next(iter(said_of(root, file.stem, "--device", "cpu").values()))
            rate = steps["images_per_s"]
            rows.append([str(size_px), f"{rate:.3g}", f"{rate * size_px**2 / 1e6:.3g}"])
        lines += table(["size (px)", "images/s trained", "megapixels/s"], rows)
        file = root / "experiments" / "workers.yaml"
        rows = []
        cores = len(os.sched_getaffinity(0))
        for workers in (1, cores):
            file.write_text(SCALED.format(size_px=128, seeds=2 * cores))
            shutil.rmtree(root / "results", ignore_errors=True)
            segbench(root, "sweep", "workers", "--device", "cpu", "--workers", str(workers))
            records = [json.loads(p.read_text()) for p in (root / "results").glob("*/trials/*/trial.json")]
            began = min(map(datetime.fromisoformat, (r["started"] for r in records)))
            ended = max(map(datetime.fromisoformat, (r["finished"] for r in records)))
            one = median(r["train_time_s"] for r in records)
            spent = (ended - began).total_seconds()
            rows.append([str(workers), str(cores // workers), f"{one:.1f} s", f"{spent:.0f} s"])
        header = ["workers", "threads each", "training of one trial", f"all {2 * cores} trials"]
        lines += table(header, rows)
    return lines


def said_of(root: Path, name: str, *options: str) -> Mapping[str, Any]:
    """Return label -> what a few steps took, of every kind of cell."""
    answer = segbench(root, "bench", name, *options, "--seconds", "3600", "--json")
    return {pace["label"]: pace["steps"] for pace in json.loads(answer)["paces"]}


def trained_in(folder: Path) -> Mapping[str, Trained]:
    """Return the trials of an experiment by their cell's label."""
    found = {}
    for path in folder.glob("trials/*/trial.json"):
        record = json.loads(path.read_text())
        lines = (path.parent / "epochs.csv").read_text().splitlines()
        epochs = [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]
        label = ", ".join(record["levels"].values())
        spent = datetime.fromisoformat(record["finished"]) - datetime.fromisoformat(record["started"])
        found[label] = Trained(
            label=label,
            epoch_s=median(float(row["epoch_time_s"]) for row in epochs),
            memory_mib=max(float(row["peak_memory_mib"]) for row in epochs),
            besides_s=max(spent.total_seconds() - record["train_time_s"], 0.0),
        )
    return found


def segbench(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "segbench", *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def _beside(said: float, took: float, unit: str, bound: float) -> list[str]:
    return [f"{said:,.1f} {unit}", f"{took:,.1f} {unit}", _off_by(said, took, bound)]


def _off_by(said: float, took: float, bound: float) -> str:
    share = said / took - 1
    return f"{share:+.0%}" + ("" if abs(share) <= bound else f" (more than {bound:.0%})")


if __name__ == "__main__":
    epochs, *names = sys.argv[1:] or ["3"]
    main(int(epochs), tuple(" ".join(names).split(",")) if names else EXPERIMENTS)
