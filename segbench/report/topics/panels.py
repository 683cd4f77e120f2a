"""The same test images across the cells: image, truth, every prediction with its false pixels."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from segbench.config.trial import TrialConfig, canonical_json
from segbench.data.pictures import as_rgb, overlay
from segbench.errors import SegbenchError
from segbench.report.analysis import Analysis
from segbench.report.draw.layout import shortened
from segbench.report.labels import Labels, Style
from segbench.report.numbers import Numbers
from segbench.samples import IGNORED
from segbench.store.layout import ExperimentFolder
from segbench.store.masks import read_masks

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

    from segbench.config.project import Project
    from segbench.data.prepared import PreparedData


PANELS_FILE: Final = "panels.jpg"
GAIN: Final = "largest gain"
LOSS: Final = "largest loss"
WORST: Final = "worst mean"
MEDIAN: Final = "median"
DRAWN: Final = "drawn"
_MOST_IMAGES: Final = 6
_MOST_CELLS: Final = 12
_DRAW_SEED: Final = 0
_WIDTH_PX: Final = 1600
_FRAME: Final = (122, 79, 181)
_MOST_BYTES: Final = 1_500_000


@dataclass(frozen=True, kw_only=True)
class Panels:
    """The picture, or why there is none; neither where there is nothing to show side by side."""

    content: bytes | None = None
    caption: str = ""
    width_px: int = 0
    missing: str | None = None


@dataclass(frozen=True)
class Chosen:
    """A test image and the rule that chose it."""

    image: str
    rule: str
    cell: int | None = None
    """Column of the cell whose difference from the baseline's cell is meant; None: a rule about all cells."""


@dataclass(frozen=True)
class _Column:
    """A cell's trial with its predictions."""

    title: str
    levels: Mapping[str, str]
    config: TrialConfig
    masks: Mapping[str, np.ndarray]
    dice: Mapping[str, float]


def make_panels(
    analysis: Analysis, images: pd.DataFrame, project: Project, style: Style | None = None
) -> Panels:
    """Draw the panels of an experiment from its trials' `masks.npz` and the decoded data set.

    Args:
        analysis: Names the cells and their completed trials.
        images: `Results.images`: dice of every test image.
        project: Where results and data are.
        style: Names and digits.

    Without masks or data set (a clone) the answer says so and holds no picture. The proposals of a search are
    no cells, and the test images have not judged them: it has no panels.
    """
    if analysis.experiment.search is not None:
        return Panels()
    labels = Labels(analysis, style or Style())
    folder = ExperimentFolder(project.results / analysis.experiment.name)
    columns = _columns(analysis, labels, images, folder)
    if not columns:
        return Panels(missing="no trial here has its predicted masks (masks.npz is not committed).")
    shared = sorted(set.intersection(*(set(c.masks) & set(c.dice) for c in columns)))
    if not shared:
        return Panels(missing="the cells share no test image.")
    baseline = _baseline(columns, analysis)
    dice = pd.DataFrame({str(k): pd.Series(c.dice)[shared] for k, c in enumerate(columns)})
    chosen = choose_images(dice, baseline=baseline)
    try:
        pixels = dict(_pixels(columns, project, [c.image for c in chosen]))
    except SegbenchError as error:
        return Panels(missing=f"the data set is not here ({str(error).splitlines()[0]})")
    if not pixels:
        return Panels(missing="the data set here does not hold the test images of the records.")
    content, width = _draw(columns, chosen, pixels, Numbers(labels.style.digits))
    rules = "; ".join(_rule_text(c, columns, baseline) for c in chosen)
    left = len(analysis.cells) - len(columns)
    has_ignored = any((mask == IGNORED).any() for _, mask in pixels.values())
    caption = (
        "The same test images across the cells, each by its first completed seed. White: found, orange: "
        f"false positive, blue: missed{', grey: does not count' if has_ignored else ''}; the number is the "
        "image's Dice. Chosen by rule: largest paired differences from the baseline's cell both ways "
        f"(framed), worst and median of the mean over the cells, the others drawn with a fixed seed. {rules}."
        + (f" {left} cells have no predictions here." if left > 0 else "")
    )
    return Panels(content=content, caption=caption, width_px=width)


