"""Data sets: names of images, their pixels and masks, and perhaps a split of their own.

Signature: `variant(project, *, knobs) -> Source`.

A `Source` (`_source.py`) has `samples() -> tuple[Sample, ...]`, `decode(sample) -> (image, mask)`,
`fingerprint()`, `own_split()`, `size_px` and `channels`. It uses NumPy only. Relative paths in knobs start
at `project.root`; fetched data sets lie in `project.data`. Names of images, groups (a patient never
straddles a split) and attributes stand in `segbench.samples.Sample`.
"""

from segbench.axes.dataset._source import Source
from segbench.registry import marker
from segbench.samples import IGNORED, PARTS, Sample

variant = marker("dataset")

__all__ = ["IGNORED", "PARTS", "Sample", "Source", "variant"]
