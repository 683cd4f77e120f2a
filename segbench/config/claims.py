"""Claims, `{norm: BatchNorm > DyT, at: {model: unet}, on: new_images}`: read, and checked against the design.

A claim names one axis and compares two of its levels by `>`, `<`, `==` (equivalent within the margin) or `/`
(the ratio lies in `between: [low, high]`). `>` and `<` compare the values themselves: `A > B` on test_hd95_px
says that A's distance is the larger one, which is worse. Labels may hold spaces and operators: the longest
known label counts. `check_estimable` refuses a claim that no pair of cells can judge, at its place and before
any work.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from segbench.config.axes import read_label
from segbench.config.document import Node, Problems
from segbench.config.experiment import Axis, Cell, Claim, Design
from segbench.config.pairing import Pairing
from segbench.quantities import IMAGE_METRICS, TEST_METRICS, VAL_METRICS, Kind, find_quantity, names_of
from segbench.records import AXIS_SPACE, axis_column
from segbench.samples import FACTS, THIRDS

_MOST_HELD = 1
"""Axes that a claim about a fraction may hold; Design.aliases knows no larger interactions."""


def check_estimable(
    claims: Node,
    read: Sequence[Claim],
    cells: Sequence[Cell],
    pairing: Pairing,
    design: Design,
    problems: Problems,
) -> None:
    """Record every claim that no pair of cells can judge, or whose effect has aliases.

    Args:
        claims: As written.
        read: The same, read: one for each node.
        cells: The cells of the design.
        pairing: Which of them are set against each other.
        design: Its aliases.
        problems: Takes what is wrong.
    """
    for node, claim in zip(claims.elements(), read, strict=True):
        if claim.axis is None or claim.left is None or claim.right is None:
            continue
        name, at = claim.axis, dict(claim.at)
        place = node["at"].place if at else node[_axis_key(node)].place
        see = "Add such cells to `design:`, or leave the claim out"
        held = ", ".join(f"{axis}: {label}" for axis, label in at.items())
        if at and not any(_has(cell, at) for cell in cells):
            problems.add(place, "the design has no cell of these levels", got=held, see=see)
        elif pairing.is_fraction and (about := _confounded(claim, pairing, design)):
            problems.add(place, about, got=claim.source, see=_CURE)
        elif not pairing.pairs(cells, name, claim.left, claim.right, at):
            where = f" at {held}" if held else ""
            alone = " and ".join(pairing.group(name))
            rule = f"no two cells of the design differ in {alone} alone, {claim.left} against {claim.right}"
            problems.add(place, f"{rule}{where}", got=claim.source, see=see)


_CURE = "Ask for a higher {fractional: {resolution: ...}}, or take `design: factorial`"


def _has(cell: Cell, at: Mapping[str, Any]) -> bool:
    return all(cell.levels.get(name) == label for name, label in at.items())


def _confounded(claim: Claim, pairing: Pairing, design: Design) -> str:
    """Say why a fraction cannot judge a claim; empty where it can."""
    assert claim.axis is not None
    if len(claim.at) > _MOST_HELD:
        return "a fraction tells what a level does at a level of one other axis, not of several"
    effects = [(claim.axis,), *((claim.axis, other) for other in claim.at)]
    for effect in effects:
        others = design.confounders(effect)
        if others:
            what = "the effect" if len(effect) == 1 else "the interaction"
            names = ", ".join(" x ".join(other) for other in others)
            return f"in this fraction {what} of {' x '.join(effect)} cannot be told from that of {names}"
    return ""


# The grammar.


OPERATORS: Final = ("==", ">", "<", "/")
WORDS: Final = ("at", "among", "on", "metric", "between", "text")
"""Keys of a claim beside its axis."""

OTHER_METRICS: Final = names_of(Kind.COST, Kind.DETERMINISTIC, Kind.INSTABILITY)
METRICS: Final = (*TEST_METRICS, *VAL_METRICS, *OTHER_METRICS)
"""What a claim may be about."""

INTERVALS: Final = ("test_set", "new_images")


def _axis_of(key: str) -> str:
    """Return the axis that a key of a claim names: `axis:on` is the axis `on`, which `on` alone is not."""
    return key.removeprefix(AXIS_SPACE)


def _axis_key(node: Node) -> str:
    return next(str(key) for key in node.value if key not in WORDS)


def read_claims(
    claims: Node,
    axes: Sequence[Axis],
    problems: Problems,
    *,
    outcome: str,
    has_margin: bool,
    subgroups: Sequence[str] = (),
    unread: Sequence[str] = (),
    metrics: Sequence[str] | None = None,
) -> tuple[Claim, ...]:
    """Read every claim.

    Args:
        claims: The list of claims.
        axes: What claims may be about.
        problems: Takes what is wrong.
        outcome: The metric of a claim that names none.
        has_margin: Whether the file gives a margin, which `==` needs.
        subgroups: What `among` may name.
        unread: Axes that have problems of their own; claims about them are left alone.
        metrics: What claims may be about, all of them measured on each image (a table made elsewhere);
            None: what segbench measures.
    """
    known = _Known(
        outcome=outcome,
        has_margin=has_margin,
        subgroups=subgroups,
        unread=unread,
        metrics=METRICS if metrics is None else metrics,
        image_metrics=IMAGE_METRICS if metrics is None else metrics,
    )
    found = []
    for node in claims.elements():
        if node.is_mapping:
            claim = _read(node, axes, problems, known)
            found += [claim] if claim is not None else []
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What claims may name beside axes."""

    outcome: str
    has_margin: bool
    subgroups: Sequence[str]
    unread: Sequence[str]
    metrics: Sequence[str]
    image_metrics: Sequence[str]


