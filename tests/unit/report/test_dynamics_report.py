"""How training went, as a report says it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import fake_analysis as fake
import made_study

from segbench.report.analyse import analyse
from segbench.report.labels import Labels, Style
from segbench.report.numbers import Numbers
from segbench.report.topics.walk import make_tables

AXES = {"norm": ("batch", "none")}


def epochs(levels: Mapping[str, str], seed: int) -> list[dict[str, float]]:
    """Batch norm is at .9 from epoch 2 + seed on, and its loss rises from epoch 10; without it .5 is all."""
    is_batch = levels["norm"] == "batch"
    return [
        {
            "val_dice": (0.9 if e >= 2 + seed else 0.2) if is_batch else 0.5,
            "val_loss": 0.3 + 0.01 * abs(e - 10) if is_batch else 1 / e,
        }
        for e in range(1, 41)
    ]


def test_the_table_says_who_reached_the_level_and_who_over_fits(tmp_path: Path) -> None:
    experiment = made_study.make_experiment(tmp_path, AXES, seeds=3)
    results = made_study.make_results(experiment, lambda levels, seed, fold: 0.8, epochs=epochs)
    analysis = analyse(experiment, results, project=experiment.project)
    table = make_tables(analysis, Labels(analysis, Style()))["dynamics"]
    shown = [dict(zip((c.title for c in table.columns), row, strict=True)) for row in table.rows]
    titles = ("norm", "n", "Epochs to level", "Reached", "Loss turns up")
    assert [[row[t].text for t in titles] for row in shown] == [
        ["batch", "3", "3.0", "3 of 3", "10.0"],
        ["none", "3", "not reached", "0 of 3", "no"],
    ]
    assert "Level: Dice (validation) 0.855, the mean of the best cell's last epochs times 0.95" in table.note
    assert shown[0]["Area"].sort == pytest.approx(
        np.mean([np.trapezoid([0.9 if e >= 2 + s else 0.2 for e in range(1, 41)]) / 39 for s in range(3)])
    )


def test_seeds_that_did_not_complete_do_not_count(tmp_path: Path) -> None:
    experiment = made_study.make_experiment(tmp_path, AXES, seeds=3)
    results = made_study.make_results(
        experiment,
        lambda levels, seed, fold: 0.8,
        epochs=epochs,
        states=lambda levels, seed, fold: "diverged" if seed == 1 else "complete",
    )
    analysis = analyse(experiment, results, project=experiment.project)
    assert analysis.dynamics["n"].tolist() == [2, 2]
    assert analysis.dynamics["epochs_to_level"].iloc[0] == 3.0


@pytest.mark.parametrize("levels", [fake.NORM, fake.HOSTILE], ids=["norm", "hostile"])
def test_part_of_the_seeds_is_said_beside_the_number(levels: dict[str, tuple[str, ...]]) -> None:
    analysis = fake.make_analysis(levels)
    table = make_tables(analysis, Labels(analysis, Style()))["dynamics"]
    titles = [column.title for column in table.columns]
    assert table.rows[0][titles.index("Loss turns up")].text == "9.0 (2 of 3)"
    assert table.rows[1][titles.index("Epochs to level")].text == "not reached"


def test_the_sd_over_epochs_has_two_more_decimals_than_a_score() -> None:
    numbers = Numbers(3)
    assert numbers.of("test_dice", 0.91234) == "0.912"
    assert numbers.of("instability", 0.000564, is_difference=True) == "+0.00056"
    assert numbers.interval_of("instability", 0.00036, 0.00076) == "[0.00036, 0.00076]"
