"""`panels/test.png`: a few test images of a trial as the dashboard shows them: image, mask, prediction."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from segbench.data.overlay import as_rgb, overlay
from segbench.store.atomic import sweep_temporaries, write_bytes

if TYPE_CHECKING:
    from segbench.data import PreparedData
    from segbench.engine.passes import Evaluation
    from segbench.store.layout import TrialFolder

MOST_IMAGES: Final = 4
TILE_PX: Final = 128
_GAP_PX: Final = 4


def write_panels(data: PreparedData, selected: Evaluation, folder: TrialFolder) -> None:
    """Draw a row an image: the image, its mask, the prediction (white: found, vermilion: false positive,
    blue: missed, grey: not counted).

    Args:
        data: Where the test images are.
        selected: The evaluation of the test images at the selected weights, with masks.
        folder: The trial's.

    Raises:
        ResultsError: The disk refuses.
    """
    from PIL import Image

    if selected.masks is None or selected.masks.shape[1:] != data.masks.shape[1:]:
        return  # an engine of the user's own, which predicts at another size
    chosen = choose([data.samples[n].name for n in selected.sample_numbers])
    step = TILE_PX + _GAP_PX
    canvas = Image.new("RGB", (3 * step - _GAP_PX, len(chosen) * step - _GAP_PX), "white")
    for row, k in enumerate(chosen):
        number = int(selected.sample_numbers[k])
        labels = np.asarray(data.masks[number])
        tiles = [
            as_rgb(np.asarray(data.images[number])),
            overlay(labels, labels == 1),
            overlay(labels, selected.masks[k]),
        ]
        for column, tile in enumerate(tiles):
            method = Image.Resampling.NEAREST if column else Image.Resampling.BILINEAR
            picture = Image.fromarray(tile).resize((TILE_PX, TILE_PX), method)
            canvas.paste(picture, (column * step, row * step))
    buffer = io.BytesIO()
    canvas.save(buffer, format="PNG", compress_level=1)
    folder.panels.parent.mkdir(exist_ok=True)
    sweep_temporaries(folder.panels.parent)
    write_bytes(folder.panels, buffer.getvalue())


def choose(names: Sequence[str]) -> list[int]:
    """Choose images evenly spaced among the sorted names, so that trials of one test set show the same.

    Args:
        names: Of the test images.

    Returns:
        Their positions, at most four.
    """
    order = sorted(range(len(names)), key=lambda k: (names[k], k))
    count = min(MOST_IMAGES, len(order))
    return [order[k * len(order) // count] for k in range(count)]
