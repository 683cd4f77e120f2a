"""Cross-validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from annotated_types import Ge, Gt, Lt

from segbench.axes.split import variant
from segbench.axes.split._units import shuffled_units, strata_of, take_from_strata
from segbench.errors import DataError, message
from segbench.samples import Sample


@variant(absent={"stratify": None})
def folds(
    samples: Sequence[Sample],
    own_split: Mapping[str, Sequence[int]] | None,
    *,
    folds: Annotated[int, Ge(2)] = 5,
    val: Annotated[float, Gt(0), Lt(1)] = 0.1,
    seed: int = 0,
    stratify: str | None = None,
) -> list[dict[str, tuple[int, ...]]]:
    """Hold out each of several parts once as the test set. Groups stay whole.

    Args:
        samples: All samples.
        own_split: Not used.
        folds: How many parts; a trial is run for each.
        val: Part of the images outside the held-out fold that validates.
        seed: Draws the parts; it is not the seed of a trial.
        stratify: Attribute of the images (`species`) whose values are divided in equal shares, as far as
            whole groups allow; None: the parts are drawn without regard to any.

    Raises:
        DataError: There are fewer groups (or images) than folds, in all or with one value of the attribute.
        ExperimentError: An image lacks the attribute.
    """
    units = shuffled_units(samples, range(len(samples)), seed)
    if len(units) < folds:
        raise DataError(
            message(
                "split.folds.folds", f"there are {len(units)} groups or single images to divide", got=folds
            )
        )
    held_out: list[list[int]] = [[] for _ in range(folds)]
    by_value = strata_of(units, samples, stratify, "split.folds.stratify")
    rarest = min(by_value, key=lambda value: len(by_value[value]))
    if len(by_value[rarest]) < folds:
        rule = f"{stratify} {rarest} has {len(by_value[rarest])} groups or single images to divide"
        see = f"Take fewer folds, or stratify by something other than {stratify}"
        raise DataError(message("split.folds.folds", rule, got=folds, see=see))
    for stratum in by_value.values():
        dealt = [0] * folds
        for unit in sorted(stratum, key=len, reverse=True):  # the largest first keeps the folds' sizes close
            k = min(range(folds), key=lambda k: (dealt[k], len(held_out[k])))
            held_out[k].extend(unit)
            dealt[k] += len(unit)
    splits = []
    for test in held_out:
        tested = set(test)
        rest = [number for number in range(len(samples)) if number not in tested]
        remaining = shuffled_units(samples, rest, seed)
        strata = strata_of(remaining, samples, stratify, "split.folds.stratify")
        validated, strata = take_from_strata(strata, val, len(rest))
        trained = [number for units in strata.values() for unit in units for number in unit]
        splits.append(
            {"train": tuple(sorted(trained)), "val": tuple(sorted(validated)), "test": tuple(sorted(test))}
        )
    return splits
