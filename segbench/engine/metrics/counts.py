"""Metrics from the four integer counts of one image.

A pixel is predicted foreground where its probability is above 0.5, which is where its logit is above 0.
Ignored pixels are counted nowhere. Where an image holds nothing to find and nothing was predicted, the metric
is 1: the prediction is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from segbench.quantities import Metric

LOGIT_THRESHOLD: Final = 0.0
"""Logit above which a pixel is foreground: probability 0.5."""


@dataclass(frozen=True)
class Counts:
    """Pixels of each image by prediction and truth; each array is (I,) int64."""

    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray
    tn: np.ndarray


@Metric(words="Dice")
def dice(counts: Counts) -> np.ndarray:
    """Twice the overlap over the sum of both areas: 2 TP / (2 TP + FP + FN), per image.

    An empty prediction on an empty mask is 1; any other prediction on an empty mask is 0.

    Reference: L. R. Dice, "Measures of the amount of ecologic association between species", Ecology 26
    (1945).
    """
    return ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn)


@Metric(words="IoU")
def iou(counts: Counts) -> np.ndarray:
    """Overlap over union: TP / (TP + FP + FN), per image; an empty prediction on an empty mask is 1.

    Reference: P. Jaccard, "The distribution of the flora in the alpine zone", New Phytologist 11 (1912).
    """
    return ratio(counts.tp, counts.tp + counts.fp + counts.fn)


@Metric(words="precision")
def precision(counts: Counts) -> np.ndarray:
    """Share of the predicted pixels that are right: TP / (TP + FP), per image.

    Where nothing was predicted it is 1 if the mask is empty too, else 0.
    """
    return np.where(
        counts.tp + counts.fp > 0,
        ratio(counts.tp, counts.tp + counts.fp),
        np.where(counts.fn == 0, 1.0, 0.0),
    )


@Metric(words="recall")
def recall(counts: Counts) -> np.ndarray:
    """Share of the mask's pixels that were found: TP / (TP + FN), per image.

    Where the mask is empty it is 1 if nothing was predicted, else 0.
    """
    return np.where(
        counts.tp + counts.fn > 0,
        ratio(counts.tp, counts.tp + counts.fn),
        np.where(counts.fp == 0, 1.0, 0.0),
    )


@Metric(words="pixel accuracy")
def accuracy(counts: Counts) -> np.ndarray:
    """Share of all pixels that are right, background too: (TP + TN) / (TP + FP + FN + TN), per image.

    It is high on small objects whatever is predicted; it is no overlap and must not be read as dice.
    """
    return ratio(counts.tp + counts.tn, counts.tp + counts.fp + counts.fn + counts.tn)


@Metric(words="specificity")
def specificity(counts: Counts) -> np.ndarray:
    """Share of the background that was left alone: TN / (TN + FP), per image.

    Where the mask has no background it is 1 if all of it was found, else 0: as recall with the two classes
    exchanged.
    """
    return np.where(
        counts.tn + counts.fp > 0,
        ratio(counts.tn, counts.tn + counts.fp),
        np.where(counts.fn == 0, 1.0, 0.0),
    )


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide; 1 where there is nothing to divide by."""
    return np.where(denominator > 0, numerator / np.maximum(denominator, 1), 1.0)
