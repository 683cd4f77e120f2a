"""How long a sweep takes to see that 10,000 trials are finished.

`python -m benchmarks.scan [TRIALS] [REPEATS]`

Records as a sweep writes them (about 3 kB of JSON each) lie in a temporary folder; what is measured is
`plan_trials`: cells and identities, the scan of the folder, the search for trials to reuse. Each repeat is a
process of its own, its imports and the reading of the experiment's file aside. Files are in the page cache.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.machine import heading, spread, table

EXPERIMENT = """\
question: How long does a look take?
baseline:
  dataset: shapes
  model: {{unet: {{width: 4, depth: 2}}}}
  norm: batch
  augment: none
  loss: {{bce: 1, dice: 1}}
  optimizer: {{adam: {{lr: 1e-3}}}}
  schedule: constant
  batch_size: 2
  epochs: 4
axes:
  norm: [batch, none, group, instance]
  lr: {{path: optimizer.lr, levels: [1e-2, 5e-3, 2e-3, 1e-3, 5e-4]}}
  epochs: [4, 5, 6, 7, 8]
seeds: {seeds}
"""
MEASURED = """\
import sys, time
from segbench.config.load import load_experiment
from segbench.plan.plan import plan_trials
experiment = load_experiment(sys.argv[1])
began = time.perf_counter()
plan = plan_trials(experiment)
took = time.perf_counter() - began
assert plan.is_finished and len(plan.entries) == int(sys.argv[2]), len(plan.entries)
print(took)
"""


def main(num_trials: int = 10_000, repeats: int = 5) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = make_records(Path(folder), num_trials)
        lines = heading(f"Resume scan of {num_trials:,} finished trials")
        took = [measure(file, num_trials) for _ in range(repeats)]
    lines += table(["what", "time", "promised"], [["`plan_trials`", spread(took), "2 s"]])
    print("\n".join(lines))


def make_records(root: Path, num_trials: int) -> Path:
    """Write an experiment and a finished record for each of its trials."""
    from segbench.config.load import load_experiment
    from segbench.plan.plan import planned_trials
    from segbench.records import State
    from segbench.store.layout import ExperimentFolder
    from segbench.store.queue import QueuedTrial
    from segbench.trial.provenance import hash_host, name_device, now, read_versions
    from segbench.trial.record import new_record

    file = root / "experiments" / "many.yaml"
    file.parent.mkdir()
    file.write_text(EXPERIMENT.format(seeds=num_trials // 100))
    experiment = load_experiment(file)
    folder = ExperimentFolder(experiment.project.results / "many")
    names = (
        "dice",
        "iou",
        "precision",
        "recall",
        "accuracy",
        "specificity",
        "soft_dice",
        "hd95_px",
        "assd_px",
    )
    test = {f"{name}{end}": 0.123456789 for name in names for end in ("", "_last")}
    for trial in planned_trials(experiment):
        record = replace(
            new_record(QueuedTrial.of(trial), folder),
            state=State.COMPLETE,
            attempts=1,
            epochs_done=4,
            selected_epoch=3,
            objective=0.87654321,
            test=test,
            started=now(),
            finished=now(),
            train_time_s=12.3456789,
            parameters=7_654_321,
            flops=1_234_567_890,
            device="cpu",
            device_name=name_device("cpu"),
            threads=1,
            host=hash_host(),
            versions=read_versions(),
        )
        write(folder, record)
    return file


def write(folder: object, record: object) -> None:
    """Write a record and the other names of a finished trial, without waiting for the disk."""
    import json

    from segbench.store.trials import record_to_json

    trial = folder.trial(record.hash)  # type: ignore[attr-defined]
    trial.path.mkdir(parents=True)
    trial.record.write_text(json.dumps(record_to_json(record), indent=2) + "\n")
    for name in (trial.epochs, trial.images, trial.best, trial.last, trial.masks, trial.log):
        name.touch()


def measure(file: Path, num_trials: int) -> float:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(file), str(num_trials)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
