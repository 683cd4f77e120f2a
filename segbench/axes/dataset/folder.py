"""One's own images and masks in folders."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

from segbench.axes.dataset import IGNORED, Sample, Source, variant
from segbench.axes.dataset._contents import content_hashes
from segbench.axes.dataset._images import read_labels, read_pixels
from segbench.axes.dataset._pairing import Pair, group_pairs, pair_files
from segbench.axes.dataset._source import digest
from segbench.config.project import Project
from segbench.errors import DataError, ExperimentError, message


@variant(places=("images", "masks"), absent={"ignore": None})
def folder(
    project: Project,
    *,
    images: str,
    masks: str,
    size_px: Annotated[int, Ge(1)] = 256,
    pattern: str = "**/*",
    image_suffix: str = "",
    mask_suffix: str = "_mask",
    foreground: list[int] | None = None,
    threshold: int | None = None,
    ignore: list[int] | None = None,
    window: list[float] | None = None,
    group: str | None = None,
    channels: Literal[1, 3] = 3,
) -> Source:
    """Read a folder of images and a folder of masks: png, jpg, bmp, tif, webp, gif or npy.

    Masks hold 0 and 1, or 0 and 255, unless `foreground` or `threshold` says which values are foreground.
    Palettes count by index. Images are turned upright by their EXIF orientation. The data set has no split of
    its own.

    Args:
        project: Relative paths start at its root.
        images: Folder of the images, searched with its subfolders.
        masks: Folder of the masks; it may be the same one.
        size_px: Images are resized to this many pixels a side (squeezed, not cropped).
        pattern: Which files below `images` are images (a glob).
        image_suffix: End of the images' names that masks lack.
        mask_suffix: End of the masks' names that images lack; masks may also do without it.
        foreground: The mask values that are foreground; every other value is background. None: 1 or 255.
        threshold: Mask values from this one on are foreground, for masks that were compressed. None: not
            used.
        ignore: The mask values whose pixels count neither in the loss nor in a metric, such as the outline
            [255] of Pascal VOC. None: every pixel counts.
        window: Smallest and largest value of images deeper than 8 bits; it becomes 0..255. None: 8-bit
            images.
        group: What must not straddle a split, such as a patient: a regular expression with one group that is
            searched in the image's name, or `table.csv:column`, whose first column holds the names. None:
            each image stands alone.
        channels: 3 (grey images are repeated) or 1 (colour images are averaged by luminance).

    Raises:
        DataError: Files are missing or cannot be used; names them.
    """
    if foreground is not None and threshold is not None:
        raise ExperimentError(message("dataset.folder", "give `foreground` or `threshold`, not both"))
    if window is not None and not (len(window) == 2 and window[0] < window[1]):
        raise ExperimentError(message("dataset.folder.window", "a window is [smallest, largest]", got=window))
    pairing = {"pattern": pattern, "image_suffix": image_suffix, "mask_suffix": mask_suffix}
    both = sorted({*(foreground or ())} & {*(ignore or ())})
    if both:
        rule = "a mask value cannot be both foreground and ignored"
        raise ExperimentError(message("dataset.folder.ignore", rule, got=both))
    masking = _Masking(foreground, threshold, ignore)
    return _Folder(
        project, images, masks, pairing, masking, window, group, size_px=size_px, channels=channels
    )


class _Folder(Source):
    def __init__(
        self,
        project: Project,
        images: str,
        masks: str,
        pairing: dict[str, str],
        masking: _Masking,
        window: list[float] | None,
        group: str | None,
        *,
        size_px: int,
        channels: int,
    ) -> None:
        self.size_px = size_px
        self.channels = channels
        self._root = project.root
        self._memory = project.data / ".cache" / "hashes"
        self._images, self._masks = (project.root / Path(path).expanduser() for path in (images, masks))
        self._pairing = pairing
        self._masking = masking
        self._window = window
        self._group = group

    @cached_property
    def _pairs(self) -> dict[str, Pair]:
        pairs = pair_files(self._images, self._masks, **self._pairing)
        if self._group is not None:
            pairs = group_pairs(pairs, self._group, self._root)
        return {pair.name: pair for pair in pairs}

    @cached_property
    def _samples(self) -> tuple[Sample, ...]:
        return tuple(Sample(pair.name, group=pair.group) for pair in self._pairs.values())

    def samples(self) -> tuple[Sample, ...]:
        return self._samples

    def folders(self) -> tuple[Path, ...]:
        return (self._images, self._masks)

    def decode(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        pair = self._pairs[sample.name]
        image = to_channels(to_bytes(read_pixels(pair.image), self._window, pair.image), self.channels)
        mask = self._masking.apply(read_labels(pair.mask), pair.mask)
        if mask.shape != image.shape[:2]:
            turned = mask.shape == image.shape[1::-1]
            raise DataError(
                message(
                    str(pair.mask),
                    f"image and mask differ in size: upright, the image is {image.shape[1]}x{image.shape[0]}",
                    got=f"{mask.shape[1]}x{mask.shape[0]}",
                    see="One of the two may lack its EXIF orientation" if turned else None,
                )
            )
        return image, mask

    def fingerprint(self) -> str:
        pairs = self._pairs.values()
        hashes = content_hashes([path for pair in pairs for path in (pair.image, pair.mask)], self._memory)
        return digest([[pair.name, pair.group, hashes[pair.image], hashes[pair.mask]] for pair in pairs])


class _Masking:
    """Mask values to {0, 1, 255}."""

    def __init__(self, foreground: list[int] | None, threshold: int | None, ignore: list[int] | None) -> None:
        self._foreground = foreground
        self._threshold = threshold
        self._ignore = ignore

    def apply(self, labels: np.ndarray, file: Path) -> np.ndarray:
        if not self._ignore:
            return self._divide(labels, file)
        is_ignored = np.isin(labels, self._ignore)
        mask = self._divide(np.where(is_ignored, 0, labels), file)
        mask[is_ignored] = IGNORED
        return mask

    def _divide(self, labels: np.ndarray, file: Path) -> np.ndarray:
        if self._threshold is not None:
            return (labels >= self._threshold).astype(np.uint8)
        if self._foreground is not None:
            return np.isin(labels, self._foreground).astype(np.uint8)
        values = np.unique(labels).tolist()
        if not ({*values} <= {0, 1} or {*values} <= {0, 255}):
            raise DataError(
                message(
                    str(file),
                    f"a mask holds 0 and 1, or 0 and 255, but this one has {len(values)} values",
                    got=values[:8],
                    see="Set `foreground: [values]` for classes, `ignore: [values]` for what does not "
                    "count, or `threshold: 128` for masks saved as JPEG",
                )
            )
        foreground: np.ndarray = (labels != 0).astype(np.uint8)
        return foreground


def to_bytes(pixels: np.ndarray, window: list[float] | None, file: Path) -> np.ndarray:
    """Map a window of values to 0..255.

    Args:
        pixels: (H,W) or (H,W,C) of any type.
        window: Smallest and largest value; None: only 8-bit images are taken.
        file: Named by messages.

    Raises:
        DataError: A deeper image comes without a window.
    """
    if window is None:
        if pixels.dtype == np.uint8:
            return pixels
        low, high = pixels.min().item(), pixels.max().item()
        raise DataError(
            message(
                str(file),
                f"an image of {pixels.dtype} needs the knob `window`; its values go from {low:g} to {high:g}",
                see=f"For example `window: [{low:g}, {high:g}]`, one for all images",
            )
        )
    low, high = window
    scaled = (pixels.astype(np.float32) - low) * (255 / (high - low))
    levels: np.ndarray = np.nan_to_num(np.clip(np.rint(scaled), 0, 255)).astype(np.uint8)
    return levels


def to_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Return (H,W,channels): grey repeated, or colour averaged by luminance (ITU-R 601)."""
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels[..., :1], 3, axis=2)
    grey = pixels[..., :3] @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    levels: np.ndarray = np.rint(grey).astype(np.uint8)[..., None]
    return levels