def choose_images(dice: pd.DataFrame, *, baseline: int = 0, most: int = _MOST_IMAGES) -> list[Chosen]:
    """Choose test images by rule: largest paired differences both ways, worst, median, then a seeded draw.

    A paired difference is the Dice of a cell minus that of the baseline's cell on the same image; the largest
    of all cells counts. An image that a rule before has chosen leaves the place to the next.

    Args:
        dice: One row per image (index: its name), one column per cell.
        baseline: Number of the baseline's column.
        most: How many at most.
    """
    dice = dice.sort_index()
    means = dice.mean(axis=1)
    ranked: list[tuple[str, pd.Series, np.ndarray | None]] = [
        (WORST, means, None),
        (MEDIAN, (means - means.median()).abs(), None),
    ]
    if dice.shape[1] > 1:
        pairs = dice.sub(dice.iloc[:, baseline], axis=0).to_numpy().copy()
        pairs[:, baseline] = -np.inf
        gain = pd.Series(pairs.max(axis=1), index=dice.index), pairs.argmax(axis=1)
        pairs[:, baseline] = np.inf
        loss = pd.Series(pairs.min(axis=1), index=dice.index), pairs.argmin(axis=1)
        ranked = [
            (GAIN, -gain[0].where(gain[0] > 0), gain[1]),
            (LOSS, loss[0].where(loss[0] < 0), loss[1]),
            *ranked,
        ]
    taken: dict[str, Chosen] = {}
    for rule, score, cells in ranked:
        names = [name for name in score.dropna().sort_values(kind="stable").index if name not in taken]
        if names and len(taken) < most:
            cell = None if cells is None else int(cells[dice.index.get_loc(names[0])])
            taken[names[0]] = Chosen(str(names[0]), rule, cell)
    rest = [name for name in dice.index if name not in taken]
    draw = np.random.default_rng(_DRAW_SEED).permutation(len(rest))
    drawn = [Chosen(str(rest[int(k)]), DRAWN) for k in draw[: max(0, most - len(taken))]]
    return [*taken.values(), *drawn]


def _baseline(columns: Sequence[_Column], analysis: Analysis) -> int:
    """Return the column whose cell has every axis at its baseline; the first where none has."""
    wanted = {axis.name: axis.baseline for axis in analysis.experiment.axes}
    for number, column in enumerate(columns):
        if all(wanted.get(axis) == label for axis, label in column.levels.items()):
            return number
    return 0


def _rule_text(chosen: Chosen, columns: Sequence[_Column], baseline: int) -> str:
    if chosen.cell is None:
        return f"{chosen.image}: {chosen.rule}"
    way = "gains most over" if chosen.rule == GAIN else "loses most against"
    return f"{chosen.image}: {columns[chosen.cell].title} {way} {columns[baseline].title}"


def _columns(
    analysis: Analysis, labels: Labels, images: pd.DataFrame, folder: ExperimentFolder
) -> list[_Column]:
    if analysis.seeds.empty or images.empty:
        return []
    configs = {cell.label: cell.config for cell in analysis.experiment.cells}
    dice = images[(images["metric"] == "dice") & (images["split"] == "test")]
    columns = []
    for cell in labels.ordered(analysis.cells)["cell"].head(_MOST_CELLS):
        trials = analysis.seeds[analysis.seeds["cell"] == cell].sort_values(["seed", "fold"])
        for trial in trials["trial"]:
            path = folder.trial(str(trial)).masks
            if not path.is_file() or cell not in configs:
                continue
            names, masks = read_masks(path)
            own = dice[dice["trial"] == trial].groupby("image")["value"].mean()
            columns.append(
                _Column(
                    labels.cell(cell),
                    labels.levels(cell),
                    configs[cell],
                    dict(zip(names, masks, strict=True)),
                    {str(k): float(v) for k, v in own.items()},
                )
            )
            break
    return columns


