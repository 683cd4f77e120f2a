"""The metric of a whole set of images."""

from __future__ import annotations

import numpy as np

from segbench.engine.metrics.counts import Counts, dice
from segbench.quantities import Metric


@Metric(words="pooled Dice", is_per_image=False)
def pooled_dice(counts: Counts) -> float:
    """Dice of all images taken as one: 2 TP / (2 TP + FP + FN) of the counts summed over the whole set.

    Large objects weigh more than small ones, and an empty mask adds its false positives alone. There is no
    value of one image, hence no interval for new images. 1 where no image has foreground and none was
    predicted.
    """
    sums = (np.atleast_1d(each.sum()) for each in (counts.tp, counts.fp, counts.fn, counts.tn))
    return float(dice(Counts(*sums))[0])
