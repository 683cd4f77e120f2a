"""Several goals at once: which points no other point beats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import pandas as pd

_Point = TypeVar("_Point")


def pareto_front(values: Sequence[Sequence[float]], directions: Sequence[str]) -> list[int]:
    """Return the points that no other point dominates, best in the first goal first.

    A point dominates another that it equals or beats in every goal and beats in one; equal points stay
    together (Deb et al., 2002, IEEE Transactions on Evolutionary Computation 6, 182-197).

    Args:
        values: (points, goals), finite.
        directions: `maximize` or `minimize`, one a goal.

    Returns:
        Rows of `values`; of equal points the first comes first.
    """
    if not len(values):
        return []
    signs = np.array([-1.0 if direction == "maximize" else 1.0 for direction in directions])
    costs = np.asarray(values, float) * signs
    # Sorted by every goal in turn, a point can only be dominated by one before it.
    order = np.lexsort((np.arange(len(costs)), *costs.T[::-1]))
    front: list[int] = []
    for row in order:
        others = costs[front]
        is_dominated = (others <= costs[row]).all(axis=1) & (others < costs[row]).any(axis=1)
        if not is_dominated.any():
            front.append(int(row))
    return front


def unbeaten_in(frame: pd.DataFrame, quality: str, costs: Sequence[str], direction: str) -> list[str]:
    """Say of each row in which costs it is on the Pareto front of quality and cost.

    Args:
        frame: One row per cell, with the columns named; a row without one of the two values is on no front.
        quality: Column of the outcome.
        costs: Columns of which less is better.
        direction: `maximize` or `minimize`, of the quality.

    Returns:
        Names of costs, joined by spaces, a text a row.
    """
    found: list[list[str]] = [[] for _ in range(len(frame))]
    for cost in costs:
        values = frame[[quality, cost]].to_numpy(float)
        known = np.flatnonzero(np.isfinite(values).all(axis=1))
        for row in pareto_front(values[known].tolist(), (direction, "minimize")):
            found[known[row]].append(cost)
    return [" ".join(names) for names in found]


def spread_out(front: Sequence[_Point], count: int) -> list[_Point]:
    """Return so many points of a front, both ends and evenly between them; of one, the first."""
    if count >= len(front):
        return list(front)
    if count <= 1:
        return list(front[:count])
    return [front[round(k * (len(front) - 1) / (count - 1))] for k in range(count)]
