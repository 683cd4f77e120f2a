"""Whether the design can tell what a claim is about; it is refused at the claim's place before any work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from segbench.config.document import Node
from segbench.config.experiment import Cell, Claim, Design
from segbench.config.pairing import Pairing
from segbench.config.problems import Problems

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
        place = node["at"].place if at else node[name].place
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
