"""A random split by fractions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from annotated_types import Gt, Lt

from segbench.axes.split import variant
from segbench.axes.split._units import shuffled_units, strata_of, take_from_strata
from segbench.errors import ExperimentError, message
from segbench.samples import Sample


@variant(absent={"stratify": None})
def fraction(
    samples: Sequence[Sample],
    own_split: Mapping[str, Sequence[int]] | None,
    *,
    val: Annotated[float, Gt(0), Lt(1)] = 0.1,
    test: Annotated[float, Gt(0), Lt(1)] = 0.2,
    seed: int = 0,
    stratify: str | None = None,
) -> list[dict[str, tuple[int, ...]]]:
    """Draw validation and test images once; the rest trains. Groups stay whole.

    Args:
        samples: All samples.
        own_split: Not used.
        val: Part of all images that validates.
        test: Part of all images that tests.
        seed: Draws the split; it is not the seed of a trial.
        stratify: Attribute of the images (`species`) whose values are divided in equal shares, as far as
            whole groups allow; None: the parts are drawn without regard to any.

    Raises:
        ExperimentError: The fractions leave nothing to train on, or an image lacks the attribute.
    """
    if val + test >= 1:
        raise ExperimentError(
            message("split.fraction", "val and test leave nothing to train on: they sum to", got=val + test)
        )
    units = shuffled_units(samples, range(len(samples)), seed)
    strata = strata_of(units, samples, stratify, "split.fraction.stratify")
    tested, strata = take_from_strata(strata, test, len(samples))
    validated, strata = take_from_strata(strata, val, len(samples))
    trained = [number for units in strata.values() for unit in units for number in unit]
    return [{"train": tuple(sorted(trained)), "val": tuple(sorted(validated)), "test": tuple(sorted(tested))}]
