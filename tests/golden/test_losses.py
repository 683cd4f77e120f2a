"""The losses of two tiny runs, kept as text: a change of the code that changes a number is seen here.

`make golden` (SEGBENCH_GOLDEN=rewrite) writes the file anew; a changed number needs a raised
`NUMERICS_VERSION` and a CHANGELOG entry under Results.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from blobs import blob_data, tiny_config

from segbench.config.trial import Choice
from segbench.engine import Run
from segbench.records import TIMING_COLUMNS

GOLDEN = Path(__file__).parent / "losses.csv"

CONFIGS = {
    # At this rate another order of summation moves a loss by 1e-7; at 0.01 and batch 2 it is 4e-4.
    "unet": tiny_config(
        epochs=4,
        model=Choice.of("model", "unet", width=8, depth=2),
        optimizer=Choice.of("optimizer", "adam", lr=3e-3),
        schedule=Choice("constant"),
    ),
    "resnet34_unet": tiny_config(
        epochs=4,
        model=Choice.of("model", "resnet34_unet", width=16),
        norm=Choice.of("norm", "dyt"),
        init=Choice.of("init", "he"),
        optimizer=Choice.of("optimizer", "sgd", lr=0.01),
        schedule=Choice.of("schedule", "constant"),
        loss=(Choice.of("loss", "tversky"),),
    ),
}


def rows_of(name: str) -> list[dict[str, float]]:
    run = Run(CONFIGS[name], blob_data(), seed=0, threads=1)
    return [{k: v for k, v in r.row().items() if k not in TIMING_COLUMNS} for r in run]


@pytest.fixture(scope="module")
def golden() -> dict[str, list[dict[str, float]]]:
    if os.environ.get("SEGBENCH_GOLDEN") == "rewrite":
        lines = [{"run": name, **row} for name in CONFIGS for row in rows_of(name)]
        with GOLDEN.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(lines[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(lines)
    kept: dict[str, list[dict[str, float]]] = {name: [] for name in CONFIGS}
    with GOLDEN.open() as file:
        for line in csv.DictReader(file):
            kept[line.pop("run")].append({k: float(v) for k, v in line.items()})
    return kept


@pytest.mark.parametrize("name", CONFIGS)
def test_losses_are_the_golden_ones(name, golden) -> None:
    """Losses within 1e-4, as processors sum in other orders; metrics within some pixels at the threshold.

    A metric that was declared later is no column of the golden file.
    """
    found = rows_of(name)
    assert [[column for column in row if column in golden[name][0]] for row in found] == [
        list(row) for row in golden[name]
    ]
    for ours, theirs in zip(found, golden[name], strict=True):
        for column, value in theirs.items():
            within = {"rel": 1e-4} if column in ("epoch", "lr", "train_loss", "val_loss") else {"abs": 5e-3}
            assert ours[column] == pytest.approx(value, **within), column
