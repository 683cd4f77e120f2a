"""What a warm worker spends between two trials.

`python -m benchmarks.between_trials [TRIALS]`

From a trial's last write (the rename of its accepted `trial.json`) to the first training step of the next, in
one process with the same data: the end of the old trial (lease, log, event), the pick, the new one's lease,
record, network and optimiser. The data are warm; the first trial, which imports and decodes, is left out.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.machine import heading, spread, table
from segbench.config.load import load_experiment

AUTHOR = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")

EXPERIMENT = """\
question: How long is a worker between two trials?
baseline:
  dataset: {{shapes: {{num_train: 16, num_val: 8, num_test: 8, size_px: 64}}}}
  input: dataset
  model: {model}
  norm: batch
  augment: flips
  loss: {{bce: 1, dice: 1}}
  optimizer: {{adam: {{lr: 1e-3}}}}
  schedule: constant
  batch_size: 4
  epochs: 1
seeds: {seeds}
"""
MODELS = {"U-Net, width 4, depth 2": "{unet: {width: 4, depth: 2}}", "U-Net, width 64, depth 4": "unet"}


def main(num_trials: int = 12) -> None:
    lines = heading("Between two trials in a warm worker, CPU, one thread, in a git checkout")
    rows = []
    for name, model in MODELS.items():
        with tempfile.TemporaryDirectory() as folder:
            wall, cpu = measure(Path(folder), model, num_trials if model != "unet" else min(num_trials, 6))
        rows.append([name, spread(wall), spread(cpu), "0.1 s"])
    print(
        "\n".join(lines + table(["network", "wall time", "of it CPU time of the process", "promised"], rows))
    )


def measure(root: Path, model: str, num_trials: int) -> tuple[list[float], list[float]]:
    """Run trials in this process; return wall and CPU seconds between each two."""
    from segbench.engine.training import Training
    from segbench.plan.plan import plan_trials
    from segbench.store import trials
    from segbench.store.queue import Queue, QueuedTrial
    from segbench.sweep.worker import Worker, settle_process
    from segbench.trial.limits import StopRequest
    from segbench.trial.run import Resources

    settle_process(1)
    file = root / "experiments" / "short.yaml"
    file.parent.mkdir()
    file.write_text(EXPERIMENT.format(model=model, seeds=num_trials + 1))
    for command in (["init", "-q"], ["add", "experiments"], [*AUTHOR, "commit", "-qm", "an experiment"]):
        subprocess.run(["git", "-C", root, *command], check=True)
    plan = plan_trials(load_experiment(file))
    plan.folder.root.mkdir(parents=True)
    Queue(experiment="short", trials=tuple(QueuedTrial.of(e.trial) for e in plan.entries)).write(
        plan.folder.queue
    )
    marks: list[tuple[str, float, float]] = []
    write_trial, run_epoch = trials.write_trial, Training.run_epoch

    def write_and_mark(folder: Any, record: Any) -> None:
        write_trial(folder, record)
        if record.state == "complete":
            marks.append(("end", time.perf_counter(), time.process_time()))

    def mark_and_run(self: Any, batches: Any, **more: Any) -> Any:
        marks.append(("step", time.perf_counter(), time.process_time()))
        return run_epoch(self, batches, **more)

    trials.write_trial, Training.run_epoch = write_and_mark, mark_and_run  # type: ignore[method-assign]
    try:
        project = plan.experiment.project
        Worker(project, plan.folder, Resources(device="cpu", threads=1), StopRequest()).work()
    finally:
        trials.write_trial, Training.run_epoch = write_trial, run_epoch  # type: ignore[method-assign]
    pairs = [(a, b) for a, b in pairwise(marks) if (a[0], b[0]) == ("end", "step")]
    assert len(pairs) == num_trials, marks
    return [b[1] - a[1] for a, b in pairs], [b[2] - a[2] for a, b in pairs]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
