"""The data set's own split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from segbench.axes.split import variant
from segbench.errors import DataError, message
from segbench.samples import PARTS, Sample


@variant
def course(
    samples: Sequence[Sample], own_split: Mapping[str, Sequence[int]] | None
) -> list[dict[str, tuple[int, ...]]]:
    """Take the split that the data set brings, the same for every seed.

    Args:
        samples: All samples.
        own_split: Part -> sample numbers, or None.

    Raises:
        DataError: The data set has none.
    """
    if own_split is None:
        raise DataError(
            message(
                "split",
                "the data set has no split of its own",
                got="course",
                known=["fraction", "folds"],
                see="For example `split: {fraction: {val: 0.1, test: 0.2, seed: 0}}`",
            )
        )
    return [{part: tuple(own_split[part]) for part in PARTS}]
