"""How long a large design takes to load and plan: `python benchmarks/plan.py` (no torch, no data set).

Four axes of ten levels, three of them knobs, make 10,000 cells; with three seeds there are 30,000 trials. Each
run is a process of its own, so that nothing stays warm. Printed is the median wall time of five runs, first
with the file read and checked, then with it remembered. The guards are those that need the plan alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

NUM_RUNS = 5

TEXT = """
question: How long does planning take?
baseline:
  dataset: {{shapes: {{size_px: 32}}}}
  model: {{unet: {{width: 4}}}}
  optimizer: {{adam: {{lr: 1, weight_decay: 0}}}}
  epochs: 100
axes:
  lr: {{path: optimizer.lr, levels: [{lr}]}}
  decay: {{path: optimizer.weight_decay, levels: [{decay}]}}
  width: {{path: model.width, levels: [{width}]}}
  epochs: [{epochs}]
seeds: 3
"""

RUN = """
import json, sys, time
from segbench.config.load import load_experiment
from segbench.sweep.plan import plan_trials
begin = time.perf_counter()
experiment = load_experiment(sys.argv[1])
loaded = time.perf_counter()
plan = plan_trials(experiment)
planned = time.perf_counter()
from segbench.sweep.checks import check_plan
check_plan(plan)
checked = time.perf_counter()
print(json.dumps({"cells": len(experiment.cells), "trials": len(plan.entries), "load": loaded - begin,
                  "plan": planned - loaded, "guards": checked - planned}))
"""


def write(folder: Path, num_levels: int) -> Path:
    """Write a design of `num_levels` to the fourth cells."""
    numbers = range(num_levels)
    text = TEXT.format(
        lr=", ".join(str(1 / (1 + k)) for k in numbers),
        decay=", ".join(str(k / 1000) for k in numbers),
        width=", ".join(str(4 + k) for k in numbers),
        epochs=", ".join(str(100 - k) for k in numbers),
    )
    file = folder / "experiments" / "large.yaml"
    file.parent.mkdir()
    file.write_text(text, encoding="utf-8")
    return file


def run(file: Path, cache: Path) -> dict[str, float]:
    """Load and plan once in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(file)],
        env={**os.environ, "SEGBENCH_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--levels", type=int, default=10, help="Levels of each of the four axes.")
    num_levels = parser.parse_args().levels
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = write(folder, num_levels)
        run(file, folder / "warm")
        cases = {
            "read": [run(file, folder / f"cold-{k}") for k in range(NUM_RUNS)],
            "remembered": [run(file, folder / "warm") for _ in range(NUM_RUNS)],
        }
    for case, runs in cases.items():
        medians = {part: statistics.median(r[part] for r in runs) for part in ("load", "plan", "guards")}
        parts = ", ".join(f"{part} {seconds:.2f} s" for part, seconds in medians.items())
        total = medians["load"] + medians["plan"]
        print(
            f"{runs[0]['cells']:,} cells, {runs[0]['trials']:,} trials, file {case}: {parts}; "
            f"load and plan {total:.2f} s (median of {NUM_RUNS})"
        )


if __name__ == "__main__":
    main()
