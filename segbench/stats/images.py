"""Values per image as a dense table, and the variance that other images would add to a difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from segbench.stats.pairs import Pairs


@dataclass(frozen=True)
class ImageTable:
    """One metric on the test images: one row per trial, one column per image."""

    rows: Mapping[str, int]
    """Trial -> row."""
    values: np.ndarray
    """(trials, images) float64; NaN where a trial did not see an image."""
    groups: np.ndarray | None
    """(images,) number of the group (patient) of each image; None: every image is a unit."""

    @property
    def num_images(self) -> int:
        return int(self.values.shape[1])

    @property
    def num_units(self) -> int:
        return self.num_images if self.groups is None else int(self.groups.max()) + 1

    @classmethod
    def of(cls, images: pd.DataFrame, metric: str) -> ImageTable | None:
        """Take one metric of the test split from the long frame, averaging classes; None: it is not there."""
        rows = images[(images["metric"] == metric) & (images["split"] == "test")]
        if rows.empty:
            return None
        trial_codes, trials = pd.factorize(rows["trial"])
        image_codes, names = pd.factorize(rows["image"])
        shape = (len(trials), len(names))
        flat = trial_codes * shape[1] + image_codes
        count = np.bincount(flat, minlength=shape[0] * shape[1])
        total = np.bincount(flat, weights=rows["value"].to_numpy(float), minlength=count.size)
        with np.errstate(invalid="ignore", divide="ignore"):
            values = (total / np.where(count > 0, count, np.nan)).reshape(shape)
        return cls({t: i for i, t in enumerate(trials)}, values, _group_codes(rows, image_codes, len(names)))

    def differences(self, pairs: Pairs) -> np.ndarray | None:
        """Return (seeds, images) differences, each the mean over the pairs of its seed.

        NaN where a seed lacks an image; None where there is nothing to compare.
        """
        frame = pairs.frame
        if frame.empty or not all(t in self.rows for t in pairs.trials):
            return None
        level, baseline = (
            self.values[[self.rows[t] for t in frame[f"trial_{arm}"]]] for arm in ("level", "baseline")
        )
        per_pair = level - baseline
        codes, seeds = pd.factorize(frame["seed"], sort=True)
        per_seed = np.empty((len(seeds), per_pair.shape[1]))
        for seed in range(len(seeds)):
            mine = per_pair[codes == seed]
            count = np.isfinite(mine).sum(axis=0)
            per_seed[seed] = np.nansum(mine, axis=0) / np.where(count > 0, count, np.nan)
        return per_seed

    def layout(self, pairs: Pairs) -> tuple[np.ndarray, np.ndarray | None] | None:
        """Return the (seeds, images) differences on the images that all seeds saw, and those images' groups.

        None where the images are not recorded for these trials.
        """
        differences = self.differences(pairs)
        if differences is None:
            return None
        is_seen = np.isfinite(differences).all(axis=0)
        return differences[:, is_seen], None if self.groups is None else self.groups[is_seen]


def unit_values(layout: np.ndarray, groups: np.ndarray | None) -> tuple[np.ndarray, float]:
    """Turn (..., S, images) differences into (..., S, units): images, or means of the groups that are named.

    Returns:
        The units, and the factor by which unequal sizes raise the variance of the mean over images above that
        of the mean over units: G·Σw², w the share of the images that a group has; 1 for equal groups.

    The estimand stays the mean over images. A group's true mean is taken to be independent of its number of
    images, so that every group tells equally of how groups differ, and one group with half of the images
    counts with a quarter of that variance alone.

    Reference: Kish (1965), Survey Sampling, section 11.7 (the factor, 1 + cv² of the weights).
    """
    if groups is None:
        return layout, 1.0
    names, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    member = np.zeros((layout.shape[-1], len(names)))
    member[np.arange(layout.shape[-1]), codes] = 1.0 / sizes[codes]
    units: np.ndarray = layout @ member
    return units, float(len(names) * (sizes**2).sum() / sizes.sum() ** 2)


def image_variance(units: np.ndarray) -> np.ndarray:
    """Return max(MS_image − MS_residual, 0) / (S·I) of (..., S, I) differences; NaN for one seed or image.

    The layout has two ways, seeds and images, without replication: MS_residual holds the noise and the
    interaction, and what MS_image has beyond it is how images differ for good. It divides by the number of
    images alone, so no number of seeds removes it.

    Reference: Searle, Casella & McCulloch (1992), Variance Components, chapter 4; here truncated at 0.
    """
    num_seeds, num_images = units.shape[-2:]
    if num_seeds < 2 or num_images < 2:
        return np.full(units.shape[:-2], np.nan)
    by_seed = units.mean(axis=-1, keepdims=True)
    by_image = units.mean(axis=-2, keepdims=True)
    grand = by_seed.mean(axis=-2, keepdims=True)
    ms_image = num_seeds * ((by_image - grand) ** 2).sum(axis=(-1, -2)) / (num_images - 1)
    residual = units - by_seed - by_image + grand
    ms_residual = (residual**2).sum(axis=(-1, -2)) / ((num_seeds - 1) * (num_images - 1))
    variance: np.ndarray = np.maximum(ms_image - ms_residual, 0) / (num_seeds * num_images)
    return variance


def _group_codes(rows: pd.DataFrame, image_codes: np.ndarray, num_images: int) -> np.ndarray | None:
    """Return the group of each image where every image has one and some group has several images."""
    names = rows["group"]
    if names.isna().any() or (names.astype(str) == "").any():
        return None
    codes, found = pd.factorize(names)
    groups = np.empty(num_images, int)
    groups[image_codes] = codes
    return groups if len(found) < num_images else None