def _read(node: Node, axes: Sequence[Axis], problems: Problems, known: _Known) -> Claim | None:
    count = len(problems)
    source = _one_line(node)
    if "text" in node:
        text = node["text"]
        if not isinstance(text.value, str) or not text.value.strip():
            problems.add(text.place, "text must be text that is not empty", got=text.plain())
        for key in node.value:
            if key != "text":
                problems.add(node.key_place(key), "a claim of `text` has no other key", got=key)
        return None if len(problems) > count else Claim(source=source, text=str(text.value).strip())
    names = [key for key in node.value if key not in WORDS]
    names_of_axes = [axis.name for axis in axes]
    if len(names) != 1:
        rule = "a claim is about one axis: {AXIS: A > B}"
        see = "Quote a comparison whose labels hold commas" if len(names) > 1 else None
        words = [word for word in WORDS if word in node and word in names_of_axes]
        if not names and words:
            see = f"The axis {words[0]} is written {axis_column(words[0])}"
        problems.add(node.place, rule, got=", ".join(names) or source, known=names_of_axes, see=see)
        return None
    key, name = names[0], _axis_of(names[0])
    axis = next((axis for axis in axes if axis.name == name), None)
    if axis is None:
        if name not in known.unread:
            known_keys: list[str] = [*names_of_axes, *WORDS]
            problems.add(node.key_place(key), "there is no such axis", got=name, known=known_keys)
        return None
    compared = _compared(node[key], axis, problems)
    metric = _word(node, "metric", known.metrics, known.outcome, "there is no such metric", problems)
    interval = _word(node, "on", INTERVALS, "test_set", "on must be one of the known words", problems)
    at = _at(node, axes, axis, problems, known.unread)
    among = _among(node, known.subgroups, problems)
    between = _between(node, compared[1] if compared else None, problems)
    if compared is None:
        return None
    left, operator, right = compared
    for word, is_asked in (("on", interval == "new_images"), ("among", bool(among))):
        if is_asked and metric not in known.image_metrics:
            about = "new_images" if word == "on" else "among"
            problems.add(
                node[word].place, _needs_images(about, metric), got=metric, known=known.image_metrics
            )
    if operator == "==" and metric in OTHER_METRICS:
        rule = f"== compares scores within the margin; write A / B with between: for {metric}"
        problems.add(node[key].place, rule, got=node[key].text)
    elif operator == "==" and not known.has_margin:
        see = "Add `margin:`, the difference below which levels count as equal"
        problems.add(node[key].place, "== needs a margin", got=node[key].text, see=see)
    if len(problems) > count:
        return None
    return Claim(
        source=source,
        axis=name,
        left=left,
        op=operator,
        right=right,
        at=at,
        metric=metric,
        on=interval,
        between=between,
        among=among,
    )


def _needs_images(word: str, metric: str) -> str:
    quantity = find_quantity(metric)
    measured = None if quantity is None else quantity.metric
    if measured is not None and not measured.is_per_image:
        return f"{word} needs values per test image, and {measured.name} is one number of the whole set"
    return f"{word} needs a metric of test images"


