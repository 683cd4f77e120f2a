"""How training went: measures of curves whose answers are known beforehand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from segbench.stats.dynamics import area, dynamics, first_at, level_to_reach, plateau, turning_point
from segbench.stats.measure import instability

EPOCHS = np.arange(1.0, 61.0)


def test_the_plateau_is_about_the_epochs_of_the_instability() -> None:
    values = np.random.default_rng(0).normal(0.8, 0.1, 60)
    assert plateau(values) == pytest.approx(values[-10:].mean())
    assert instability(values) == pytest.approx(values[-10:].std(ddof=1))
    assert plateau(values[:20]) == pytest.approx(values[15:20].mean())
    assert plateau(values[:6]) == pytest.approx(values[3:6].mean())


def test_the_level_is_a_share_of_the_best_cell() -> None:
    plateaus = pd.Series({"a": 0.8, "b": 0.9})
    assert level_to_reach(plateaus, is_lower_better=False) == pytest.approx(0.855)
    assert level_to_reach(plateaus, is_lower_better=True) == pytest.approx(0.8 / 0.95)
    assert np.isnan(level_to_reach(pd.Series([0.0]), is_lower_better=False))


def test_the_first_epoch_counts_though_the_curve_falls_back() -> None:
    assert first_at(np.array([1.0, 2, 3, 4]), np.array([0.1, 0.9, 0.2, 0.9]), 0.5) == 2
    assert np.isnan(first_at(np.array([1.0, 2]), np.array([0.1, 0.2]), 0.5))


def test_the_area_is_the_integral_of_the_curve() -> None:
    # 1 - exp(-e / 5) from 1 to 60, by its antiderivative.
    exact = (59 - 5 * (np.exp(-1 / 5) - np.exp(-60 / 5))) / 59
    assert area(EPOCHS, 1 - np.exp(-EPOCHS / 5)) == pytest.approx(exact, abs=5e-4)
    # A straight line has its middle; unequal steps do not matter.
    assert area(np.array([1.0, 2, 5]), np.array([0.1, 0.2, 0.5])) == pytest.approx(0.3)
    assert area(np.array([1.0]), np.array([0.4])) == 0.4


@pytest.mark.parametrize("seed", range(5))
def test_a_loss_that_turns_up_does_so_at_its_minimum(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0, 0.01, 60)
    loss = 0.3 + 0.0005 * (EPOCHS - 25) ** 2 + noise
    assert turning_point(EPOCHS, loss) == pytest.approx(25, abs=6)
    assert turning_point(EPOCHS, loss - noise) == 25


@pytest.mark.parametrize(
    "loss",
    [
        1 / EPOCHS,
        np.full(60, 0.3),
        np.exp(-EPOCHS / 10) + 0.02 * np.sin(EPOCHS),
        # Up in the middle, then below the old minimum: not for good.
        1 - EPOCHS / 100 + 0.3 * np.exp(-((EPOCHS - 30) ** 2) / 20),
        # The rise is below 1 % of the loss.
        1 + 0.0000005 * (EPOCHS - 25) ** 2,
        # The rise has only just begun.
        1 + np.abs(EPOCHS - 58) / 10,
    ],
    ids=["falls", "flat", "wiggles", "hump", "small", "late"],
)
def test_a_loss_that_does_not_turn_up_has_no_onset(loss: np.ndarray) -> None:
    assert np.isnan(turning_point(EPOCHS, loss))


def test_noise_about_a_plateau_is_seldom_taken_for_over_fitting() -> None:
    random = np.random.default_rng(1)
    found = [turning_point(EPOCHS, 1 + random.normal(0, 0.1, 60)) for _ in range(400)]
    assert np.isfinite(found).mean() < 0.02


def test_few_epochs_have_no_onset() -> None:
    assert np.isnan(turning_point(EPOCHS[:5], np.array([1.0, 0.5, 0.6, 0.7, 0.8])))
    assert np.isnan(turning_point(np.empty(0), np.empty(0)))
    assert turning_point(EPOCHS[:7], np.array([1.0, 0.5, 0.5, 0.6, 0.8, 1.2, 2.0])) == 3


def make(
    curves: dict[tuple[str, int, int], np.ndarray], loss: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame]:
    trials, rows = [], []
    for number, ((cell, seed, fold), values) in enumerate(curves.items()):
        trial = f"{number:012x}"
        trials.append(
            {
                "trial": trial,
                "cell": cell,
                "a": cell,
                "seed": seed,
                "fold": fold,
                "instability": instability(values),
            }
        )
        rows += [
            {"trial": trial, "epoch": k + 1, "val_dice": v, "val_loss": loss[k]} for k, v in enumerate(values)
        ]
    return pd.DataFrame(rows), pd.DataFrame(trials)


def rising(to: float, scale: float) -> np.ndarray:
    return to * (1 - np.exp(-EPOCHS / scale))


def test_a_row_a_cell_with_means_and_intervals_over_seeds() -> None:
    scales = {0: 3.0, 1: 4.0, 2: 6.0}
    curves = {("good", s, 0): rising(0.9, scale) for s, scale in scales.items()}
    curves |= {("bad", s, 0): rising(0.9 if s == 1 else 0.7, 3.0) for s in scales}
    curves |= {("never", s, 0): rising(0.5, 3.0) for s in scales}
    epochs, trials = make(curves, 0.3 + 0.001 * (EPOCHS - 20) ** 2)
    table = dynamics(epochs, trials, ["a"], "val_dice", is_lower_better=False).set_index("cell")
    level = 0.95 * np.mean([rising(0.9, scale)[-10:].mean() for scale in scales.values()])
    assert table["level"].tolist() == pytest.approx([level] * 3)
    expected = [np.ceil(-scale * np.log(1 - level / 0.9)) for scale in scales.values()]
    good = table.loc["good"]
    assert (good["n"], good["reached"], good["turned_up"]) == (3, 3, 3)
    assert good["epochs_to_level"] == pytest.approx(np.mean(expected))
    low, high = stats.t.interval(0.95, 2, np.mean(expected), stats.sem(expected))
    assert (good["epochs_to_level_low"], good["epochs_to_level_high"]) == pytest.approx((low, high))
    assert good["onset"] == 20
    areas = [np.trapezoid(rising(0.9, scale), EPOCHS) / 59 for scale in scales.values()]
    assert good["area"] == pytest.approx(np.mean(areas))
    sds = [rising(0.9, scale)[-10:].std(ddof=1) for scale in scales.values()]
    assert good["instability"] == pytest.approx(np.mean(sds))
    # One of three reached it: a mean of that one, and no interval that would be about the quick alone.
    assert (table.loc["bad", "reached"], table.loc["bad", "epochs_to_level"]) == (1, expected[0])
    assert np.isnan(table.loc["bad", "epochs_to_level_low"])
    assert table.loc["never", "reached"] == 0
    assert np.isnan(table.loc["never", "epochs_to_level"])


def test_folds_are_averaged_within_a_seed() -> None:
    curves = {("a", s, f): rising(0.9, 3.0 + s + 2 * f) for s in range(2) for f in range(2)}
    epochs, trials = make(curves, np.full(60, 0.3))
    (row,) = dynamics(epochs, trials, ["a"], "val_dice", is_lower_better=False).to_dict("records")
    areas = [np.mean([np.trapezoid(curves["a", s, f], EPOCHS) / 59 for f in range(2)]) for s in range(2)]
    assert (row["n"], row["area"]) == (2, pytest.approx(np.mean(areas)))
    assert row["area_high"] - row["area"] == pytest.approx(12.706205 * np.std(areas, ddof=1) / np.sqrt(2))
    assert row["turned_up"] == 0


def test_a_lower_objective_is_reached_from_above() -> None:
    epochs, trials = make({("a", 0, 0): np.full(60, 0.5)}, 1 / EPOCHS)
    (row,) = dynamics(epochs, trials, ["a"], "val_loss", is_lower_better=True).to_dict("records")
    level = (1 / EPOCHS[-10:]).mean() / 0.95
    assert (row["level"], row["epochs_to_level"]) == (pytest.approx(level), np.ceil(1 / level))
    assert np.isnan(row["area_low"])


def test_without_curves_there_is_no_row() -> None:
    epochs, trials = make({("a", 0, 0): rising(0.9, 3.0)}, np.full(60, 0.3))
    assert dynamics(epochs, trials.iloc[:0], ["a"], "val_dice", is_lower_better=False).empty
    assert dynamics(epochs, trials, ["a"], "val_accuracy", is_lower_better=False).empty
