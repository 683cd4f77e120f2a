"""The exact sign-flip test against scipy's enumeration and by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from segbench.stats.signflip import sign_flip_p


def by_scipy(values: np.ndarray) -> float:
    """Return the p of scipy's exact permutation test; it permutes signs where there is one sample."""
    found = stats.permutation_test(
        (values,), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    return float(found.pvalue)


@pytest.mark.parametrize("n", [6, 7, 10, 13])
@pytest.mark.parametrize("shift", [0.0, 0.6, 2.0])
def test_it_is_scipys_exact_permutation_test(n: int, shift: float) -> None:
    values = np.random.default_rng(n).normal(shift, 1, n)
    assert sign_flip_p(values) == pytest.approx(by_scipy(values), abs=1e-12)


def test_by_enumeration_with_ties() -> None:
    values = np.array([0.01, 0.01, 0.02, -0.01, 0.02, 0.01, 0.03])
    sums = [abs(np.dot(signs, values)) for signs in itertools.product((1, -1), repeat=7)]
    expected = np.mean([s >= abs(values.sum()) - 1e-12 for s in sums])
    assert sign_flip_p(values) == pytest.approx(expected)


def test_all_of_one_sign_is_two_in_all() -> None:
    assert sign_flip_p(np.arange(1.0, 7)) == 2 / 2**6
    assert sign_flip_p(-np.arange(1.0, 41)) == 2 / 2**40


def test_thirty_seeds_are_as_the_normal_distribution_says() -> None:
    values = np.random.default_rng(5).normal(0.3, 1, 30)
    z = values.sum() / np.sqrt((values**2).sum())
    assert sign_flip_p(values) == pytest.approx(2 * stats.norm.sf(abs(z)), abs=0.01)


def test_where_there_is_nothing_to_test() -> None:
    assert np.isnan(sign_flip_p(np.ones(5)))
    assert np.isnan(sign_flip_p(np.ones(41)))
    assert np.isnan(sign_flip_p(np.array([1.0, 2, 3, 4, 5, np.nan])))
    assert sign_flip_p(np.zeros(6)) == 1
    assert sign_flip_p(np.array([1.0, -1, 2, -2, 3, -3])) == 1