def _compared(node: Node, axis: Axis, problems: Problems) -> tuple[str, str, str] | None:
    text = node.text.strip() if node.is_scalar else ""
    for left in sorted(axis.labels, key=len, reverse=True):
        if not text.startswith(left):
            continue
        rest = text[len(left) :].strip()
        for operator in OPERATORS:
            if rest.startswith(operator) and rest[len(operator) :].strip() in axis.labels:
                right = rest[len(operator) :].strip()
                if left == right:
                    problems.add(node.place, "a claim compares two levels", got=text)
                    return None
                return left, operator, right
    parts = re.split(r"\s*(==|>|<|/)\s*", text, maxsplit=1)
    if len(parts) != 3 or not parts[0] or not parts[2]:
        rule = f"a claim compares two levels of {axis.name}: A > B, A < B, A == B or A / B"
        problems.add(node.place, rule, got=node.plain(), known=axis.labels)
        return None
    found = []
    for part in (parts[0], parts[2]):
        found.append(read_label(axis.name, _as_scalar(part, node), axis.labels, problems))
    if found[0] is None or found[1] is None:
        return None
    if found[0] == found[1]:
        problems.add(node.place, "a claim compares two levels", got=text)
        return None
    return found[0], parts[1], found[1]


def _as_scalar(text: str, node: Node) -> Node:
    try:
        return Node(node.place, float(text), text=text)
    except ValueError:
        return Node(node.place, text, text=text)


def _word(node: Node, key: str, known: Sequence[str], default: str, rule: str, problems: Problems) -> str:
    given = node.get(key)
    if given is None:
        return default
    if given.value not in known:
        problems.add(given.place, rule, got=given.plain(), known=_nearest_first(given.value, known))
        return default
    return str(given.value)


def _nearest_first(word: Any, known: Sequence[str]) -> list[str]:
    near = difflib.get_close_matches(str(word), known, n=3)
    return [*near, *(k for k in known if k not in near)]


def _at(
    node: Node, axes: Sequence[Axis], about: Axis, problems: Problems, unread: Sequence[str]
) -> dict[str, str]:
    found = {}
    for name, level in _entries(node, "at", "of levels such as {model: unet}", problems):
        axis = next((axis for axis in axes if axis.name == name), None)
        if axis is None:
            if name not in unread:
                names = [axis.name for axis in axes if axis is not about]
                problems.add(node["at"].key_place(name), "there is no such axis", got=name, known=names)
            continue
        if axis is about:
            problems.add(node["at"].key_place(name), "the claim is about this axis already", got=name)
            continue
        label = read_label(name, level, axis.labels, problems)
        if label is not None:
            found[name] = label
    return found


def _entries(node: Node, key: str, example: str, problems: Problems) -> Iterator[tuple[str, Node]]:
    given = node.get(key)
    if given is not None and not (given.is_mapping and given.value):
        problems.add(given.place, f"{key} must be a mapping {example}", got=given.plain())
    return node.entries(key)


def _among(node: Node, subgroups: Sequence[str], problems: Problems) -> dict[str, str]:
    found = {}
    for name, label in _entries(node, "among", "such as {species: cat} or {tone_likeness: high}", problems):
        if name not in subgroups:
            rule = "a claim's sub-group must be listed under `subgroups:`"
            problems.add(node["among"].key_place(name), rule, got=name, known=subgroups)
        elif not label.is_scalar:
            problems.add(label.place, "among takes one label", got=label.plain())
        elif name in FACTS and label.text not in THIRDS:
            problems.add(label.place, f"{name} is divided into thirds", got=label.text, known=THIRDS)
        else:
            found[name] = label.text
    return found


def _between(node: Node, operator: str | None, problems: Problems) -> tuple[float, float] | None:
    given = node.get("between")
    if given is None:
        if operator == "/":
            problems.add(node.place, "A / B needs between: [low, high]", got=_one_line(node))
        return None
    if operator is not None and operator != "/":
        problems.add(given.place, "between: goes with A / B", got=given.plain())
        return None
    bounds = given.plain()
    is_pair = (
        isinstance(bounds, list)
        and len(bounds) == 2
        and all(isinstance(b, int | float) and not isinstance(b, bool) for b in bounds)
    )
    if not is_pair or not bounds[0] < bounds[1]:
        problems.add(given.place, "between must be [low, high] with low < high", got=bounds)
        return None
    return float(bounds[0]), float(bounds[1])


def _one_line(node: Node) -> str:
    """Write a claim on one line, the same however the file breaks its lines."""
    parts = []
    for key, value in node.items():
        if value.is_scalar:
            parts.append(f"{key}: {value.text}")
        elif value.is_mapping:
            inner = ", ".join(f"{k}: {v.text if v.is_scalar else v.plain()}" for k, v in value.items())
            parts.append(f"{key}: {{{inner}}}")
        else:
            inner = ", ".join(v.text if v.is_scalar else str(v.plain()) for v in value.elements())
            parts.append(f"{key}: [{inner}]")
    return ", ".join(parts)
