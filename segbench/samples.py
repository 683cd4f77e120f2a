"""Names of images, values of masks, and the parts of a split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

PARTS: Final = ("train", "val", "test")

IGNORED: Final = 255
"""Value in a mask, beside 0 and 1, of pixels that count neither in a loss nor in a metric."""

FACTS: Final[Mapping[str, str]] = {
    "foreground_share": "Share of the image that is foreground.",
    "tone_likeness": "Overlap of the brightness histograms of foreground and background: 0 none, 1 alike.",
    "irregularity": "1 - area / area of the convex hull of the foreground: 0 for a convex outline.",
}
"""Measured of every image and its mask, each in 0..1: `segbench.data.facts` states how."""

THIRDS: Final = ("low", "middle", "high")
"""Sub-groups of a fact: thirds of the test images."""


@dataclass(frozen=True)
class Sample:
    """Names an image."""

    name: str
    """Unique in the data set; what `images.csv.gz` calls the image."""
    group: str | None = None
    """What never straddles a split, such as a patient; None: the image stands alone."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """What a report may break results down by, such as `species`."""
