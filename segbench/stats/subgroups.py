"""Sub-groups of the test images: by an attribute's values, or by thirds of a measured fact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from segbench.samples import FACTS, THIRDS


@dataclass(frozen=True)
class Subgroups:
    """Which image belongs where."""

    labels: Mapping[str, pd.Series]
    """Name of a division -> label of every image, indexed by image; images without one are left out."""
    bounds: Mapping[str, tuple[float, float]]
    """Name of a fact -> the values that part its thirds."""

    @classmethod
    def of(cls, samples: pd.DataFrame | None, names: Sequence[str]) -> Subgroups:
        """Divide the images.

        A fact is cut at its first and second tertile over these images: `low` up to the first (inclusive),
        `high` above the second. An attribute's values are taken as they are; an empty one is none.

        Args:
            samples: One row per image: `image`, attributes as text, facts as floats; None: nothing is known.
            names: Facts and attributes; those that are no column are left out.
        """
        labels: dict[str, pd.Series] = {}
        bounds: dict[str, tuple[float, float]] = {}
        for name in names:
            if samples is None or name not in samples:
                continue
            values = samples.set_index("image")[name]
            if name in FACTS:
                values = values.dropna()
                low, high = np.quantile(values, (1 / 3, 2 / 3)) if len(values) else (np.nan, np.nan)
                bounds[name] = float(low), float(high)
                codes = (values > low).astype(int) + (values > high).astype(int)
                labels[name] = codes.map(dict(enumerate(THIRDS)))
            else:
                labels[name] = values[values != ""]
        return cls(labels, bounds)

    def values(self, name: str) -> list[str]:
        """Return the labels of a division that some image has: thirds in their order, values sorted."""
        found = set(self.labels[name]) if name in self.labels else set()
        return [third for third in THIRDS if third in found] if name in FACTS else sorted(found)

    def images(self, among: Sequence[tuple[str, str]]) -> frozenset[str]:
        """Return the images that have all of the (name, label) pairs."""
        chosen: frozenset[str] | None = None
        for name, label in among:
            column = self.labels.get(name)
            mine = frozenset() if column is None else frozenset(column.index[column == label])
            chosen = mine if chosen is None else chosen & mine
        return chosen or frozenset()


def restrict(
    table: pd.DataFrame, images: pd.DataFrame, chosen: frozenset[str], *, metric: str, image_metric: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the measured table and the images' frame as if only some test images existed.

    Args:
        table: One row per planned trial, with `trial` and the column `metric`.
        images: The long frame of images.
        chosen: Names of the images that stay.
        metric: The column that becomes the mean over these images; NaN where a trial has none of them.
        image_metric: Its name in the long frame.
    """
    is_chosen = (
        images["image"].isin(chosen) & (images["split"] == "test") & (images["metric"] == image_metric)
    )
    kept = images[is_chosen]
    means = kept.groupby(["trial", "image"])["value"].mean().groupby("trial").mean()
    return table.assign(**{metric: table["trial"].map(means).astype(float)}), kept
