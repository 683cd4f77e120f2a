"""Groups as the units of a split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from segbench.errors import ExperimentError, message
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


def strata_of(
    units: Sequence[list[int]], samples: Sequence[Sample], attribute: str | None, where: str
) -> dict[str, list[list[int]]]:
    """Part units by the value of an attribute; a group of several values belongs to its most common one.

    Args:
        units: What stays together.
        samples: All samples.
        attribute: A name in `Sample.attributes`; None: all units are of one stratum.
        where: The knob that messages name.

    Raises:
        ExperimentError: Some sample has no such attribute.
    """
    if attribute is None:
        return {"": list(units)}
    lacking = [sample for sample in samples if attribute not in sample.attributes]
    if lacking:
        known = sorted({name for sample in samples for name in sample.attributes})
        rule = f"{len(lacking)} of {len(samples)} images have no attribute of this name"
        raise ExperimentError(message(where, rule, got=attribute, known=known))
    strata: dict[str, list[list[int]]] = {}
    for unit in units:
        counts = Counter(samples[number].attributes[attribute] for number in unit)
        value = min(counts, key=lambda each: (-counts[each], each))
        strata.setdefault(value, []).append(unit)
    return dict(sorted(strata.items()))


def take_from_strata(
    strata: Mapping[str, Sequence[list[int]]], fraction: float, num_images: int
) -> tuple[list[int], dict[str, list[list[int]]]]:
    """Take a fraction of every stratum in whole units; small strata share by largest remainder.

    Args:
        strata: Units by stratum.
        fraction: Share of all images that is taken, of those that `num_images` counts.
        num_images: Images that the fraction is of; more than are left where some were taken before.

    Returns:
        The sample numbers taken, and the units left by stratum.
    """
    sizes = {name: sum(map(len, units)) for name, units in strata.items()}
    total = sum(sizes.values())
    if total == 0:
        return [], {}  # an empty part is refused where the split is made
    wanted = max(1, round(fraction * num_images))
    exact = {name: wanted * size / total for name, size in sizes.items()}
    targets = {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (targets[name] - exact[name], name))
    for name in by_remainder[: wanted - sum(targets.values())]:
        targets[name] += 1
    taken: list[int] = []
    left: dict[str, list[list[int]]] = {}
    for name, units in strata.items():
        mine, left[name] = take_fraction(units, targets[name]) if targets[name] else ([], list(units))
        taken += mine
    return taken, left
