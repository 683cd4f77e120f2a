"""Family-wise error of planned looks, simulated."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from segbench.stats.multiplicity import holm
from segbench.stats.verdict import ALPHA, alpha_at_a_look

LOOKS = (3, 5, 10)
RUNS = 40_000


def share_with_a_false_verdict(looks: tuple[int, ...], alpha: float, *, num_levels: int = 4) -> float:
    """Return how often some look calls a level different that is not; all share the baseline's noise.

    Every look is judged, also those after which a sweep would have stopped, so stopping can only lower it.
    """
    values = np.random.default_rng(6).normal(0.9, 0.005, (RUNS, looks[-1], num_levels))
    differences = values[..., 1:] - values[..., :1]
    is_wrong = np.zeros(RUNS, bool)
    for num_seeds in looks:
        seen = differences[:, :num_seeds]
        t = seen.mean(axis=1) / (seen.std(axis=1, ddof=1) / np.sqrt(num_seeds))
        p = 2 * stats.t.sf(np.abs(t), num_seeds - 1)
        is_wrong |= (holm(p) < alpha).any(axis=1)
    return float(is_wrong.mean())


@pytest.mark.slow
@pytest.mark.parametrize("num_levels", [2, 4])
def test_three_looks_keep_the_family_wise_error(num_levels: int) -> None:
    share = share_with_a_false_verdict(LOOKS, alpha_at_a_look(len(LOOKS)), num_levels=num_levels)
    assert 0.02 < share <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / RUNS)


@pytest.mark.slow
def test_looks_that_each_spend_everything_would_not() -> None:
    assert share_with_a_false_verdict(LOOKS, ALPHA) > 0.08


def test_looks_share_alpha_equally() -> None:
    assert alpha_at_a_look(0) == ALPHA
    assert alpha_at_a_look(1) == ALPHA
    assert alpha_at_a_look(3) == pytest.approx(ALPHA / 3)
