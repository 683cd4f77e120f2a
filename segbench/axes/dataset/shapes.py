"""Generated scenes: no download."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated

import numpy as np
from annotated_types import Ge

from segbench.axes.dataset import PARTS, Sample, Source, variant
from segbench.axes.dataset._scenes import GENERATOR_VERSION, draw_scene
from segbench.axes.dataset._source import digest
from segbench.config.project import Project
from segbench.streams import stream_seed


@variant
def shapes(
    project: Project,
    *,
    size_px: Annotated[int, Ge(16)] = 64,
    num_train: Annotated[int, Ge(1)] = 240,
    num_val: Annotated[int, Ge(1)] = 60,
    num_test: Annotated[int, Ge(1)] = 120,
    seed: int = 0,
) -> Source:
    """Generate scenes of textured, animal-like creatures on clutter, with decoys, uneven light and noise.

    Its own split (`course`) is the one of the counts. Scenes of one part do not change when another part
    grows.

    Args:
        project: Not used.
        size_px: Pixels a side; scenes are drawn at this size.
        num_train: Training images.
        num_val: Validation images.
        num_test: Test images.
        seed: Draws the scenes; it is not the seed of a trial.
    """
    counts = {"train": num_train, "val": num_val, "test": num_test}
    return _Shapes(counts, size_px=size_px, seed=seed)


class _Shapes(Source):
    def __init__(self, counts: Mapping[str, int], *, size_px: int, seed: int) -> None:
        self.size_px = size_px
        self._counts = counts
        self._seed = seed

    @cached_property
    def _samples(self) -> tuple[Sample, ...]:
        return tuple(Sample(f"{part}_{number:04d}") for part in PARTS for number in range(self._counts[part]))

    def samples(self) -> tuple[Sample, ...]:
        return self._samples

    def own_split(self) -> Mapping[str, Sequence[int]]:
        split, start = {}, 0
        for part in PARTS:
            split[part] = range(start, start + self._counts[part])
            start += self._counts[part]
        return split

    def decode(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        part, _, number = sample.name.rpartition("_")
        scene = draw_scene(stream_seed(self._seed, "shapes", part, int(number)), self.size_px)
        return scene.image, scene.mask

    def fingerprint(self) -> str:
        return digest(
            ["shapes", GENERATOR_VERSION, self._seed, self.size_px, [self._counts[p] for p in PARTS]]
        )
