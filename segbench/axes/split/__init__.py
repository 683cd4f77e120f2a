"""Which images train, validate and test.

Signature: `variant(samples, own_split, *, knobs) -> list of splits`, one per fold.

A split maps `train`, `val` and `test` to sample numbers. `own_split` is what the data set brings along, or
None.
"""

from segbench.registry import marker

variant = marker("split")
