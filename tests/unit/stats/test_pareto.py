"""Pareto fronts, against the definition."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from segbench.stats.pareto import pareto_front, spread_out, unbeaten_in

POINTS = st.lists(st.tuples(*[st.integers(0, 6)] * 3), max_size=25)


@given(POINTS)
def test_the_front_is_what_no_point_dominates(points: list[tuple[int, int, int]]) -> None:
    directions = ["maximize", "minimize", "maximize"]
    costs = [(-a, b, -c) for a, b, c in points]

    def dominates(p: tuple[int, ...], q: tuple[int, ...]) -> bool:
        return all(x <= y for x, y in zip(p, q, strict=True)) and p != q

    front = pareto_front(points, directions)
    assert set(front) == {k for k, q in enumerate(costs) if not any(dominates(p, q) for p in costs)}
    assert [costs[k] for k in front] == sorted(costs[k] for k in front)


def test_equal_points_stand_together_and_one_goal_has_one_best() -> None:
    assert pareto_front([(1, 2), (1, 2), (0, 3)], ["maximize", "minimize"]) == [0, 1]
    assert pareto_front([(3,), (5,), (4,)], ["maximize"]) == [1]
    assert pareto_front([], ["maximize"]) == []


def test_points_are_spread_over_a_front() -> None:
    front = [9, 4, 7, 1, 3]
    assert spread_out(front, 3) == [9, 7, 3]
    assert spread_out(front, 2) == [9, 3]
    assert spread_out(front, 1) == [9]
    assert spread_out(front, 0) == []
    assert spread_out(front, 8) == front


def test_each_cost_has_a_front_of_its_own() -> None:
    frame = pd.DataFrame(
        {
            "mean": [0.9, 0.8, 0.8, 0.7, np.nan],
            "size": [4.0, 2.0, 3.0, 1.0, 0.5],
            "time": [1.0, 5, 5, np.nan, 9],
        }
    )
    assert unbeaten_in(frame, "mean", ("size", "time"), "maximize") == ["size time", "size", "", "size", ""]
    assert unbeaten_in(frame, "mean", ("size", "time"), "minimize") == ["time", "time", "time", "size", ""]
    assert unbeaten_in(frame.iloc[:0], "mean", ("size",), "maximize") == []
