"""Writes a figure as pgfplots source that reads its numbers from `data/figure-NAME.csv`."""

from __future__ import annotations

import math
from typing import Final

from segbench.report.draw.figure import Figure, Look, Mark, Scale, small, text_colour
from segbench.report.draw.layout import Layout, Placed, PlacedKey, place
from segbench.report.latex_text import escape

_DASHES: Final = {
    "solid": "solid",
    "dashed": "dash pattern=on 3pt off 1.6pt",
    "dotted": "dash pattern=on 0.8pt off 1.2pt",
    "dashdot": "dash pattern=on 3pt off 1.2pt on 0.8pt off 1.2pt",
}
_MARKS: Final = {
    "circle": "*",
    "square": "square*",
    "triangle": "triangle*",
    "diamond": "diamond*",
    "down": "triangle*",
    "plus": "+",
    "cross": "x",
    "star": "star",
    "none": "none",
}
_MOST_BAND_POINTS = 120
"""`fill between` takes time for every point."""
_TITLE_STYLE = "title style={at={(0,1)}, anchor=base west, inner sep=0pt, yshift=-1pt}"
"""pgfplots itself moves a title up by 6 pt."""


def draw_pgfplots(figure: Figure) -> str:
    """Return a `tikzpicture` to be `\\input`; it needs pgfplots (compat 1.16) with the library fillbetween.

    The folder of the report is `\\segreportdir`, `.` unless the document defines it.
    """
    layout = place(figure)
    lines = [
        f"% {figure.name}: {' '.join(figure.title.split())}",
        "% needs: \\usepackage{pgfplots}\\pgfplotsset{compat=1.16}\\usepgfplotslibrary{fillbetween}",
        "\\providecommand{\\segreportdir}{.}%",
        *(f"\\definecolor{{seg{c[1:]}}}{{HTML}}{{{c[1:]}}}%" for c in _colours(figure)),
        "\\begin{tikzpicture}[x=1cm, y=1cm, font=\\fontsize{8}{9}\\selectfont, trim left=0cm, "
        f"trim right={_cm(layout.width)}]",
    ]
    for placed in layout.facets:
        lines += _facet(figure, layout, placed)
    for key in layout.keys:
        lines += _key(layout, key)
    return "\n".join([*lines, "\\end{tikzpicture}%", ""])


def _colours(figure: Figure) -> list[str]:
    notes = [n.look for row in figure.facets for facet in row for n in facet.right if n.look]
    looks = [m.look for m in figure.marks] + [k.look for k in figure.legend] + notes
    return sorted({look.colour for look in looks} | {text_colour(n.colour) for n in notes})


def _facet(figure: Figure, layout: Layout, placed: Placed) -> list[str]:
    facet, box = placed.facet, placed.box
    bottom = layout.height - box.top - box.height
    options = [
        "scale only axis",
        f"at={{({_cm(box.left)},{_cm(bottom)})}}",
        "anchor=south west",
        f"width={_cm(box.width)}",
        f"height={_cm(box.height)}",
        *_scale("x", facet.x, shows=True),
        *_scale("y", facet.y, shows=placed.shows_y),
        f"xlabel={{{escape(facet.x.label) if placed.shows_x_label else ''}}}",
        f"ylabel={{{escape(facet.y.label) if placed.shows_y else ''}}}",
        f"title={{{escape(facet.title)}}}, {_TITLE_STYLE}" if facet.title else "",
        "xlabel near ticks, ylabel near ticks",
        "axis lines=left, axis line style={-, black!70}",
        "y axis line style={draw=none}" if facet.y.is_category else "",
        "tick style={black!70, thin}, tick align=outside, major tick length=2.2pt",
        "ytick style={draw=none}, xmajorgrids" if facet.y.is_category else "grid=major",
        "grid style={black!13, very thin}",
        "unbounded coords=discard, enlargelimits=false, scaled ticks=false",
        "every axis/.append style={font=\\fontsize{8}{9}\\selectfont}",
    ]
    lines = ["\\begin{axis}[", *(f"  {option}," for option in options if option), "]"]
    if facet.region:
        low, high = (_number(edge) for edge in facet.region)
        bottom_y, top_y = _number(facet.y.low), _number(facet.y.high)
        lines.append(
            f"\\fill[black, fill opacity=0.08] (axis cs:{low},{bottom_y}) rectangle (axis cs:{high},{top_y});"
        )
    for position in facet.verticals:
        lines.append(
            f"\\draw[black!70, thin] (axis cs:{_number(position)},{_number(facet.y.low)}) -- "
            f"(axis cs:{_number(position)},{_number(facet.y.high)});"
        )
    for mark in facet.marks:
        lines += _line(figure, mark) if mark.kind == "line" else _points(figure, mark)
    lines.append("\\end{axis}")
    for word in facet.words:
        anchor = {"start": "west", "middle": "center", "end": "east"}[word.anchor]
        x, y = box.x(word.x, facet.x), layout.height - box.y(word.y, facet.y)
        lines.append(
            f"\\node[anchor={anchor}, inner sep=0.6pt, fill=white, fill opacity=0.8, text opacity=1] "
            f"at ({_n(x)},{_n(y)}) {{{escape(word.text)}}};"
        )
    for note in facet.right:
        colour = f", text=seg{text_colour(note.look.colour)[1:]}" if note.look else ""
        x, y = box.left + box.width + 0.12, layout.height - box.y(note.y, facet.y)
        lines.append(_words(x, y, note.text, colour))
    return lines


