"""How pixels are scaled before the network sees them.

Signature: `variant(train_stats, max_value, *, knobs) -> Scaling`.

`train_stats()` returns the means and standard deviations per channel of the training images; pixels lie in
0..`max_value`. The network sees `(pixel - mean) / std`.
"""

from segbench.axes.input._scaling import Scaling, TrainStats
from segbench.registry import marker

variant = marker("input")

__all__ = ["Scaling", "TrainStats", "variant"]
