"""Several hypotheses at once."""

from __future__ import annotations

import numpy as np


def holm(p: np.ndarray) -> np.ndarray:
    """Return Holm's adjusted p-values along the last axis: reject where they are below alpha.

    The family-wise error stays at alpha whatever the dependence. A NaN (a hypothesis that could not be
    tested) keeps its place in the family, as if it were 1, and stays NaN: failing to measure must not help
    the others.

    Reference: Holm (1979), Scandinavian Journal of Statistics 6:65.
    """
    p = np.asarray(p, float)
    filled = np.where(np.isnan(p), 1.0, p)
    order = np.argsort(filled, axis=-1, kind="stable")
    size = p.shape[-1]
    steps = np.take_along_axis(filled, order, axis=-1) * np.arange(size, 0, -1)
    adjusted = np.minimum(np.maximum.accumulate(steps, axis=-1), 1.0) if size else steps
    out = np.empty_like(p)
    np.put_along_axis(out, order, adjusted, axis=-1)
    return np.where(np.isnan(p), np.nan, out)
