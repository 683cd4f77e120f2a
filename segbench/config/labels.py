"""The text that names a level given in a list."""

from __future__ import annotations

from collections.abc import Iterable

from segbench.config.document import Node


def label_of(node: Node) -> str:
    """Return `1e-4` as written for a scalar, `unet(width=32)` for a spec, `bce+dice` for several terms."""
    if node.is_scalar:
        return node.text or "null"
    if node.is_list:
        return "+".join(label_of(item) for item in node.elements()) or "[]"
    return "+".join(_named(name, body) for name, body in node.items()) or "{}"


def _named(name: str, body: Node) -> str:
    if body.is_scalar:  # a weight of one, or no knobs at all, need no mention
        plain = body.value is None or (body.value == 1 and not isinstance(body.value, bool))
        return name if plain else f"{name}({body.text})"
    if body.is_list:
        return f"{name}({label_of(body)})"
    knobs = ", ".join(f"{knob}={_short(value)}" for knob, value in body.items())
    return f"{name}({knobs})" if knobs else name


def _short(node: Node) -> str:
    if node.is_list:
        return "[" + ", ".join(_short(item) for item in node.elements()) + "]"
    return label_of(node)


def find_label(node: Node, labels: Iterable[str]) -> str | None:
    """Return the label that a scalar names: by its text, else by its number (`0.001` finds `1e-3`)."""
    labels = list(labels)
    text = node.text or "null"
    if text in labels:
        return text
    if isinstance(node.value, int | float) and not isinstance(node.value, bool):
        equal = [label for label in labels if _number(label) == node.value]
        return equal[0] if len(equal) == 1 else None
    return None


def _number(label: str) -> float | None:
    try:
        return float(label)
    except ValueError:
        return None
