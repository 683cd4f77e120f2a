"""Coverage and error rates, simulated: what the intervals and families promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from segbench.stats.images import image_variance
from segbench.stats.intervals import Spread
from segbench.stats.multiplicity import holm

RUNS = 20_000


@pytest.mark.parametrize("num_seeds", [3, 5])
def test_interval_for_this_test_set_covers_95_percent(num_seeds: int) -> None:
    differences = np.random.default_rng(1).normal(0.01, 0.004, (RUNS, num_seeds))
    half = Spread(differences.var(axis=1, ddof=1) / num_seeds, num_seeds - 1).half_width()
    covered = np.abs(differences.mean(axis=1) - 0.01) <= half
    assert 0.94 <= covered.mean() <= 0.96


@pytest.mark.parametrize("num_seeds", [3, 5])
@pytest.mark.parametrize("sd_image", [0.0, 0.01, 0.05])
def test_interval_for_new_images_covers_at_least_93_percent(num_seeds: int, sd_image: float) -> None:
    runs, num_images, truth = 4000, 40, 0.01
    rng = np.random.default_rng(2)
    seed = rng.normal(0, 0.004, (runs, num_seeds, 1))
    image = rng.normal(0, 1, (runs, 1, num_images)) * sd_image
    layout = truth + seed + image + rng.normal(0, 0.03, (runs, num_seeds, num_images))
    by_seed = layout.mean(axis=2)
    spread = Spread(
        by_seed.var(axis=1, ddof=1) / num_seeds, num_seeds - 1, image_variance(layout), num_images - 1
    )
    covered = np.abs(by_seed.mean(axis=1) - truth) <= spread.half_width()
    assert 0.93 <= covered.mean() <= 0.99


def test_t_interval_alone_would_not_cover_new_images() -> None:
    runs, num_seeds, num_images = 4000, 5, 40
    rng = np.random.default_rng(3)
    image = rng.normal(0, 0.05, (runs, 1, num_images))
    by_seed = (rng.normal(0, 0.004, (runs, num_seeds, 1)) + image).mean(axis=2)
    half = Spread(by_seed.var(axis=1, ddof=1) / num_seeds, num_seeds - 1).half_width()
    assert (np.abs(by_seed.mean(axis=1)) <= half).mean() < 0.8


def test_family_wise_error_of_contrasts_with_a_common_baseline() -> None:
    num_seeds, num_levels = 5, 6
    values = np.random.default_rng(4).normal(0.9, 0.005, (RUNS, num_seeds, num_levels))
    differences = values[..., 1:] - values[..., :1]
    t = differences.mean(axis=1) / (differences.std(axis=1, ddof=1) / np.sqrt(num_seeds))
    adjusted = holm(2 * stats.t.sf(np.abs(t), num_seeds - 1))
    assert (adjusted < 0.05).any(axis=1).mean() <= 0.056


def test_equivalence_is_wrongly_shown_in_at_most_5_percent() -> None:
    num_seeds, margin = 4, 0.005
    differences = np.random.default_rng(5).normal(
        margin, 0.0005, (RUNS, num_seeds)
    )  # true difference: the margin
    se = differences.std(axis=1, ddof=1) / np.sqrt(num_seeds)
    half = Spread(se**2, num_seeds - 1).half_width(level=0.90)  # TOST at .05 is the 90 % interval
    inside = np.abs(differences.mean(axis=1)) + half < margin
    assert 0.044 <= inside.mean() <= 0.056
