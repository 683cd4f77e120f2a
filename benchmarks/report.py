"""How long `segbench report` takes for 1,000 trials of 200 epochs, and how much memory.

`python -m benchmarks.report [TRIALS] [EPOCHS] [IMAGES] [REPEATS]`

Records as a sweep writes them (`trial.json`, `epochs.csv`, `images.csv.gz` with eleven metrics) lie in a
temporary project; 100 cells share the trials. Each run is a process of its own, from the command's start to
its end. *Cold*: nothing of the report is there, nor what is remembered of it. *One record changed*: a number
in one trial's rows. *Unchanged*: the same command again. Files are in the page cache. CPU seconds are those
of the process and its children: on a busy machine they tell more than the wall.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.machine import heading, spread, table

EXPERIMENT = """\
question: Which of these matters?
baseline:
  dataset: shapes
  model: {{unet: {{width: 4, depth: 2}}}}
  norm: batch
  augment: none
  loss: {{bce: 1, dice: 1}}
  optimizer: {{adam: {{lr: 1e-3}}}}
  schedule: constant
  batch_size: 2
  epochs: {epochs}
axes:
  norm: [batch, none, group, instance]
  lr: {{path: optimizer.lr, levels: [1e-2, 5e-3, 2e-3, 1e-3, 5e-4]}}
  batch_size: [2, 4, 6, 8, 10]
seeds: {seeds}
margin: 0.01
"""
CELLS = 100
METRICS = (
    "dice",
    "iou",
    "precision",
    "recall",
    "accuracy",
    "specificity",
    "soft_dice",
    "hd95_px",
    "assd_px",
    "surface_dice",
    "dice_last",
)
"""Of `images.csv.gz`."""


@dataclass(frozen=True)
class Run:
    """What one call of the command took."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def main(num_trials: int = 1000, num_epochs: int = 200, num_images: int = 100, repeats: int = 3) -> None:
    title = f"Report of {num_trials:,} trials x {num_epochs} epochs, {num_images} test images"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_records(root, num_trials, num_epochs, num_images)
        lines = heading(title)
        measure(root)  # compiles the modules
        rows = [
            row("cold", "10 s", [measure(root, before=forget) for _ in range(repeats)]),
            row("one record changed", "", [measure(root, before=change) for _ in range(repeats)]),
            row("unchanged", "3 s", [measure(root) for _ in range(repeats)]),
        ]
    lines += table(["`segbench report --no-pdf`", "wall", "promised", "CPU", "peak memory (500 MiB)"], rows)
    print("\n".join(lines))


def row(what: str, promised: str, runs: list[Run]) -> list[str]:
    return [
        what,
        spread([run.wall_s for run in runs], digits=2),
        promised,
        spread([run.cpu_s for run in runs], digits=2),
        f"{max(run.peak_mib for run in runs):.0f} MiB",
    ]


