"""Writes a figure as inline SVG for the HTML page: colours follow the page's theme, marks carry titles."""

from __future__ import annotations

import math
from html import escape
from typing import Final

from segbench.report.draw.figure import Facet, Figure, Mark, Scale
from segbench.report.draw.geometry import Box, Placed, PlacedKey, place, shortened
from segbench.report.draw.palette import DARK, Look, small, text_colour

PX_PER_CM = 45
_DASHES: Final = {"solid": "", "dashed": "6 3", "dotted": "1.5 2.5", "dashdot": "6 2.5 1.5 2.5"}


def draw_svg(figure: Figure) -> str:
    """Return one `<svg>` element.

    `data-series` names what a toggle hides. A line of `Mark.readings` carries its points' x in `data-at` and
    their values in `data-says`, in the order of its path: the page's script reads them at the pointer.
    """
    geometry = place(figure)
    width, height = geometry.width * PX_PER_CM, geometry.height * PX_PER_CM
    parts = [
        f'<svg class="plot" viewBox="0 0 {_n(width)} {_n(height)}" role="img" '
        f'aria-label="{escape(figure.title)}" style="--w:{_n(width)}px">'
    ]
    for number, placed in enumerate(geometry.facets):
        parts.append(_facet(placed, f"{figure.name}-{number}"))
    parts += [_key(key) for key in geometry.keys]
    return "".join([*parts, "</svg>"])


def series_names(figure: Figure) -> list[str]:
    """Return what can be toggled, in the order of drawing; nothing for a single series."""
    names = list(dict.fromkeys(mark.name for mark in figure.marks))
    return names if len(names) > 1 else []


def colour_of(figure: Figure, name: str) -> Look:
    """Return the look of a series."""
    return next(mark.look for mark in reversed(figure.marks) if mark.name == name)


def colour_style(look: Look) -> str:
    """Return the custom properties that give a mark its colour on a light and a dark page."""
    dark = DARK.get(look.colour, look.colour)
    text = text_colour(look.colour)
    return f"--c:{look.colour};--d:{dark}" + (f";--t:{text}" if text != look.colour else "")


def _facet(placed: Placed, clip: str) -> str:
    facet, box = placed.facet, placed.box
    left, top, right, bottom = (
        PX_PER_CM * v for v in (box.left, box.top, box.left + box.width, box.top + box.height)
    )
    parts = [
        f'<g class="facet" data-title="{escape(facet.title)}" data-x="{escape(facet.x.label)}" '
        f'data-box="{_n(left)} {_n(top)} {_n(right)} {_n(bottom)}">'
    ]
    if facet.region:
        low, high = (_x(box, edge, facet.x) for edge in facet.region)
        low, high = max(low, left), min(high, right)
        parts.append(
            f'<rect class="region" x="{_n(low)}" y="{_n(top)}" width="{_n(high - low)}" '
            f'height="{_n(bottom - top)}"/>'
        )
    for tick, label in zip(facet.x.ticks, facet.x.tick_labels, strict=True):
        x = _x(box, tick, facet.x)
        parts.append(f'<path class="grid" d="M{_n(x)} {_n(top)}V{_n(bottom)}"/>')
        parts.append(_text(x, bottom + 15, label, anchor="middle"))
    for tick, label in zip(facet.y.ticks, facet.y.tick_labels, strict=True):
        y = _y(box, tick, facet.y)
        if not facet.y.is_category:
            parts.append(f'<path class="grid" d="M{_n(left)} {_n(y)}H{_n(right)}"/>')
        if placed.shows_y:
            lines = label.split("\n")
            for number, line in enumerate(lines):
                offset = (number - (len(lines) - 1) / 2) * 13
                parts.append(_text(left - 6, y + 4 + offset, line, anchor="end"))
    for position in facet.verticals:
        parts.append(f'<path class="axis" d="M{_n(_x(box, position, facet.x))} {_n(top)}V{_n(bottom)}"/>')
    edge = f"M{_n(left)} {_n(bottom)}H{_n(right)}" + (
        "" if facet.y.is_category else f"M{_n(left)} {_n(top)}V{_n(bottom)}"
    )
    parts.append(f'<path class="axis" d="{edge}"/>')
    if facet.title:
        parts.append(_text(left, top - 7, shortened(facet.title, 0.84 * box.width), kind="facet-title"))
    if placed.shows_x_label and facet.x.label:
        parts.append(_text((left + right) / 2, bottom + 34, facet.x.label, anchor="middle"))
    if placed.shows_y and facet.y.label and not facet.y.is_category:
        middle = (top + bottom) / 2
        longest = max((len(label) for label in facet.y.tick_labels), default=0)
        x = left - 14 - 7 * longest
        parts.append(
            f'<text class="t" text-anchor="middle" transform="translate({_n(x)} {_n(middle)}) rotate(-90)">'
            f"{escape(facet.y.label)}</text>"
        )
    parts.append(
        f'<clipPath id="{escape(clip)}"><rect x="{_n(left)}" y="{_n(top)}" width="{_n(right - left)}" '
        f'height="{_n(bottom - top)}"/></clipPath>'
    )
    parts += [_mark(mark, box, facet, clip) for mark in facet.marks]
    for word in facet.words:
        x, y = _x(box, word.x, facet.x), _y(box, word.y, facet.y) + 4
        parts.append(_text(x, y, word.text, anchor=word.anchor, kind="word"))
    for note in facet.right:
        style = f' class="t c" style="{colour_style(note.look)}"' if note.look else ' class="t num"'
        series = f' data-series="{escape(note.text)}"' if note.look else ""
        parts.append(
            f'<text{style}{series} x="{_n(right + 5)}" y="{_n(_y(box, note.y, facet.y) + 4)}">'
            f"{escape(note.text)}</text>"
        )
    return "".join([*parts, "</g>"])


