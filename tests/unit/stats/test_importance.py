"""Shares of variance of knobs: simulated searches whose truth is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from segbench.stats.importance import LEAST, Importance, Knob, importance

LR = Knob(name="lr", low=1e-5, high=1e-1, is_log=True)
DECAY = Knob(name="decay", low=1e-6, high=1e-1, is_log=True)
WIDTH = Knob(name="width", low=4, high=16, step=1.0)
NORM = Knob(name="norm", levels=("batch", "none", "dyt"))
KNOBS = (LR, DECAY, WIDTH, NORM)

Truth = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def searched(truth: Truth, *, num: int = 60, noise: float = 0.1, seed: int = 0) -> Importance:
    """Fit to random proposals; the truth gets both rates as logarithms, the width and the norm."""
    random = np.random.default_rng(seed)
    lr, decay = random.uniform(-5, -1, num), random.uniform(-6, -1, num)
    width, norm = random.integers(4, 17, num), random.choice(NORM.levels, num)
    objective = truth(lr, decay, width, norm) + noise * random.standard_normal(num)
    found = importance(KNOBS, [10**lr, 10**decay, width, list(norm)], objective)
    assert found is not None
    return found


def shares(found: Importance) -> dict[str, float]:
    return {share.name: share.share for share in found.knobs}


def test_shares_add_up_to_one_and_lie_in_their_ranges() -> None:
    found = searched(lambda lr, decay, width, norm: lr + (norm == "dyt"))
    every = [*found.knobs, found.pairs, found.rest]
    assert sum(share.share for share in every) == pytest.approx(1)
    assert all(0 <= share.low <= share.share <= share.high <= 1 for share in every)


@pytest.mark.parametrize("seed", range(5))
def test_the_knob_that_matters_is_found_and_the_others_have_nothing(seed: int) -> None:
    found = searched(lambda lr, decay, width, norm: -((lr + 3) ** 2), noise=0.2, seed=seed)
    assert found.r2 > 0.8
    assert not found.is_weak
    assert shares(found)["lr"] > 0.8
    assert max(shares(found)[name] for name in ("decay", "width", "norm")) < 0.06
    best = found.knobs[0].best
    assert isinstance(best, float)
    assert 4e-4 < best < 2.5e-3


def test_of_noise_alone_nothing_is_explained_and_that_is_said() -> None:
    found = [searched(lambda lr, *_: 0 * lr, noise=1, seed=seed) for seed in range(20)]
    assert np.mean([each.r2 for each in found]) < 0.02
    assert all(each.is_weak for each in found)
    assert np.mean([each.rest.share for each in found]) > 0.9


def test_variances_of_known_size() -> None:
    """Two straight effects, one twice the other: variances 4 to 1; ranks of a sum keep that roughly."""
    found = searched(lambda lr, decay, *_: 2 * (lr + 3) / 4 + (decay + 3.5) / 5, num=400, noise=0.0)
    got = shares(found)
    assert got["lr"] == pytest.approx(0.8, abs=0.06)
    assert got["decay"] == pytest.approx(0.2, abs=0.06)
    assert found.r2 > 0.95


def test_levels_have_the_variance_of_their_means() -> None:
    """Ranks 1/6, 1/2, 5/6 by level and no error: all of the variance is theirs."""
    found = searched(lambda lr, decay, width, norm: 1.0 * (norm == "dyt") - (norm == "none"), noise=0)
    assert shares(found)["norm"] > 0.98
    assert found.knobs[3].best == "dyt"


def test_two_knobs_that_matter_only_together() -> None:
    found = searched(lambda lr, decay, *_: (lr + 3) * (decay + 3.5), num=80)
    assert found.pairs.share > 0.7
    assert sum(shares(found).values()) < 0.15
    assert not found.is_weak


def test_a_search_that_crowds_around_its_best_still_names_the_knob() -> None:
    random = np.random.default_rng(3)
    lr = np.concatenate([random.uniform(-5, -1, 12), random.normal(-3, 0.25, 38)])
    decay = random.uniform(-6, -1, 50)
    objective = -((lr + 3) ** 2) + 0.05 * random.standard_normal(50)
    found = importance([LR, DECAY], [10**lr, 10**decay], objective)
    assert found is not None
    assert shares(found)["lr"] > 0.6
    assert shares(found)["decay"] < 0.05


def test_a_diverged_trial_ranks_last_however_bad() -> None:
    random = np.random.default_rng(0)
    lr = random.uniform(-5, -1, 30)
    objective = -((lr + 3) ** 2)
    worst = int(np.argmin(objective))
    infinite = objective.copy()
    infinite[worst] = -np.inf
    assert importance([LR], [10**lr], objective) == importance([LR], [10**lr], infinite)


def test_only_the_order_counts_and_its_sign_moves_the_best() -> None:
    random = np.random.default_rng(1)
    lr = random.uniform(-5, -1, 40)
    objective = -((lr + 2) ** 2)
    up = importance([LR], [10**lr], objective)
    bent = importance([LR], [10**lr], np.exp(objective))
    down = importance([LR], [10**lr], -objective, is_lower_better=True)
    assert up is not None
    assert up == bent == down


def test_within_groups_a_level_of_the_whole_group_does_not_count() -> None:
    random = np.random.default_rng(2)
    lr = random.uniform(-5, -1, 60)
    groups = np.repeat(["a", "b", "c"], 20)
    objective = -((lr + 3) ** 2) + np.repeat([0.0, 50.0, -50.0], 20)
    apart = importance([LR], [10**lr], objective, groups=groups)
    mixed = importance([LR], [10**lr], objective)
    assert apart is not None
    assert mixed is not None
    assert apart.r2 > 0.9
    assert mixed.r2 < 0.3


def test_too_few_or_equal_values_give_no_model() -> None:
    rates = np.logspace(-5, -1, LEAST)
    rising = np.arange(LEAST, dtype=float)
    assert importance([LR], [rates], rising) is not None
    assert importance([LR], [rates[1:]], rising[1:]) is None
    assert importance([LR], [rates], np.zeros(LEAST)) is None
    assert importance([LR] * 4, [rates] * 4, rising) is None, "three a knob"
    assert importance([LR], [rates], np.where(rising > 4, rising, np.nan)) is None
    assert importance([], [], rising) is None


def test_few_values_and_none_to_choose_from() -> None:
    depth = Knob(name="depth", low=2, high=4, step=1.0)
    fixed = Knob(name="fixed", low=3, high=3)
    random = np.random.default_rng(0)
    values = random.integers(2, 5, 40)
    found = importance([depth, fixed], [values, np.full(40, 3.0)], values + 0.1 * random.standard_normal(40))
    assert found is not None
    assert shares(found)["depth"] > 0.85
    assert shares(found)["fixed"] == 0
    assert found.knobs[0].best == 4
    assert found.knobs[1].best is None


def test_the_same_records_give_the_same_numbers() -> None:
    one, two = (searched(lambda lr, decay, *_: lr + decay, seed=5) for _ in range(2))
    assert one == two
