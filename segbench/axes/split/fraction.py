"""A random split by fractions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from annotated_types import Gt, Lt

from segbench.axes.split import variant
from segbench.axes.split._units import shuffled_units, take_fraction
from segbench.errors import ExperimentError, message
from segbench.samples import Sample


@variant
def fraction(
    samples: Sequence[Sample],
    own_split: Mapping[str, Sequence[int]] | None,
    *,
    val: Annotated[float, Gt(0), Lt(1)] = 0.1,
    test: Annotated[float, Gt(0), Lt(1)] = 0.2,
    seed: int = 0,
) -> list[dict[str, tuple[int, ...]]]:
    """Draw validation and test images once; the rest trains. Groups stay whole; nothing is stratified.

    Args:
        samples: All samples.
        own_split: Not used.
        val: Part of all images that validates.
        test: Part of all images that tests.
        seed: Draws the split; it is not the seed of a trial.

    Raises:
        ExperimentError: The fractions leave nothing to train on.
    """
    if val + test >= 1:
        raise ExperimentError(
            message("split.fraction", "val and test leave nothing to train on: they sum to", got=val + test)
        )
    units = shuffled_units(samples, range(len(samples)), seed)
    tested, units = take_fraction(units, max(1, round(test * len(samples))))
    validated, units = take_fraction(units, max(1, round(val * len(samples))))
    trained = [number for unit in units for number in unit]
    return [{"train": tuple(sorted(trained)), "val": tuple(sorted(validated)), "test": tuple(sorted(tested))}]