def _words(x: float, y: float, text: str, more: str = "") -> str:
    return f"\\node[anchor=mid west, inner sep=0pt{more}] at ({_n(x)},{_n(y)}) {{{escape(text)}}};"


def _scale(letter: str, scale: Scale, *, shows: bool) -> list[str]:
    ticks = ",".join(_number(t) for t in scale.ticks)
    names = ",".join(f"{{{_lines(label)}}}" for label in scale.tick_labels) if shows else ""
    options = [
        f"{letter}min={_number(scale.low)}, {letter}max={_number(scale.high)}",
        f"{letter}tick={{{ticks}}}",
        f"{letter}ticklabels={{{names}}}",
    ]
    if scale.is_log:
        options.insert(0, f"{letter}mode=log")
        options.append(f"minor {letter} tick num=0, {letter}minorticks=false")
    if scale.is_category:
        options.append(f"{letter}ticklabel style={{align=right}}")
    return options


def _lines(label: str) -> str:
    return " \\\\ ".join(escape(part) for part in label.split("\n"))


def _line(figure: Figure, mark: Mark) -> list[str]:
    style = _stroke(mark.look, 0.9)
    lines = []
    if mark.low:
        step = -(-len(mark.x) // _MOST_BAND_POINTS)
        thin = f", each nth point={step}" if step > 1 else ""
        for end in ("low", "high"):
            lines.append(
                f"\\addplot[draw=none, name path={mark.key}-{end}{thin}] {_table(figure, mark, y=end)};"
            )
        lines.append(
            f"\\addplot[seg{mark.look.colour[1:]}, fill opacity=0.16, draw=none] "
            f"fill between[of={mark.key}-low and {mark.key}-high];"
        )
    dot = "mark=*, mark size=1.6pt" if len(mark.x) == 1 else "mark=none"
    if mark.marked:
        first, step = mark.marked
        dot = f"{_marker(small(mark.look))}, mark repeat={step}, mark phase={first + 1}"
    jump = ", unbounded coords=jump" if _is_broken(mark) else ""
    lines.append(f"\\addplot[{style}, {dot}{jump}] {_table(figure, mark)};")
    return lines


def _is_broken(mark: Mark) -> bool:
    """Whether a point is missing between others."""
    known = [k for k, y in enumerate(mark.y) if math.isfinite(y)]
    return bool(known) and known[-1] - known[0] + 1 > len(known)


def _points(figure: Figure, mark: Mark) -> list[str]:
    look = mark.look
    bars = errors = ""
    if mark.low:
        letter, width = ("x", 1.1) if mark.is_horizontal else ("y", 0.7)
        middle = f"{mark.key}_{letter}"
        bars = (
            f", error bars/.cd, {letter} dir=both, {letter} explicit, error mark=none, "
            f"error bar style={{{_stroke(look, width)}}}"
        )
        errors = (
            f", {letter} error plus expr=\\thisrow{{{mark.key}_high}}-\\thisrow{{{middle}}}"
            f", {letter} error minus expr=\\thisrow{{{middle}}}-\\thisrow{{{mark.key}_low}}"
        )
    # `only marks` would choose a mark where there is none.
    style = "draw=none, mark=none" if look.marker == "none" else f"only marks, {_marker(look)}"
    return [f"\\addplot[{style}{bars}] {_table(figure, mark, more=errors)};"]


def _table(figure: Figure, mark: Mark, *, y: str = "y", more: str = "") -> str:
    file = f"\\segreportdir/data/figure-{figure.name}.csv"
    return f"table[col sep=comma, x={mark.key}_x, y={mark.key}_{y}{more}] {{{file}}}"


def _stroke(look: Look, width: float) -> str:
    opacity = f", draw opacity={look.alpha:g}" if look.alpha < 1 else ""
    return f"seg{look.colour[1:]}, line width={width * look.size:.2g}pt, {_DASHES[look.dash]}{opacity}"


def _marker(look: Look) -> str:
    turn = ", rotate=180" if look.marker == "down" else ""
    colour = f"seg{look.colour[1:]}"
    size = 2.4 * look.size
    fill = "white" if look.is_hollow else colour
    return (
        f"mark={_MARKS[look.marker]}, mark size={size:.2g}pt, "
        f"mark options={{solid, draw={colour}, fill={fill}, line width=0.7pt{turn}}}"
    )


def _key(layout: Layout, placed: PlacedKey) -> list[str]:
    look, left = placed.key.look, placed.left
    y = layout.height - placed.middle
    if placed.key.kind == "region":
        swatch = (
            f"\\fill[black, fill opacity={look.alpha:g}] ({_n(left)},{_n(y - 0.12)}) rectangle "
            f"({_n(left + 0.5)},{_n(y + 0.12)});"
        )
    elif placed.key.kind == "points":
        swatch = f"\\path plot[{_marker(look)}] coordinates {{({_n(left + 0.25)},{_n(y)})}};"
    else:
        swatch = f"\\draw[{_stroke(look, 0.9)}] ({_n(left)},{_n(y)}) -- ({_n(left + 0.5)},{_n(y)});"
        if placed.key.kind == "marked":
            swatch += f"\\path plot[{_marker(small(look))}] coordinates {{({_n(left + 0.25)},{_n(y)})}};"
    return [swatch, _words(left + 0.62, y, placed.key.text)]


def _cm(value: float) -> str:
    return f"{_n(value)}cm"


def _n(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _number(value: float) -> str:
    return f"{value:.9g}"
