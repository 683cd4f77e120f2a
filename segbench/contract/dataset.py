"""The contract of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segbench.contract import Broken, Subject
from segbench.samples import IGNORED

if TYPE_CHECKING:
    from segbench.axes.dataset import Source

_MOST_DECODED = 8


def names_its_samples(subject: Subject) -> None:
    """samples() gives at least three samples of unique names, the same at each call."""
    source = _source(subject)
    samples, again = source.samples(), source.samples()
    names = [sample.name for sample in samples]
    if len(names) < 3:
        raise Broken(f"a training, a validation and a test image are needed, got {len(names)} samples")
    if len(set(names)) != len(names):
        raise Broken("two samples share a name")
    if tuple(samples) != tuple(again):
        raise Broken("a second call gives other samples")


def decodes_bytes(subject: Subject) -> None:
    """decode() gives an image (H,W,channels) uint8 and a mask (H,W) uint8 in {0, 1, 255} of one size."""
    source = _source(subject)
    for sample in source.samples()[:_MOST_DECODED]:
        image, mask = source.decode(sample)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != source.channels:
            raise Broken(f"{sample.name}: the image is {image.shape} {image.dtype}")
        if mask.dtype != np.uint8 or mask.shape != image.shape[:2]:
            raise Broken(f"{sample.name}: the mask is {mask.shape} {mask.dtype}, the image {image.shape}")
        if not {*np.unique(mask).tolist()} <= {0, 1, IGNORED}:
            raise Broken(f"{sample.name}: the mask holds {np.unique(mask).tolist()}")


def is_repeatable(subject: Subject) -> None:
    """A fresh source decodes the same pixels and has the same fingerprint."""
    source, fresh = _source(subject), _source(subject)
    sample = source.samples()[-1]
    pairs = zip(source.decode(sample), fresh.decode(sample), strict=True)
    if any(not np.array_equal(one, other) for one, other in pairs):
        raise Broken(f"{sample.name}: decoded twice, it differs")
    if source.fingerprint() != fresh.fingerprint():
        raise Broken("the fingerprint changes from call to call")


def splits_into_three(subject: Subject) -> None:
    """own_split() is None, or train, val and test without a common image."""
    source = _source(subject)
    split = source.own_split()
    if split is None:
        return
    if set(split) != {"train", "val", "test"}:
        raise Broken(f"the parts are {sorted(split)}")
    numbers = [number for part in split.values() for number in part]
    if len(set(numbers)) != len(numbers):
        raise Broken("an image is in two parts")
    if not all(len(part) for part in split.values()):
        raise Broken("a part is empty")
    if not set(numbers) <= set(range(len(source.samples()))):
        raise Broken("a number is that of no sample")


def _source(subject: Subject) -> Source:
    from segbench.config.project import Project

    source: Source = subject.build(Project.around(Path.cwd()))
    return source
