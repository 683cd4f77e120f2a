"""From a configuration to pixels, split and scaling, without torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np

from segbench import registry
from segbench.axes.dataset import Source
from segbench.axes.dataset._source import digest
from segbench.axes.input import Scaling
from segbench.config.project import Project
from segbench.config.trial import TrialConfig, parts
from segbench.data.cache import CachedPixels, OnProgress, find_cache, folder_title, open_cache, remember
from segbench.errors import DataError, ExperimentError, message
from segbench.samples import IGNORED, PARTS, Sample

Split: TypeAlias = Mapping[str, Sequence[int]]
"""Part -> sample numbers."""


def split_samples(config: TrialConfig, source: Source) -> list[Split]:
    """Divide a source's samples as the configuration says, fold by fold; at most `max_images` go into a part.

    Raises:
        DataError: A part is empty, an image is in two parts, or a group straddles two.
    """
    samples = source.samples()
    choice = config.split
    folds = registry.build("split", choice.name, samples, source.own_split(), **choice.knobs)
    for number, split in enumerate(folds):
        where = f"split.{choice.name}" + (f" (fold {number})" if len(folds) > 1 else "")
        problems = check_split(split, samples, where)
        if problems:
            raise DataError(problems)
    return [{part: _spread(fold[part], config.max_images) for part in PARTS} for fold in folds]


def check_split(split: Split, samples: Sequence[Sample], where: str) -> list[str]:
    """Return what is wrong with one fold, one message each."""
    problems = []
    part_of_image: dict[int, str] = {}
    part_of_group: dict[str, str] = {}
    for part in PARTS:
        numbers = split[part]
        if not len(numbers):
            sizes = {p: len(split[p]) for p in PARTS}
            problems.append(
                message(
                    where,
                    f"no image is left for {part}",
                    got=sizes,
                    see="Give more images or other fractions",
                )
            )
        for number in numbers:
            sample = samples[number]
            other = part_of_image.setdefault(number, part)
            if other != part:
                rule = f"an image is in both {other} and {part} (SB121)"
                problems.append(message(where, rule, got=sample.name))
            if sample.group is None:
                continue
            other = part_of_group.setdefault(sample.group, part)
            if other != part:
                problems.append(
                    message(
                        where,
                        f"a group straddles {other} and {part} (SB121)",
                        got=sample.group,
                        see="`fraction` and `folds` keep groups together",
                    )
                )
                part_of_group[sample.group] = part
    return problems[:10]


def _spread(numbers: Sequence[int], most: int | None) -> Sequence[int]:
    """Return at most `most` numbers, evenly spread: neighbours in a list are often of one kind."""
    if most is None or len(numbers) <= most:
        return numbers
    return [numbers[i * len(numbers) // most] for i in range(most)]


Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Means and standard deviations per channel, in 0..255."""


def statistics(cached: CachedPixels, numbers: np.ndarray) -> Statistics:
    """Return mean and standard deviation per channel over all pixels of some images.

    Args:
        cached: The decoded images.
        numbers: Which of them, int64.
    """

    def look() -> dict[str, list[float]]:
        means, stds = channel_statistics(cached.images, numbers)
        return {"means": list(means), "stds": list(stds)}

    name = f"statistics-{hashlib.sha256(numbers.tobytes()).hexdigest()[:12]}"
    found = remember(cached, name, look)
    return tuple(found["means"]), tuple(found["stds"])


def image_digests(cached: CachedPixels) -> list[str]:
    """Return a hash of every image's pixels: equal where images are equal, pixel for pixel."""

    def look() -> dict[str, list[str]]:
        return {"images": [hashlib.sha256(image.tobytes()).hexdigest()[:32] for image in cached.images]}

    return list(remember(cached, "digests", look)["images"])


def foreground_shares(cached: CachedPixels) -> np.ndarray:
    """Return every mask's share of foreground among the pixels that are foreground or background, (I,).

    NaN where a mask has neither.
    """

    def look() -> dict[str, list[float | None]]:
        shares: list[float | None] = []
        for mask in cached.masks:
            counts = np.bincount(mask.ravel(), minlength=2)
            known = int(counts[0] + counts[1])
            shares.append(float(counts[1] / known) if known else None)
        return {"masks": shares}

    return np.array(remember(cached, "foreground", look)["masks"], dtype=float)


def channel_statistics(
    images: np.ndarray, numbers: np.ndarray
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation per channel over all pixels of some images, from exact histograms.

    Args:
        images: (I,H,W,C) uint8.
        numbers: Which images.
    """
    counts = np.zeros((images.shape[3], 256), dtype=np.int64)
    for number in numbers:
        for channel in range(images.shape[3]):
            counts[channel] += np.bincount(images[number, ..., channel].ravel(), minlength=256)
    values = np.arange(256)
    total = counts.sum(axis=1)
    means = counts @ values / total
    variances = counts @ values**2 / total - means**2
    return tuple(means.tolist()), tuple(np.sqrt(np.maximum(variances, 0)).tolist())


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