def _pixels(
    columns: Sequence[_Column], project: Project, names: Sequence[str]
) -> list[tuple[tuple[str, str], tuple[np.ndarray, np.ndarray]]]:
    """Return ((image, data set), (image (H,W,3) uint8, mask (H,W) uint8)) of the chosen images."""
    from segbench.data import prepare

    found = []
    for key, config in {_data_key(c.config): c.config for c in columns}.items():
        data: PreparedData = prepare(config, project)
        numbers = {sample.name: number for number, sample in enumerate(data.samples)}
        found += [
            (
                (name, key),
                (as_rgb(np.asarray(data.images[numbers[name]])), np.asarray(data.masks[numbers[name]])),
            )
            for name in names
            if name in numbers
        ]
    return found


def _data_key(config: TrialConfig) -> str:
    return canonical_json(config.dataset.to_json())


def _draw(
    columns: Sequence[_Column],
    chosen: Sequence[Chosen],
    pixels: Mapping[tuple[str, str], tuple[np.ndarray, np.ndarray]],
    numbers: Numbers,
) -> tuple[bytes, int]:
    from PIL import Image, ImageDraw

    num_columns = len(columns) + 2
    gap, head, foot = 8, 46, 34
    tile = min(260, (_WIDTH_PX - gap * (num_columns + 1)) // num_columns)
    width = gap + num_columns * (tile + gap)
    rows = [c for c in chosen if all((c.image, _data_key(k.config)) in pixels for k in columns)]
    canvas = Image.new("RGB", (width, head + len(rows) * (tile + foot + gap) + gap), "white")
    draw = ImageDraw.Draw(canvas)
    font = _font(22 if tile > 160 else 16)
    for k, title in enumerate(["image", "truth", *(c.title for c in columns)]):
        _text(draw, (gap + k * (tile + gap) + tile // 2, head - 14), title, font, tile, anchor="ms")
    for r, pick in enumerate(rows):
        top = head + r * (tile + foot + gap)
        image, labels = pixels[pick.image, _data_key(columns[0].config)]
        tiles = [image, overlay(labels, labels == 1)]
        texts = [pick.rule, ""]
        for column in columns:
            own_labels = pixels[pick.image, _data_key(column.config)][1]
            tiles.append(overlay(own_labels, column.masks[pick.image]))
            texts.append(numbers.value(column.dice[pick.image]))
        for k, (picture, text) in enumerate(zip(tiles, texts, strict=True)):
            left = gap + k * (tile + gap)
            method = Image.Resampling.BICUBIC if k == 0 else Image.Resampling.NEAREST
            canvas.paste(Image.fromarray(picture).resize((tile, tile), method), (left, top))
            if pick.cell is not None and k == pick.cell + 2:
                draw.rectangle((left - 5, top - 5, left + tile + 4, top + tile + 4), outline=_FRAME, width=4)
            _text(draw, (left + tile // 2, top + tile + 7), text, font, tile, anchor="mt")
    return _encode(canvas), width


def _encode(canvas: Any) -> bytes:
    for quality in (92, 85, 75, 60):
        buffer = io.BytesIO()
        canvas.save(buffer, format="JPEG", quality=quality, subsampling=0, optimize=True)
        if buffer.tell() <= _MOST_BYTES:
            break
    return buffer.getvalue()


def _font(size: int) -> FreeTypeFont:
    import matplotlib as mpl
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)


def _text(
    draw: ImageDraw, at: tuple[int, int], text: str, font: FreeTypeFont, width: int, *, anchor: str
) -> None:
    room = 30.0
    while draw.textlength(text, font=font) > width and room > 0.5:
        room -= 0.25
        text = shortened(text, room)
    draw.text(at, text, fill=(30, 30, 30), font=font, anchor=anchor)
