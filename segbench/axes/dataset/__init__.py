"""Data sets: names of images, their pixels and masks, and perhaps a split of their own."""

from segbench.axes.dataset._source import Source
from segbench.registry import marker
from segbench.samples import IGNORED, PARTS, Sample

variant = marker("dataset")

__all__ = ["IGNORED", "PARTS", "Sample", "Source", "variant"]
