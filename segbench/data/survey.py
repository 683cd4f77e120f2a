"""Reading a user's folders: what is there, and which knobs it needs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from segbench.axes.dataset._images import read_labels, read_pixels, read_size
from segbench.axes.dataset._pairing import Pair, group_pairs, pair_files
from segbench.data.pictures import spread
from segbench.errors import DataError, message
from segbench.samples import IGNORED

_MOST_DECODED: Final = 200
_MOST_CLASSES: Final = 16
_GROUP_GUESS: Final = r"^(.+?)[_-][A-Za-z]*\d+$"


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What was found in two folders."""

    knobs: Mapping[str, Any]
    """Knobs of the data set `folder` beside `images`, `masks` and `size_px` that differ from their
    defaults."""
    num_images: int
    num_groups: int | None
    num_decoded: int
    """How many masks and images were read in full; the numbers below are theirs."""
    sizes: Mapping[tuple[int, int], int]
    """(width, height) -> how many of all images."""
    mask_values: tuple[int, ...]
    foreground: float
    """Mean share of foreground among the pixels that count."""
    num_empty: int
    """Masks without foreground."""
    notes: tuple[str, ...]
    """What a person should decide, such as groups that the names suggest."""


def survey_folders(images: Path, masks: Path, *, project: Path, group: str | None = None) -> Survey:
    """Find out how images and masks are named and stored.

    Args:
        images: Folder of the images.
        masks: Folder of the masks; it may be the same one.
        project: Where relative paths start.
        group: As the knob of the data set `folder`.

    Raises:
        DataError: Files cannot be paired or read, or the masks' values have no clear meaning.
    """
    suffixes = find_suffixes(images, masks)
    pairs = pair_files(images, masks, **suffixes)
    if group is not None:
        pairs = group_pairs(pairs, group, project)
    chosen = [pairs[i] for i in spread(range(len(pairs)), _MOST_DECODED)]
    knobs: dict[str, Any] = {k: v for k, v in suffixes.items() if v != _DEFAULTS[k]}
    window = find_window(chosen)
    if window is not None:
        knobs["window"] = window
    masking, values, shares = read_masks(chosen)
    knobs |= masking
    if group is not None:
        knobs["group"] = group
    return Survey(
        knobs=knobs,
        num_images=len(pairs),
        num_groups=None if group is None else len({pair.group for pair in pairs}),
        num_decoded=len(chosen),
        sizes=_sizes(pairs),
        mask_values=values,
        foreground=float(np.mean(shares)),
        num_empty=sum(share == 0 for share in shares),
        notes=_notes(pairs, group, masking),
    )


_DEFAULTS: Final = {"image_suffix": "", "mask_suffix": "_mask"}


def find_suffixes(images: Path, masks: Path) -> dict[str, str]:
    """Return the ends that tell masks' names from images' names.

    The default `_mask` where it fits, else the end that pairs the most masks (`_segmentation`), else what all
    images and all masks end with (`21_training`, `21_manual1`).
    """
    for folder, option in ((images, "--images"), (masks, "--masks")):
        if not folder.is_dir():
            raise DataError(message(option, "there is no such folder", got=str(folder)))
    image_names, mask_names = (_stems(folder) for folder in (images, masks))
    if images.resolve() != masks.resolve() and image_names & mask_names:
        return dict(_DEFAULTS)
    ends: Counter[str] = Counter()
    for name in mask_names:
        ends.update(name[cut:] for cut in range(1, len(name)) if name[:cut] in image_names)
    if ends:
        return {"image_suffix": "", "mask_suffix": max(ends, key=lambda end: (ends[end], -len(end)))}
    return {"image_suffix": _common_end(image_names), "mask_suffix": _common_end(mask_names)}