def _mark(mark: Mark, box: Box, facet: Facet, clip: str) -> str:
    opening = f'<g class="mark" data-series="{escape(mark.name)}" style="{colour_style(mark.look)}"'
    if mark.kind != "line":
        return f"{opening}>{_points(mark, box, facet.x, facet.y)}</g>"
    if mark.readings:
        says = [(x, r) for x, y, r in zip(mark.x, mark.y, mark.readings, strict=True) if math.isfinite(y)]
        opening += (
            f' data-label="{escape(mark.label or mark.name)}" data-at="{" ".join(f"{x:g}" for x, _ in says)}"'
            f' data-says="{escape("|".join(reading for _, reading in says))}"{_trace(mark, 0)}'
        )
    title = _title(mark.label or mark.name) if mark.readings else ""
    return f'{opening} clip-path="url(#{escape(clip)})">{title}{_line(mark, box, facet.x, facet.y)}</g>'


def _line(mark: Mark, box: Box, x_scale: Scale, y_scale: Scale) -> str:
    xs = [_x(box, x, x_scale) for x in mark.x]
    parts = []
    if mark.low:
        known = [
            (x, _y(box, low, y_scale), _y(box, high, y_scale))
            for x, low, high in zip(xs, mark.low, mark.high, strict=True)
            if low == low and high == high
        ]
        outline = [(x, high) for x, _, high in known] + [(x, low) for x, low, _ in reversed(known)]
        parts.append(f'<path class="band" d="M{"L".join(f"{_n(x)} {_n(y)}" for x, y in outline)}Z"/>')
    points = [(x, _y(box, y, y_scale)) if math.isfinite(y) else None for x, y in zip(xs, mark.y, strict=True)]
    parts.append(f'<path class="line" d="{_path(points)}"{_stroke(mark.look, 1.8)}/>')
    for point, text in zip(points, mark.hover, strict=False):
        if point is not None:
            kind = 'dot" r="3.5' if len(xs) == 1 else 'spot" r="5'
            parts.append(
                f'<circle class="{kind}" cx="{_n(point[0])}" cy="{_n(point[1])}">{_title(text)}</circle>'
            )
    first, step = mark.marked or (0, len(points) + 1 if len(points) > 1 else 1)
    if mark.marked or (len(points) == 1 and not mark.hover):
        parts += [_shape(small(mark.look), *point) for point in points[first::step] if point is not None]
    return "".join(parts)


def _path(points: list[tuple[float, float] | None]) -> str:
    """Write a line that is broken where a point is missing."""
    text, is_drawing = "", False
    for point in points:
        if point is not None:
            text += f"{'L' if is_drawing else 'M'}{_n(point[0])} {_n(point[1])}"
        is_drawing = point is not None
    return text


