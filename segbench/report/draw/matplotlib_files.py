"""Draws a figure with matplotlib: PNG, SVG and PDF without dates, the same bytes for the same figure.

Marks and facets have ids in the SVG; `page_svg` makes from it the picture of the HTML page, which follows the
page's theme and whose marks carry what the page says about them.
"""

from __future__ import annotations

import io
import math
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from segbench.report.draw.figure import DARK, Figure, Look, Mark, small, text_colour
from segbench.report.draw.layout import CM_PER_INCH, FONT, TEXT_PT, TITLE_PT, Layout, Placed, PlacedKey, place

_DPI = 200
_INK, _SOFT, _LINE = "#222222", "#444444", "#dddddd"
_STYLE: Final[dict[Any, Any]] = {
    "font.size": TEXT_PT,
    "font.family": FONT,
    "text.parse_math": False,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.unicode_minus": True,
    "axes.linewidth": 0.6,
    "axes.edgecolor": _SOFT,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": _LINE,
    "grid.linewidth": 0.5,
    **{
        f"{axis}tick.{name}": value
        for axis in "xy"
        for name, value in (
            ("major.size", 2.5),
            ("major.width", 0.5),
            ("major.pad", 2),
            ("color", _SOFT),
            ("labelcolor", _INK),
        )
    },
    "lines.solid_capstyle": "butt",
    "svg.fonttype": "none",
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
_ANCHORS: Final = {"start": "left", "middle": "center", "end": "right"}
_METADATA: Final[Mapping[str, Mapping[str, Any]]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "ModDate": None, "Producer": None, "Creator": None},
}


def draw_files(figure: Figure, suffixes: Sequence[str] = tuple(_METADATA)) -> dict[str, bytes]:
    """Return suffix -> content of the figure as PNG (200 dpi), SVG (its text is text) and PDF."""
    files = {}
    # The salt gives the ids of two figures in one page different names.
    with mpl.rc_context({**_STYLE, "svg.hashsalt": figure.name}), warnings.catch_warnings():
        # A script that the bundled font lacks is drawn as boxes; the HTML page has the reader's fonts.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        canvas = _draw(place(figure))
        for suffix in suffixes:
            buffer = io.BytesIO()
            canvas.savefig(buffer, format=suffix, dpi=_DPI, metadata=dict(_METADATA[suffix]))
            files[suffix] = buffer.getvalue()
    return files


def _draw(layout: Layout) -> Canvas:
    """Return a matplotlib figure (no window, no global state)."""
    canvas = Canvas(figsize=(layout.width / CM_PER_INCH, layout.height / CM_PER_INCH), facecolor="white")
    for number, placed in enumerate(layout.facets):
        _draw_facet(canvas, layout, placed, number)
    for key in layout.keys:
        _draw_key(canvas, layout, key)
    return canvas


def _draw_facet(canvas: Canvas, layout: Layout, placed: Placed, number: int) -> None:
    facet, box = placed.facet, placed.box
    bottom = 1 - (box.top + box.height) / layout.height
    axes = canvas.add_axes(
        (box.left / layout.width, bottom, box.width / layout.width, box.height / layout.height),
        xscale="log" if facet.x.is_log else "linear",
        yscale="log" if facet.y.is_log else "linear",
        xlim=(facet.x.low, facet.x.high),
        ylim=(facet.y.low, facet.y.high),
        xlabel=facet.x.label if placed.shows_x_label else "",
        ylabel=facet.y.label if placed.shows_y else "",
        gid=f"facet-{number}",
    )
    axes.minorticks_off()
    axes.set_xticks(facet.x.ticks, facet.x.tick_labels)
    axes.set_yticks(facet.y.ticks, facet.y.tick_labels if placed.shows_y else [""] * len(facet.y.ticks))
    axes.grid(visible=True, axis="x" if facet.y.is_category else "both")
    axes.xaxis.labelpad, axes.yaxis.labelpad = 2, 3
    if facet.y.is_category:
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    if facet.title:
        axes.set_title(facet.title, fontsize=TITLE_PT, loc="left", pad=4, gid=f"title-{number}")
    if facet.region:
        axes.axvspan(*facet.region, color="#000000", alpha=0.08, linewidth=0)
    for position in facet.verticals:
        axes.axvline(position, color=_SOFT, linewidth=0.7)
    for mark in facet.marks:
        (_draw_line if mark.kind == "line" else _draw_points)(axes, mark)
    ground = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6}
    for word in facet.words:
        axes.text(word.x, word.y, word.text, va="center_baseline", ha=_ANCHORS[word.anchor], bbox=ground)
    for k, note in enumerate(facet.right):
        colour = text_colour(note.look.colour) if note.look else _INK
        place_x, at = 1 + 0.12 / box.width, axes.get_yaxis_transform()
        axes.text(
            place_x,
            note.y,
            note.text,
            transform=at,
            color=colour,
            va="center_baseline",
            gid=f"note-{number}-{k}",
        )


