"""ImageNet's constants."""

from __future__ import annotations

from segbench.axes.input import Scaling, TrainStats, variant

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


@variant
def imagenet(train_stats: TrainStats, max_value: float) -> Scaling:
    """Scale with ImageNet's means (.485, .456, .406) and standard deviations (.229, .224, .225) of R, G, B.

    Args:
        train_stats: Not used.
        max_value: The largest value that a pixel can have.
    """
    return Scaling(mean=tuple(m * max_value for m in _MEAN), std=tuple(s * max_value for s in _STD))