def find_window(pairs: Sequence[Pair]) -> list[float] | None:
    """Return the 0.5th and 99.5th percentile of images deeper than 8 bits; None for 8-bit images."""
    lows, highs = [], []
    for pair in pairs:
        pixels = read_pixels(pair.image)
        if pixels.dtype != np.uint8:
            low, high = np.nanpercentile(pixels, [0.5, 99.5])
            lows.append(low)
            highs.append(high)
    if not lows:
        return None
    low, high = float(np.median(lows)), float(np.median(highs))
    return [round(low, 4), round(high if high > low else low + 1, 4)]


def read_masks(pairs: Sequence[Pair]) -> tuple[dict[str, Any], tuple[int, ...], list[float]]:
    """Return the knobs that masks need, their values, and each one's share of foreground.

    Raises:
        DataError: There is no foreground at all.
    """
    labels = [read_labels(pair.mask) for pair in pairs]
    values = sorted({value for mask in labels for value in np.unique(mask).tolist()})
    classes = [value for value in values if value != 0]
    knobs: dict[str, Any] = {}
    if len(values) > _MOST_CLASSES:
        knobs = {"threshold": 128}
    elif len(classes) > 1:
        classes, ignored = _without_ignored(classes)
        knobs = {} if classes == [1] else {"foreground": classes}
        knobs |= {"ignore": ignored} if ignored else {}
    elif classes not in ([], [1], [255]):
        knobs = {"foreground": classes}
    shares = [_share(mask, knobs) for mask in labels]
    if not any(shares):
        raise DataError(message("--masks", f"none of {len(pairs)} masks read has any foreground", got=values))
    return knobs, tuple(int(v) for v in values), shares


def _without_ignored(classes: list[int]) -> tuple[list[int], list[int]]:
    """Take 255 beside small numbers for pixels that do not count, as Pascal VOC and Cityscapes have them."""
    others = [value for value in classes if value != IGNORED]
    return (others, [IGNORED]) if IGNORED in classes and max(others) < 128 else (classes, [])


def _share(mask: np.ndarray, knobs: Mapping[str, Any]) -> float:
    """Return the share of foreground among the pixels that count; 0 where none does."""
    counted = mask[~np.isin(mask, knobs.get("ignore", ()))]
    is_foreground = counted >= 128 if "threshold" in knobs else counted != 0
    return float(is_foreground.mean()) if counted.size else 0.0


def _notes(pairs: Sequence[Pair], group: str | None, masking: Mapping[str, Any]) -> tuple[str, ...]:
    notes = []
    if "foreground" in masking:
        classes = masking["foreground"]
        notes.append(f"masks hold several classes; {classes} all count as foreground: keep those you mean")
    if "ignore" in masking:
        notes.append(
            "masks hold 255 beside other values, as where pixels do not count: `ignore` leaves them out"
        )
    if "threshold" in masking:
        notes.append("masks hold many values, as JPEG leaves them; those from 128 on count as foreground")
    if group is None:
        heads = Counter(m[1] for pair in pairs if (m := re.search(_GROUP_GUESS, pair.name)))
        if sum(heads.values()) == len(pairs) and 3 <= len(heads) <= len(pairs) / 1.5:
            notes.append(
                f"names such as {pairs[0].name!r} look like several images of one patient or scene; "
                f"--group '{_GROUP_GUESS}' keeps each of {len(heads)} together"
            )
    return tuple(notes)


def _sizes(pairs: Sequence[Pair]) -> dict[tuple[int, int], int]:
    counts: Counter[tuple[int, int]] = Counter()
    for pair in pairs:
        height, width = read_size(pair.image)
        counts[width, height] += 1
    return dict(counts.most_common())


def _stems(folder: Path) -> set[str]:
    from segbench.axes.dataset._images import SUFFIXES

    return {path.stem for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES}


def _common_end(names: set[str]) -> str:
    end = ""
    for letters in zip(*(reversed(name) for name in names), strict=False):  # as far as the shortest name
        if len(names) < 2 or len(set(letters)) > 1:
            break
        end = letters[0] + end
    return re.sub(r"^\d+", "", end)
