"""Fractions of two-level factorials: balance, resolution and aliases, all from the design matrix."""

from __future__ import annotations

import warnings
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pyDOE3

from segbench.config.designs import MOST_AXES, Fraction, make_fraction


def coded(fraction: Fraction) -> np.ndarray:
    """Return the design matrix, (rows, axes) of -1 (baseline) and 1."""
    return np.where(np.array(fraction.rows), 1, -1)


def made(num_axes: int, resolution: int) -> Fraction:
    fraction = make_fraction(num_axes, resolution)
    assert fraction is not None
    return fraction


@settings(deadline=None, max_examples=40)
@given(st.integers(3, 12), st.integers(3, 5))
def test_a_fraction_is_balanced_and_has_the_resolution(num_axes: int, resolution: int) -> None:
    fraction = make_fraction(num_axes, resolution)
    if fraction is None:
        return
    matrix = coded(fraction)
    assert len(matrix) < 2**num_axes
    assert len({tuple(row) for row in matrix.tolist()}) == len(matrix)
    assert (matrix[0] == -1).all()
    np.testing.assert_array_equal(matrix.T @ matrix, len(matrix) * np.eye(num_axes))
    lengths = [
        size
        for size in range(1, num_axes + 1)
        for axes in combinations(range(num_axes), size)
        if abs(matrix[:, axes].prod(axis=1).sum()) == len(matrix)
    ]
    assert min(lengths) == fraction.resolution >= resolution


@settings(deadline=None, max_examples=30)
@given(st.integers(4, 9), st.integers(3, 5))
def test_aliases_are_those_of_the_design_matrix(num_axes: int, resolution: int) -> None:
    fraction = make_fraction(num_axes, resolution)
    if fraction is None:
        return
    matrix = coded(fraction)
    effects = [e for size in (1, 2, 3) for e in combinations(range(num_axes), size)]
    columns = {effect: matrix[:, effect].prod(axis=1) for effect in effects}
    expected = {
        one: tuple(
            other for other in effects if other != one and abs(columns[one] @ columns[other]) == len(matrix)
        )
        for one in effects
        if len(one) <= 2
    }
    assert fraction.aliases() == {effect: others for effect, others in expected.items() if others}


def test_aliases_are_those_that_pydoe_finds() -> None:
    fraction = made(6, 4)
    groups, _ = pyDOE3.fracfact_aliasing(coded(fraction).astype(float))
    letters = "abcdef"
    theirs = {
        tuple(map(letters.index, effect)): tuple(
            tuple(map(letters.index, other)) for other in alike if other != effect and len(other) <= 3
        )
        for alike in (group.split(" = ") for group in groups)
        for effect in alike
        if len(effect) <= 2
    }
    assert fraction.aliases() == {effect: others for effect, others in theirs.items() if others}


@pytest.mark.parametrize(
    ("num_axes", "asked", "num_rows", "resolution"),
    [
        (3, 3, 4, 3),
        (7, 3, 8, 3),
        (15, 3, 16, 3),
        (4, 4, 8, 4),
        (5, 4, 16, 5),
        (6, 4, 16, 4),
        (8, 4, 16, 4),
        (16, 4, 32, 4),
        (5, 5, 16, 5),
        (8, 5, 64, 5),
        (11, 5, 128, 5),
    ],
)
def test_sizes_are_those_of_the_tables(num_axes: int, asked: int, num_rows: int, resolution: int) -> None:
    """Box, Hunter & Hunter (2005), table 6.22; 16 rows give resolution V to five axes, so IV takes it."""
    fraction = made(num_axes, asked)
    assert (len(fraction.rows), fraction.resolution) == (num_rows, resolution)


def test_few_axes_have_no_fraction() -> None:
    assert make_fraction(1, 3) is None
    assert make_fraction(2, 3) is None
    assert make_fraction(3, 4) is None
    assert make_fraction(4, 5) is None


def test_the_largest_fraction_is_found_quickly() -> None:
    assert len(made(MOST_AXES, 4).rows) == 64
