"""At which size a network sees an image."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Size(StrEnum):
    """How an image of any size becomes what a network takes; the prediction has the image's own size."""

    squeeze = "squeeze"
    """Both sides to the training size, as in training: the aspect ratio is lost."""
    fit = "fit"
    """The longer side to the training size, the rest mirrored: the aspect ratio is kept."""
    whole = "whole"
    """The image's own pixels at once, mirrored up to a size that the network takes."""
    tile = "tile"
    """The image's own pixels in overlapping tiles of the training size, blended."""


OVERLAP: Final = 0.25
"""Share of a tile's side that it has in common with the next one, at least."""
MOST_OVERLAP: Final = 0.75
