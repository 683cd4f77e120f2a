"""The data set's own statistics."""

from __future__ import annotations

from segbench.axes.input import Scaling, TrainStats, variant


@variant
def dataset(train_stats: TrainStats, max_value: float) -> Scaling:
    """Scale each channel to mean 0 and standard deviation 1 over the pixels of the training images alone.

    A channel without any variation is only centred.

    Args:
        train_stats: Measures the training images as they are cached (resized, not augmented).
        max_value: Not used.
    """
    means, stds = train_stats()
    return Scaling(mean=means, std=tuple(std if std > 0 else 1.0 for std in stds))
