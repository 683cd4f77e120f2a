"""Draws a figure with matplotlib: PNG, SVG and PDF without dates, the same bytes for the same figure."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from segbench.report.draw.figure import Figure, Mark
from segbench.report.draw.geometry import TEXT_PT, TITLE_PT, Geometry, Placed, PlacedKey, place, shortened
from segbench.report.draw.palette import small, text_colour

_INCH = 2.54
_DPI = 200
_STYLE: Final[Mapping[str, Any]] = {
    "font.size": TEXT_PT,
    "font.family": "DejaVu Sans",
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "#444444",
    "svg.hashsalt": "segbench",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "path.simplify": False,
}
_DASHES: Final[Mapping[str, Any]] = {
    "solid": "-",
    "dashed": (0, (4, 2)),
    "dotted": (0, (1, 1.4)),
    "dashdot": (0, (4, 1.5, 1, 1.5)),
}
_MARKERS: Final = {
    "circle": "o",
    "square": "s",
    "triangle": "^",
    "diamond": "D",
    "down": "v",
    "plus": "P",
    "cross": "x",
    "star": "*",
    "none": "",
}
_METADATA: Final[Mapping[str, Mapping[str, Any]]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "ModDate": None, "Producer": None, "Creator": None},
}


def draw_files(figure: Figure) -> dict[str, bytes]:
    """Return suffix -> content of the figure as PNG (200 dpi), SVG and PDF."""
    geometry = place(figure)
    files = {}
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # A script that the bundled font lacks is drawn as boxes; the HTML page has the reader's fonts.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        canvas = draw(figure, geometry)
        for suffix, metadata in _METADATA.items():
            buffer = io.BytesIO()
            canvas.savefig(buffer, format=suffix, dpi=_DPI, metadata=dict(metadata))
            files[suffix] = buffer.getvalue()
    return files


def draw(figure: Figure, geometry: Geometry) -> Canvas:
    """Return a matplotlib figure (no window, no global state)."""
    canvas = Canvas(figsize=(geometry.width / _INCH, geometry.height / _INCH), facecolor="white")
    FigureCanvasAgg(canvas)
    for placed in geometry.facets:
        _draw_facet(canvas, geometry, placed)
    for key in geometry.keys:
        _draw_key(canvas, geometry, key)
    return canvas


def _draw_facet(canvas: Canvas, geometry: Geometry, placed: Placed) -> None:
    facet, box = placed.facet, placed.box
    axes = canvas.add_axes(
        (
            box.left / geometry.width,
            1 - (box.top + box.height) / geometry.height,
            box.width / geometry.width,
            box.height / geometry.height,
        )
    )
    if facet.x.is_log:
        axes.set_xscale("log")
    if facet.y.is_log:
        axes.set_yscale("log")
    axes.set_xlim(facet.x.low, facet.x.high)
    axes.set_ylim(facet.y.low, facet.y.high)
    axes.minorticks_off()
    axes.set_xticks(facet.x.ticks, facet.x.tick_labels)
    axes.set_yticks(facet.y.ticks, facet.y.tick_labels if placed.shows_y else [""] * len(facet.y.ticks))
    axes.tick_params(length=2.5, width=0.5, color="#444444", pad=2)
    axes.grid(visible=True, axis="x" if facet.y.is_category else "both", color="#DDDDDD", linewidth=0.5)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if facet.y.is_category:
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    if placed.shows_x_label:
        axes.set_xlabel(facet.x.label, labelpad=2)
    if placed.shows_y and facet.y.label:
        axes.set_ylabel(facet.y.label, labelpad=3)
    if facet.title:
        axes.set_title(shortened(facet.title, 0.93 * box.width), fontsize=TITLE_PT, loc="left", pad=4)
    if facet.region:
        axes.axvspan(*facet.region, color="#000000", alpha=0.08, linewidth=0)
    for position in facet.verticals:
        axes.axvline(position, color="#444444", linewidth=0.7)
    for mark in facet.marks:
        (_draw_line if mark.kind == "line" else _draw_points)(axes, mark)
    for word in facet.words:
        place_x, place_y = box.x(word.x, facet.x) / geometry.width, box.y(word.y, facet.y) / geometry.height
        anchor = {"start": "left", "middle": "center", "end": "right"}[word.anchor]
        text = canvas.text(place_x, 1 - place_y, word.text, color="#222222", va="center_baseline", ha=anchor)
        text.set_path_effects([withStroke(linewidth=2.2, foreground="white")])
    for note in facet.right:
        x = (box.left + box.width + 0.12) / geometry.width
        y = 1 - box.y(note.y, facet.y) / geometry.height
        colour = text_colour(note.look.colour) if note.look else "#222222"
        canvas.text(x, y, note.text, color=colour, va="center_baseline", ha="left")


def _draw_line(axes: Axes, mark: Mark) -> None:
    look = mark.look
    if mark.low:
        axes.fill_between(mark.x, mark.low, mark.high, color=look.colour, alpha=0.16, linewidth=0)
    axes.plot(
        mark.x,
        mark.y,
        color=look.colour,
        linestyle=_DASHES[look.dash],
        linewidth=1.3 * look.size,
        alpha=look.alpha,
        marker="o" if len(mark.x) == 1 else None,
        markersize=4,
    )
    if mark.marked:
        first, step = mark.marked
        axes.plot(mark.x[first::step], mark.y[first::step], **{**_marker(small(look)), "clip_on": True})


def _draw_points(axes: Axes, mark: Mark) -> None:
    look = mark.look
    if mark.low:
        points = zip(mark.x, mark.y, mark.low, mark.high, strict=True)
        for x, y, low, high in points:
            ends = ([low, high], [y, y]) if mark.is_horizontal else ([x, x], [low, high])
            axes.plot(
                *ends,
                color=look.colour,
                linestyle=_DASHES[look.dash],
                linewidth=(1.5 if mark.is_horizontal else 1.0) * look.size,
                solid_capstyle="butt",
            )
    axes.plot(mark.x, mark.y, **_marker(mark.look))


def _marker(look: Any) -> dict[str, Any]:
    return {
        "linestyle": "",
        "color": look.colour,
        "marker": _MARKERS[look.marker],
        "markersize": 5.2 * look.size,
        "markerfacecolor": "white" if look.is_hollow else look.colour,
        "markeredgewidth": 1.0,
        "alpha": look.alpha,
        "clip_on": False,
    }


def _draw_key(canvas: Canvas, geometry: Geometry, placed: PlacedKey) -> None:
    look, kind = placed.key.look, placed.key.kind
    y = 1 - placed.middle / geometry.height
    left, right = placed.left / geometry.width, (placed.left + 0.5) / geometry.width
    style: dict[str, Any]
    if kind == "region":
        height = 0.24 / geometry.height
        canvas.add_artist(
            Rectangle(
                (left, y - height / 2), right - left, height, color="#000000", alpha=look.alpha, linewidth=0
            )
        )
    elif kind == "points":
        style = _marker(look)
        canvas.add_artist(Line2D([(left + right) / 2], [y], **style))
    else:
        canvas.add_artist(
            Line2D(
                [left, right],
                [y, y],
                color=look.colour,
                linestyle=_DASHES[look.dash],
                linewidth=1.4 * look.size,
                alpha=look.alpha,
            )
        )
        if kind == "marked":
            canvas.add_artist(Line2D([(left + right) / 2], [y], **_marker(small(look))))
    canvas.text((placed.left + 0.6) / geometry.width, y, placed.key.text, va="center_baseline", ha="left")
