"""`masks.npz`: predicted masks, one bit a pixel."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segbench.errors import ResultsError, message
from segbench.store.atomic import replacing
from segbench.store.layout import TRIAL_KEY


def write_masks(path: Path, masks: np.ndarray, sample_names: Sequence[str]) -> None:
    """Put masks and the names of their images into `path`, atomically.

    Args:
        path: `masks.npz` of a trial.
        masks: (I,H,W) bool.
        sample_names: I names.

    Raises:
        ResultsError: The disk refuses.
    """
    if masks.dtype != np.bool_ or masks.ndim != 3 or len(masks) != len(sample_names):
        raise ValueError(
            f"masks must be (I,H,W) bool with I names, got {masks.dtype} {masks.shape}, {len(sample_names)}"
        )
    _, height, width = masks.shape
    trial: dict[str, Any] = {TRIAL_KEY: np.array(path.parent.name, dtype=np.str_)}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            names=np.array(sample_names, dtype=np.str_),
            shape=np.array(masks.shape, dtype=np.int64),
            bits=np.packbits(
                masks.reshape(len(masks), height * width), axis=1
            ),  # rows of their own: images unpack alone
            **trial,
        )


def masks_of(path: Path) -> str | None:
    """Return the hash of the trial whose masks these are; None: an older version wrote them."""
    with np.load(path, allow_pickle=False) as content:
        return str(content[TRIAL_KEY]) if TRIAL_KEY in content else None


def read_masks(path: Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the names of the images and their masks, (I,H,W) bool.

    Raises:
        ResultsError: The file is missing or damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            num_images, height, width = (int(n) for n in content["shape"])
            names = tuple(str(name) for name in content["names"])
            bits = np.unpackbits(content["bits"], axis=1, count=height * width)
            masks = bits.reshape(num_images, height, width).astype(bool)
    except FileNotFoundError:
        raise ResultsError(
            message(
                str(path),
                "there are no predicted masks here",
                see="`segbench evaluate TRIAL` computes a trial anew",
            )
        ) from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ResultsError(message(str(path), f"the predicted masks are damaged ({error})")) from error
    if len(names) != num_images:
        raise ResultsError(message(str(path), f"{num_images} masks must have as many names", got=len(names)))
    return names, masks