def _points(mark: Mark, box: Box, x_scale: Scale, y_scale: Scale) -> str:
    parts = []
    for k, (x, y) in enumerate(zip(mark.x, mark.y, strict=True)):
        cx, cy = _x(box, x, x_scale), _y(box, y, y_scale)
        title = _title(mark.hover[k]) if mark.hover else ""
        body = ""
        if mark.low and mark.low[k] == mark.low[k]:
            if mark.is_horizontal:
                ends = f"M{_n(_x(box, mark.low[k], x_scale))} {_n(cy)}H{_n(_x(box, mark.high[k], x_scale))}"
            else:
                ends = f"M{_n(cx)} {_n(_y(box, mark.low[k], y_scale))}V{_n(_y(box, mark.high[k], y_scale))}"
            body += f'<path class="line" d="{ends}"{_stroke(mark.look, 2.2 if mark.is_horizontal else 1.4)}/>'
        body += _shape(mark.look, cx, cy)
        parts.append(f'<g class="item"{_trace(mark, k)}>{title}{body}</g>' if title else body)
    return "".join(parts)


def _trace(mark: Mark, number: int) -> str:
    text = mark.traces[number] if mark.traces else ""
    return f' data-trace="{escape(text)}"' if text else ""


def _shape(look: Look, x: float, y: float) -> str:
    r = 4.2 * look.size
    kind = "hollow" if look.is_hollow else "dot"
    if look.marker == "none":
        return ""
    if look.marker == "circle":
        return f'<circle class="{kind}" cx="{_n(x)}" cy="{_n(y)}" r="{_n(r)}"/>'
    if look.marker in ("cross", "plus", "star"):
        strokes = ""
        if look.marker in ("cross", "star"):
            strokes += f"M{_n(x - r)} {_n(y - r)}L{_n(x + r)} {_n(y + r)}"
            strokes += f"M{_n(x - r)} {_n(y + r)}L{_n(x + r)} {_n(y - r)}"
        if look.marker in ("plus", "star"):
            strokes += f"M{_n(x - r)} {_n(y)}H{_n(x + r)}M{_n(x)} {_n(y - r)}V{_n(y + r)}"
        return f'<path class="line" d="{strokes}" stroke-width="1.6"/>'
    corners = {
        "square": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
        "diamond": [(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)],
        "triangle": [(0, -1.25), (1.2, 0.95), (-1.2, 0.95)],
        "down": [(0, 1.25), (1.2, -0.95), (-1.2, -0.95)],
    }[look.marker]
    path = "L".join(f"{_n(x + r * dx)} {_n(y + r * dy)}" for dx, dy in corners)
    return f'<path class="{kind}" d="M{path}Z"/>'


def _key(placed: PlacedKey) -> str:
    look = placed.key.look
    left, y = placed.left * PX_PER_CM, placed.middle * PX_PER_CM
    if placed.key.kind == "region":
        swatch = f'<rect class="region" x="{_n(left)}" y="{_n(y - 5)}" width="22" height="10"/>'
    elif placed.key.kind == "points":
        swatch = _shape(look, left + 11, y)
    else:
        swatch = f'<path class="line" d="M{_n(left)} {_n(y)}h22"{_stroke(look, 1.8)}/>'
        swatch += _shape(small(look), left + 11, y) if placed.key.kind == "marked" else ""
    return f'<g style="{colour_style(look)}">{swatch}</g>' + _text(left + 27, y + 4, placed.key.text)


def _stroke(look: Look, width: float) -> str:
    dash = f' stroke-dasharray="{_DASHES[look.dash]}"' if _DASHES[look.dash] else ""
    opacity = f' stroke-opacity="{look.alpha:g}"' if look.alpha < 1 else ""
    return f' stroke-width="{width * look.size:.3g}"{dash}{opacity}'


def _text(x: float, y: float, text: str, *, anchor: str = "start", kind: str = "") -> str:
    where = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text class="t{" " + kind if kind else ""}" x="{_n(x)}" y="{_n(y)}"{where}>{escape(text)}</text>'


def _title(text: str) -> str:
    return f"<title>{escape(text)}</title>"


def _x(box: Box, value: float, scale: Scale) -> float:
    return PX_PER_CM * box.x(value, scale)


def _y(box: Box, value: float, scale: Scale) -> float:
    return PX_PER_CM * box.y(value, scale)


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
