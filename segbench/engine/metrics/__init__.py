"""Every segmentation metric, defined once, in the docstring of its function. No torch.

`dice`, for one, is a function here, and the columns `val_dice` and `test_dice` of a record. Metrics per image
are computed in float64 and averaged over images, so the batch size changes none of them.

`@Metric(...)` declares a metric where it is defined, and `segbench.quantities` reads the declarations from
the source: a new file with one declared function is a new metric. Its parameters say what it is computed
from: `counts` (and `sums`) hold one entry per image, `distances` (and `tolerance_px`) are those of one image.
"""

from segbench.engine.metrics.catalogue import METRICS, of_counts, of_surfaces, of_whole_set
from segbench.engine.metrics.counts import LOGIT_THRESHOLD, Counts
from segbench.engine.metrics.soft import SoftSums

__all__ = ["LOGIT_THRESHOLD", "METRICS", "Counts", "SoftSums", "of_counts", "of_surfaces", "of_whole_set"]
