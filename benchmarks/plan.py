"""How long a design of 10,000 cells takes to load and plan.

`python -m benchmarks.plan [LEVELS] [REPEATS]`

Four axes of ten levels, three of them knobs, make 10,000 cells; with three seeds there are 30,000 trials.
Each repeat is a process of its own, its imports counted, first with the file read and checked, then with the
file remembered. The guards are those that need the plan alone, their own memory warm.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import heading, spread, table

TEXT = """\
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
MEASURED = """\
import json, sys, time
begin = time.perf_counter()
from segbench.config.load import load_experiment
experiment = load_experiment(sys.argv[1])
loaded = time.perf_counter()
from segbench.plan.plan import plan_trials
plan = plan_trials(experiment)
planned = time.perf_counter()
from segbench.guards import check_plan
check_plan(plan)
print(json.dumps([len(experiment.cells), len(plan.entries), loaded - begin, planned - loaded,
                  time.perf_counter() - planned]))
"""


def write(folder: Path, num_levels: int) -> Path:
    """Write a design of `num_levels` to the fourth cells."""
    numbers = range(num_levels)
    file = folder / "experiments" / "large.yaml"
    file.parent.mkdir()
    file.write_text(
        TEXT.format(
            lr=", ".join(str(1 / (1 + k)) for k in numbers),
            decay=", ".join(str(k / 1000) for k in numbers),
            width=", ".join(str(4 + k) for k in numbers),
            epochs=", ".join(str(100 - k) for k in numbers),
        ),
        encoding="utf-8",
    )
    return file


def measure(file: Path, cache: Path) -> list[float]:
    """Return cells, trials, and the seconds of loading, planning and guards in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(file)],
        env={**os.environ, "SEGBENCH_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: list[float] = json.loads(done.stdout)
    return found


def main(num_levels: int = 10, repeats: int = 5) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = write(folder, num_levels)
        cells, trials, *_ = measure(file, folder / "warm")
        cases = {
            "read and checked": [measure(file, folder / f"cold-{k}") for k in range(repeats)],
            "remembered": [measure(file, folder / "warm") for _ in range(repeats)],
        }
    rows = []
    for case, runs in cases.items():
        load, plan, guards = ([run[part] for run in runs] for part in (2, 3, 4))
        both = [one + other for one, other in zip(load, plan, strict=True)]
        rows.append([case, spread(load), spread(plan), spread(both), spread(guards)])
    lines = heading(f"Planning {cells:,.0f} cells, {trials:,.0f} trials")
    lines += table(["file", "load", "plan", "load and plan", "guards of the plan"], rows)
    print("\n".join(lines))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
