"""Names of images, and the parts of a split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

PARTS: Final = ("train", "val", "test")


@dataclass(frozen=True)
class Sample:
    """Names an image."""

    name: str
    """Unique in the data set; what `images.csv.gz` calls the image."""
    group: str | None = None
    """What never straddles a split, such as a patient; None: the image stands alone."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """What a report may break results down by, such as `species`."""