def _draw_line(axes: Axes, mark: Mark) -> None:
    look = mark.look
    if mark.low:
        area: dict[str, Any] = {
            "color": look.colour,
            "alpha": 0.16,
            "linewidth": 0,
            "gid": f"band-{mark.key}",
        }
        axes.fill_between(mark.x, mark.low, mark.high, **area)
    style = _stroke(look, 1.3)
    if mark.marked:
        first, step = mark.marked
        style |= {**_marker(small(look)), "markevery": slice(first, None, step)}
    elif len(mark.x) == 1:
        style |= {"marker": "o", "markersize": 4}
    axes.add_line(Line2D(mark.x, mark.y, **style, gid=f"line-{mark.key}"))


def _draw_points(axes: Axes, mark: Mark) -> None:
    if mark.low:
        ends = [
            [(low, y), (high, y)] if mark.is_horizontal else [(x, low), (x, high)]
            for x, y, low, high in zip(mark.x, mark.y, mark.low, mark.high, strict=True)
            if _is_drawn(low, high)
        ]
        style = _stroke(mark.look, 1.5 if mark.is_horizontal else 1.0) | {"alpha": None}
        axes.add_collection(
            LineCollection(ends, **style, capstyle="butt", gid=f"bars-{mark.key}"), autolim=False
        )
    known = [(x, y) for x, y in zip(mark.x, mark.y, strict=True) if _is_drawn(x, y)]
    style = {**_marker(mark.look), "alpha": mark.look.alpha, "linestyle": "", "clip_on": False}
    axes.add_line(Line2D([x for x, _ in known], [y for _, y in known], **style, gid=f"points-{mark.key}"))


def _is_drawn(*values: float) -> bool:
    return all(map(math.isfinite, values))


def _stroke(look: Look, width: float) -> dict[str, Any]:
    return {
        "color": look.colour,
        "linestyle": _DASHES[look.dash],
        "linewidth": width * look.size,
        "alpha": look.alpha,
    }


def _marker(look: Look) -> dict[str, Any]:
    return {
        "color": look.colour,
        "marker": _MARKERS[look.marker],
        "markersize": 5.2 * look.size,
        "markerfacecolor": "white" if look.is_hollow else look.colour,
        "markeredgewidth": 1.0,
    }


def _draw_key(canvas: Canvas, layout: Layout, placed: PlacedKey) -> None:
    look, kind = placed.key.look, placed.key.kind
    y = 1 - placed.middle / layout.height
    left, right = placed.left / layout.width, (placed.left + 0.5) / layout.width
    if kind == "region":
        height = 0.24 / layout.height
        area: dict[str, Any] = {"color": "#000000", "alpha": look.alpha, "linewidth": 0}
        canvas.add_artist(Rectangle((left, y - height / 2), right - left, height, **area))
    if kind in ("line", "marked"):
        canvas.add_artist(Line2D([left, right], [y, y], **_stroke(look, 1.4)))
    if kind in ("points", "marked"):
        style = _marker(look if kind == "points" else small(look))
        canvas.add_artist(Line2D([(left + right) / 2], [y], **style, linestyle=""))
    canvas.text((placed.left + 0.6) / layout.width, y, placed.key.text, va="center_baseline")


# --- the picture of the HTML page

_PX_PER_CM = 45
_PT_PER_CM = 72 / CM_PER_INCH
_PAGE_COLOURS: Final = {_INK: "ink", "#000000": "ink", _SOFT: "soft", _LINE: "line", "#ffffff": "page"}


def page_svg(figure: Figure, svg: bytes) -> str:
    """Return one `<svg>` element for the HTML page, made from the figure's SVG file.

    `data-series` names what a toggle hides. A `g.item` is a point with what it says in its title, and
    `data-trace`. A line of `Mark.readings` carries its points' x in `data-at` and their values in
    `data-says`, in the order of its path: the page's script reads them at the pointer.
    """
    root = ET.fromstring(svg)
    _simplify(root)
    for symbol in root.iterfind(
        ".//defs/path[@style]"
    ):  # takes the colour of its use, also under the pointer
        symbol.set("style", re.sub(r"stroke: [^;]*;? ?", "", symbol.attrib["style"]))
    groups = {name: group for group in root.iter("g") if (name := group.attrib.pop("id", None))}
    for number, placed in enumerate(place(figure).facets):
        facet, box = placed.facet, placed.box
        corners = (box.left, box.top, box.left + box.width, box.top + box.height)
        groups[f"facet-{number}"].attrib |= {
            "class": "facet",
            "data-title": facet.title,
            "data-x": facet.x.label,
            "data-box": " ".join(f"{_PT_PER_CM * edge:.2f}" for edge in corners),
        }
        if facet.title:
            groups[f"title-{number}"].set("class", "strong")
        for k, note in enumerate(facet.right):
            if note.look:
                groups[f"note-{number}-{k}"].attrib |= {"class": "strong", "data-series": note.text}
        for mark in facet.marks:
            (_tell_line if mark.kind == "line" else _tell_points)(mark, groups)
    root.attrib = {
        "class": "plot",
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-label": figure.title,
        "style": f"--w:{_PX_PER_CM * figure.width_cm:g}px",
    }
    return ET.tostring(root, encoding="unicode")


