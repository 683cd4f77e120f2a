"""From a configuration to pixels, split and scaling; without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from segbench import registry
from segbench.axes.dataset import Source
from segbench.axes.dataset._source import digest
from segbench.axes.input import Scaling
from segbench.config.project import Project
from segbench.config.trial import TrialConfig, parts
from segbench.data.cache import CachedPixels, OnProgress, find_cache, folder_title, open_cache
from segbench.data.measured import statistics
from segbench.data.parts import Split, split_samples
from segbench.errors import DataError, ExperimentError, message
from segbench.samples import IGNORED, PARTS, Sample

MAX_VALUE: Final = 255.0

_MASKS_AT_ONCE: Final = 256


@dataclass(frozen=True)
class PreparedData:
    """Everything a run reads: decoded images, the split and the scaling."""

    fingerprint: str
    samples: tuple[Sample, ...]
    images: np.ndarray
    """(I,H,W,C) uint8, memory-mapped."""
    masks: np.ndarray
    """(I,H,W) uint8 in {0, 1, 255}, memory-mapped; 255 is ignored."""
    split: Mapping[str, np.ndarray]
    """`train`, `val`, `test` -> sample numbers, int64."""
    scaling: Scaling

    @property
    def size_px(self) -> int:
        return int(self.images.shape[1])

    @property
    def channels(self) -> int:
        return int(self.images.shape[3])

    @cached_property
    def has_ignored(self) -> bool:
        """Whether some mask has pixels that do not count; looked up once, over all images."""
        starts = range(0, len(self.masks), _MASKS_AT_ONCE)
        return any(bool((self.masks[start : start + _MASKS_AT_ONCE] == IGNORED).any()) for start in starts)


def build_source(config: TrialConfig, project: Project) -> Source:
    """Return the data set of a configuration."""
    source: Source = registry.build("dataset", config.dataset.name, project, **config.dataset.knobs)
    return source


def num_folds(config: TrialConfig, project: Project) -> int:
    """Return into how many folds the configuration's split divides its data set."""
    return len(split_samples(config, build_source(config, project)))


def fingerprint(config: TrialConfig, project: Project) -> str:
    """Hash the index, the files' contents and the split of all folds: 64 hexadecimal digits.

    Reads every file once; later only those that changed.

    Raises:
        DataError: The data set is missing, or cannot be split as asked.
    """
    source = build_source(config, project)
    return _fingerprint(source, source.fingerprint(), split_samples(config, source))


def prepare(
    config: TrialConfig, project: Project, *, fold: int = 0, on_progress: OnProgress | None = None
) -> PreparedData:
    """Index, decode (once, into the cache under `data/cache/`), split and scale a data set.

    Args:
        config: The trial's configuration.
        project: Where the data and its caches are.
        fold: Which fold of the split; 0 where there is one.
        on_progress: Told (images done, images in all) while a cache is built.

    Raises:
        DataError: The data set is missing, an image cannot be used, or the disk is full.
    """
    source = build_source(config, project)
    contents = source.fingerprint()
    folds = split_samples(config, source)
    if not 0 <= fold < len(folds):
        raise ExperimentError(message("fold", f"the split has {len(folds)} folds, counted from 0", got=fold))
    split = {part: np.asarray(folds[fold][part], dtype=np.int64) for part in PARTS}
    cached = _open(config, project, source, contents, on_progress)
    return PreparedData(
        fingerprint=_fingerprint(source, contents, folds),
        samples=source.samples(),
        images=cached.images,
        masks=cached.masks,
        split=split,
        scaling=scaling_of(config, cached, split["train"]),
    )


def decode(config: TrialConfig, project: Project, *, on_progress: OnProgress | None = None) -> CachedPixels:
    """Open the decoded images of a data set, decoding them first where that was not done yet.

    Raises:
        DataError: The data set is missing, an image cannot be used, or the disk is full.
    """
    source = build_source(config, project)
    return _open(config, project, source, source.fingerprint(), on_progress)


def find_pixels(config: TrialConfig, project: Project) -> CachedPixels | None:
    """Return the decoded images of a data set where its cache is there; decodes nothing.

    Raises:
        DataError: The data set is missing.
    """
    contents = build_source(config, project).fingerprint()
    title = folder_title(config.dataset.name)
    return find_cache(_pixel_key(config, contents), project.data / "cache", title=title)


def scaling_of(config: TrialConfig, cached: CachedPixels, train: np.ndarray) -> Scaling:
    """Return what a configuration's `input` makes of decoded images, given which of them train.

    Raises:
        DataError: It scales another number of channels than the images have.
    """
    scaling: Scaling = registry.build(
        "input", config.input.name, lambda: statistics(cached, train), MAX_VALUE, **config.input.knobs
    )
    channels = cached.images.shape[3]
    for values in (scaling.mean, scaling.std):
        if len(values) not in (1, channels):
            raise DataError(
                message(
                    "input",
                    f"{config.input.name} scales {len(values)} channels, but the images have {channels}",
                    see="Use `input: dataset` or `input: unit`",
                )
            )
    return scaling


def _open(
    config: TrialConfig, project: Project, source: Source, contents: str, on_progress: OnProgress | None
) -> CachedPixels:
    key, title = _pixel_key(config, contents), folder_title(config.dataset.name)
    return open_cache(source, key, project.data / "cache", title=title, on_progress=on_progress)


def _pixel_key(config: TrialConfig, contents: str) -> str:
    chosen = parts(config.to_json(), "pixels")
    ((name, knobs),) = chosen.pop("dataset").items()
    return digest([name, knobs, contents, *([chosen] if chosen else [])])


def _fingerprint(source: Source, contents: str, folds: Sequence[Split]) -> str:
    names = [sample.name for sample in source.samples()]
    groups = [sample.group for sample in source.samples()]
    return digest([contents, names, groups, [{part: list(fold[part]) for part in PARTS} for fold in folds]])