def make_records(
    root: Path,
    num_trials: int,
    num_epochs: int,
    num_images: int,
    *,
    text: str = EXPERIMENT,
    cells: int = CELLS,
) -> Path:
    """Write an experiment and a finished record, with its rows, for each of its trials; return the file."""
    from segbench.config.load import load_experiment
    from segbench.plan.plan import planned_trials
    from segbench.records import State
    from segbench.store.layout import ExperimentFolder
    from segbench.store.queue import QueuedTrial
    from segbench.trial.provenance import hash_host, name_device, now, read_versions
    from segbench.trial.record import new_record

    file = root / "experiments" / "many.yaml"
    file.parent.mkdir()
    file.write_text(text.format(seeds=num_trials // cells, epochs=num_epochs))
    experiment = load_experiment(file)
    folder = ExperimentFolder(experiment.project.results / "many")
    facts = {
        "device": "cpu",
        "device_name": name_device("cpu"),
        "host": hash_host(),
        "versions": read_versions(),
    }
    for number, trial in enumerate(planned_trials(experiment)):
        draw = np.random.default_rng(number)
        epochs, images = _epochs(draw, num_epochs), _images(draw, num_images)
        best = int(epochs["val_dice"].argmax())
        record = replace(
            new_record(QueuedTrial.of(trial), folder),
            state=State.COMPLETE,
            attempts=1,
            epochs_done=num_epochs,
            selected_epoch=best + 1,
            objective=float(epochs["val_dice"][best]),
            test={name: float(values.mean()) for name, values in images.items()},
            started=now(),
            finished=now(),
            train_time_s=float(epochs["epoch_time_s"].sum()),
            parameters=7_654_321,
            flops=1_234_567_890,
            threads=1,
            **facts,
        )
        _write(folder, record, epochs, images)
    return file


def _epochs(draw: np.random.Generator, num_epochs: int) -> dict[str, np.ndarray]:
    """Return the columns of an `epochs.csv`: curves that rise and flatten."""
    rise = 1 - np.exp(-np.arange(1, num_epochs + 1) / 30)

    def curve(top: float) -> np.ndarray:
        return top * rise + draw.normal(0, 0.01, num_epochs)

    scores = ("dice", "iou", "precision", "recall", "accuracy", "specificity", "soft_dice", "pooled_dice")
    return {
        "epoch": np.arange(1, num_epochs + 1),
        "lr": np.full(num_epochs, 1e-3),
        "train_loss": 1.2 - curve(1.0),
        "train_dice": curve(0.9),
        "val_loss": 1.3 - curve(1.0),
        **{f"val_{name}": curve(0.85) for name in scores},
        "epoch_time_s": draw.uniform(1, 2, num_epochs),
        "images_per_s": draw.uniform(100, 200, num_epochs),
        "peak_memory_mib": draw.uniform(900, 1000, num_epochs),
    }


def _images(draw: np.random.Generator, num_images: int) -> dict[str, np.ndarray]:
    return {
        name: draw.uniform(1, 20, num_images) if name.endswith("_px") else draw.beta(8, 2, num_images)
        for name in METRICS
    }


def _write(
    folder: object, record: object, epochs: dict[str, np.ndarray], images: dict[str, np.ndarray]
) -> None:
    """Write one trial's files, without waiting for the disk."""
    import gzip
    import json

    from segbench.store.trials import IMAGE_COLUMNS, format_number, record_to_json

    trial = folder.trial(record.hash)  # type: ignore[attr-defined]
    trial.path.mkdir(parents=True)
    trial.record.write_text(json.dumps(record_to_json(record), indent=2) + "\n")  # type: ignore[arg-type]
    lines = [",".join(epochs)]
    lines += [",".join(map(format_number, values)) for values in zip(*epochs.values(), strict=True)]
    trial.epochs.write_text("\n".join(lines) + "\n")
    rows = [",".join(IMAGE_COLUMNS)]
    rows += [
        f"image_{k:04d},,test,foreground,{metric},{format_number(float(value))}"
        for metric, values in images.items()
        for k, value in enumerate(values)
    ]
    trial.images.write_bytes(gzip.compress(("\n".join(rows) + "\n").encode(), 6, mtime=0))


def forget(root: Path) -> None:
    """Remove the report and everything that is remembered."""
    shutil.rmtree(root / "reports", ignore_errors=True)
    shutil.rmtree(root / "remembered", ignore_errors=True)


def change(root: Path) -> None:
    """Change one number of one record's rows."""
    file = next(iter(sorted(root.glob("results/many/trials/*/epochs.csv"))))
    lines = file.read_text().splitlines()
    cells = lines[-1].split(",")
    cells[2] = f"{float(cells[2]) + 0.001:.9g}"
    file.write_text("\n".join([*lines[:-1], ",".join(cells)]) + "\n")


def measure(root: Path, *, before: Callable[[Path], None] | None = None) -> Run:
    """Run the command once."""
    if before is not None:
        before(root)
    command = [sys.executable, "-m", "segbench", "report", "many", "--no-pdf", "--project", str(root)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "SEGBENCH_CACHE": str(root / "remembered"),
        "PYTHONPYCACHEPREFIX": str(root / "bytecode"),  # compiled once, as an installed package is
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    took = time.perf_counter() - began
    assert status == 0, f"the command ended with {status}"
    return Run(took, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
