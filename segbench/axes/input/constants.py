"""Stated constants."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le, MinLen

from segbench.axes.input import Scaling, TrainStats, variant
from segbench.errors import ExperimentError, message


@variant
def constants(
    train_stats: TrainStats,
    max_value: float,
    *,
    mean: Annotated[list[Annotated[float, Ge(0), Le(1)]], MinLen(1)],
    std: Annotated[list[Annotated[float, Gt(0)]], MinLen(1)],
) -> Scaling:
    """Scale with means and standard deviations that the file states, of pixels in 0..1.

    `{constants: {mean: [0.481, 0.449, 0.396], std: [0.269, 0.265, 0.273]}}` is what reference study R1 used.
    Constants measured on all images, test included, let the test set into training: `dataset` measures the
    training images alone.

    Args:
        train_stats: Not used.
        max_value: The largest value that a pixel can have.
        mean: One number a channel, or one for all.
        std: As many as `mean`.

    Raises:
        ExperimentError: There are not as many of the one as of the other.
    """
    if len(mean) != len(std):
        rule = "mean and std must have one length"
        raise ExperimentError(message("input.constants", rule, got=f"{len(mean)} and {len(std)}"))
    return Scaling(mean=tuple(m * max_value for m in mean), std=tuple(s * max_value for s in std))