def colour_style(look: Look) -> str:
    """Return the custom property that gives a mark's colour to what the page puts beside it."""
    return f"--c:{_variable(look.colour)}"


def page_colours() -> str:
    """Return CSS that declares the colours of figures on a light and on a dark page."""
    dark = DARK | {text_colour(colour): lighter for colour, lighter in DARK.items()}
    light = "".join(f"--{colour[1:].lower()}:{colour};" for colour in dark)
    lighter = "".join(f"--{colour[1:].lower()}:{value};" for colour, value in dark.items())
    return f':root{{{light}}}\n@media screen{{:root[data-theme="dark"]{{{lighter}}}}}\n'


def _variable(colour: str) -> str:
    colour = colour.lower()
    return f"var(--{_PAGE_COLOURS.get(colour, colour[1:])})"


def _simplify(root: ET.Element) -> None:
    """Take away names of files, ids, fonts and decimals that the page has no use for; colours get names."""
    for parent in root.iter():
        parent.tag = parent.tag.rpartition("}")[2]
        parent.text = parent.text and parent.text.strip()
        parent.tail = None
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):
                parent.remove(child)
        old, parent.attrib = parent.attrib, {}
        for name, value in old.items():
            if name.endswith("}href"):
                name = "href"
            elif name == "style":
                value = re.sub(r"font-family: [^;]*;? ?", "", value)
                value = re.sub(r"#[0-9a-fA-F]{6}", lambda found: _variable(found[0]), value)
            elif name in ("d", "x", "y"):
                value = re.sub(r"\s*([MLCQz])\s*", r"\1", re.sub(r"(\.\d\d)\d+", r"\1", value))
            if not (name == "transform" and value.startswith("rotate(-0 ")):
                parent.set(name, value)


def _tell_line(mark: Mark, groups: Mapping[str, ET.Element]) -> None:
    if mark.low:
        groups[f"band-{mark.key}"].set("data-series", mark.name)
    group = groups[f"line-{mark.key}"]
    group.attrib |= {"class": "mark", "data-series": mark.name, "style": colour_style(mark.look)}
    known = [k for k, y in enumerate(mark.y) if math.isfinite(y)]
    if mark.readings:
        label = mark.label or mark.name
        group.attrib |= {
            "data-label": label,
            "data-at": " ".join(f"{mark.x[k]:g}" for k in known),
            "data-says": "|".join(mark.readings[k] for k in known),
        }
        if mark.traces and mark.traces[0]:
            group.set("data-trace", mark.traces[0])
        _add_title(group, label)
    if mark.hover:
        points = re.findall(r"[ML]([-.\d]+) ([-.\d]+)", group.findall("path")[0].attrib["d"])
        for k, (x, y) in zip(known, points, strict=True):
            spot = ET.SubElement(group, "circle", {"class": "spot", "cx": x, "cy": y, "r": "3"})
            _add_title(spot, mark.hover[k])


def _tell_points(mark: Mark, groups: Mapping[str, ET.Element]) -> None:
    """Gather the interval and the symbol of each point in a `g.item`."""
    group = groups[f"points-{mark.key}"]
    group.attrib |= {"class": "mark", "data-series": mark.name, "style": colour_style(mark.look)}
    parts: list[list[ET.Element]] = [[] for _ in mark.x]
    if mark.low:
        bars = groups[f"bars-{mark.key}"]
        known = [k for k in range(len(mark.x)) if _is_drawn(mark.low[k], mark.high[k])]
        for k, bar in zip(known, bars.findall("path"), strict=True):
            parts[k].append(bar)
        bars.clear()
    symbols = group.findall("g/use")
    if symbols:
        known = [k for k in range(len(mark.x)) if _is_drawn(mark.x[k], mark.y[k])]
        for k, symbol in zip(known, symbols, strict=True):
            parts[k].append(symbol)
        if "opacity" not in symbols[0].attrib["style"]:
            group.attrib["style"] += f"; {symbols[0].attrib['style']}"
            for symbol in symbols:
                del symbol.attrib["style"]
        for emptied in group.findall("g"):
            group.remove(emptied)
    for k, drawn in enumerate(parts):
        if drawn:
            item = ET.SubElement(group, "g", {"class": "item"})
            if mark.traces and mark.traces[k]:
                item.set("data-trace", mark.traces[k])
            if mark.hover:
                _add_title(item, mark.hover[k])
            item.extend(drawn)


def _add_title(element: ET.Element, text: str) -> None:
    title = ET.Element("title")
    title.text = text
    element.insert(0, title)
