"""What a data set offers: names, pixels, a fingerprint and perhaps a split of its own."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segbench.samples import Sample


class Source(ABC):
    """A data set: numpy only, nothing decoded before `decode` is called.

    `decode` may be called from several threads at once.
    """

    size_px: int
    """Images are resized to this many pixels a side (squeezed, not cropped) when they are cached."""
    channels: int = 3

    @abstractmethod
    def samples(self) -> tuple[Sample, ...]:
        """Return all samples in an order that depends on the data set alone.

        Raises:
            DataError: The data set is missing or its index is broken; holds all problems found at once.
        """

    @abstractmethod
    def decode(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        """Read one image, (H,W,C) uint8, and its mask, (H,W) uint8 in {0, 1, 255}, of one size.

        255 (`IGNORED`) marks pixels that count neither in a loss nor in a metric.

        Raises:
            DataError: A file is missing, corrupt or does not fit; names it.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """Hash the index and the contents of all files: 64 hexadecimal digits, wherever the files lie."""

    def own_split(self) -> Mapping[str, Sequence[int]] | None:
        """Return part -> sample numbers where the data set brings a split, else None."""
        return None

    def folders(self) -> tuple[Path, ...]:
        """Return where the files lie; empty for generated sets."""
        return ()


def digest(value: Any) -> str:
    """Hash plain JSON types: 64 hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
