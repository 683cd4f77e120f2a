"""Groups as the units of a split."""

from __future__ import annotations

from collections.abc import Sequence

from segbench.samples import Sample
from segbench.streams import stream_seed


def shuffled_units(samples: Sequence[Sample], numbers: Sequence[int], seed: int) -> list[list[int]]:
    """Return what must stay together, in an order drawn from the seed: groups, and images without one.

    The order comes from hashes of the names, so it is the same with every numpy, and a new image moves no
    other.
    """
    units: dict[tuple[str, str], list[int]] = {}
    for number in numbers:
        sample = samples[number]
        key = ("image", sample.name) if sample.group is None else ("group", sample.group)
        units.setdefault(key, []).append(number)
    return [units[key] for key in sorted(units, key=lambda key: stream_seed(seed, "split", *key))]


def take_fraction(units: Sequence[Sequence[int]], target: int) -> tuple[list[int], list[list[int]]]:
    """Take whole units, in order, while that brings their size nearer to `target`; at least the smallest one.

    Returns:
        The sample numbers taken, and the units left.
    """
    taken: list[int] = []
    left: list[list[int]] = []
    for unit in units:
        if abs(len(taken) + len(unit) - target) < abs(len(taken) - target):
            taken += unit
        else:
            left.append(list(unit))
    if not taken and left:
        smallest = min(range(len(left)), key=lambda i: len(left[i]))
        taken = left.pop(smallest)
    return taken, left
