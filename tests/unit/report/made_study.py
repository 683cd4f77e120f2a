"""A small experiment and hand-made results, in the frames that the store gives."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from segbench.config.experiment import Axis, Cell, Claim, Experiment, Level
from segbench.config.project import Project
from segbench.config.trial import Choice, TrialConfig
from segbench.store.results import Results

BASELINE = TrialConfig(
    dataset=Choice("oxford_pet", {"size_px": 64}),
    split=Choice("course"),
    input=Choice("unit"),
    model=Choice("unet"),
    norm=Choice("batch"),
    init=Choice("default"),
    augment=Choice("flips"),
    loss=(Choice("bce", {"weight": 1.0}),),
    optimizer=Choice("adam", {"lr": 1e-3}),
    schedule=Choice("constant"),
    grad_clip=None,
    batch_size=8,
    epochs=12,
    precision="fp32",
)


def cell_hash(levels: Mapping[str, str]) -> str:
    return "-".join(f"{axis}={label}" for axis, label in levels.items())


def make_experiment(
    root: Path,
    axes: Mapping[str, Sequence[str]],
    *,
    seeds: int = 3,
    folds: int = 1,
    margin: float | None = 0.005,
    claims: Sequence[Claim] = (),
    keep: Callable[[Mapping[str, str]], bool] = lambda levels: True,
) -> Experiment:
    built = tuple(
        Axis(name=name, levels=tuple(Level(x, {name: x}) for x in labels), baseline=labels[0])
        for name, labels in axes.items()
    )
    combinations = [dict(zip(axes, labels, strict=True)) for labels in itertools.product(*axes.values())]
    cells = [Cell(levels=c, config=BASELINE, config_hash=cell_hash(c)) for c in combinations if keep(c)]
    return Experiment(
        name="study",
        question="Does it matter?",
        project=Project(root),
        source=None,
        document={},
        baseline=BASELINE,
        axes=built,
        cells=tuple(cells),
        seeds=tuple(range(seeds)),
        num_folds=folds,
        margin=margin,
        outcome="test_dice",
        claims=tuple(claims),
    )


def make_results(
    experiment: Experiment,
    dice: Callable[[Mapping[str, str], int, int], float],
    *,
    states: Callable[[Mapping[str, str], int, int], str | None] = lambda levels, seed, fold: "complete",
    last: Callable[[Mapping[str, str], int, int], float] | None = None,
    num_images: int = 6,
    facts: Callable[[Mapping[str, str], int], Mapping[str, Any]] = lambda levels, seed: {},
    epochs: Callable[[Mapping[str, str], int], Sequence[Mapping[str, float]]] | None = None,
    groups: Sequence[str] | None = None,
) -> Results:
    """`dice(levels, seed, fold)` is a test dice that images scatter around; state None: no record."""
    last = last or dice
    trials, all_epochs, images = [], [], []
    offsets = np.linspace(-0.05, 0.05, num_images)
    for cell in experiment.cells:
        for seed, fold in itertools.product(experiment.seeds, range(experiment.num_folds)):
            state = states(cell.levels, seed, fold)
            if state is None:
                continue
            trial = f"{len(trials):012x}"
            is_complete = state == "complete"
            value = dice(cell.levels, seed, fold) if is_complete else np.nan
            value_last = last(cell.levels, seed, fold) if is_complete else np.nan
            trials.append(
                {
                    "trial": trial,
                    "config_hash": cell.config_hash,
                    "data_fingerprint": "f" * 64,
                    "seed": seed,
                    "fold": fold,
                    "state": state,
                    "failure": None,
                    "reason": "loss is NaN" if state == "diverged" else None,
                    "epochs_done": 12,
                    "selected_epoch": 12.0 if is_complete else np.nan,
                    "objective": value,
                    "parameters": 1000.0,
                    "flops": 5e6,
                    "train_time_s": 60.0,
                    "device": "cpu",
                    "device_name": "a CPU",
                    "threads": 2.0,
                    "commit": "abc123",
                    "started": "2026-01-01T00:00:00",
                    "finished": "2026-01-01T00:01:00",
                    "folder": f"trials/{trial}",
                    **{f"axis:{axis}": label for axis, label in cell.levels.items()},
                    "test_dice": value,
                    "test_dice_last": value_last,
                    **facts(cell.levels, seed),
                }
            )
            rows = epochs(cell.levels, seed) if epochs else _epochs(seed)
            all_epochs += [{"trial": trial, "epoch": i + 1, **row} for i, row in enumerate(rows)]
            for metric, center in (("dice", value), ("dice_last", value_last)):
                images += [
                    {
                        "trial": trial,
                        "image": f"image_{fold}_{i}",
                        "group": groups[i] if groups else "",
                        "split": "test",
                        "class": "foreground",
                        "metric": metric,
                        "value": center + offsets[i],
                    }
                    for i in range(num_images)
                    if is_complete
                ]
    columns = ["trial", "image", "group", "split", "class", "metric", "value"]
    frame = pd.DataFrame(trials)
    return Results(
        trials=frame.astype(
            {c: "str" for c in ("trial", "state", "failure", "reason", "folder") if c in frame}
        ),
        epochs=pd.DataFrame(all_epochs).astype({"trial": "str"}),
        images=pd.DataFrame(images, columns=columns).astype({"trial": "str"}),
        left_out=pd.DataFrame({"folder": pd.Series(dtype="str"), "reason": pd.Series(dtype="str")}),
    )


def _epochs(seed: int) -> list[dict[str, float]]:
    return [
        {
            "train_loss": 1.0 / (e + 1) + 0.01 * seed,
            "train_dice": 0.8,
            "val_loss": 1.0 / (e + 1),
            "val_dice": 0.9 + 0.01 * (e % 2),
            "epoch_time_s": 100.0 if e == 0 else 2.0,
            "images_per_s": 50.0,
            "peak_memory_mib": 300.0,
            "data_wait_s": 9.0 if e == 0 else 0.25,
        }
        for e in range(12)
    ]
