"""The alias table of a fraction in words: effects that the design cannot tell from each other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from segbench.config.experiment import Design

ROMAN: Final = {3: "III", 4: "IV", 5: "V", 6: "VI", 7: "VII", 8: "VIII"}

_MOST_NAMED: Final = 6


def effect_text(effect: tuple[str, ...]) -> str:
    """Return `norm x lr`."""
    return " x ".join(effect)


def title(design: Design, *, num_cells: int, num_axes: int) -> str:
    """Say which fraction of the whole a design is."""
    resolution = ROMAN.get(design.resolution or 0, str(design.resolution))
    return f"A fraction of resolution {resolution}: {num_cells:,} of {2**num_axes:,} combinations"


def alias_lines(design: Design, *, up_to: int = 3) -> list[str]:
    """Return a line for each set of aliases, such as `norm x lr = model x flips`.

    Args:
        design: A fraction; any other design has no aliases.
        up_to: Interactions of more axes are not named.
    """
    seen: set[frozenset[tuple[str, ...]]] = set()
    lines = []
    for alias in design.aliases:
        alike = [alias.effect, *(other for other in alias.others if len(other) <= up_to)]
        if len(alike) < 2 or frozenset(alike) in seen:
            continue
        seen.add(frozenset(alike))
        named = [effect_text(effect) for effect in alike[:_MOST_NAMED]]
        more = [f"{len(alike) - _MOST_NAMED} more"] if len(alike) > _MOST_NAMED else []
        lines.append(" = ".join([*named, *more]))
    return lines


def aliased_with(design: Design, effects: Iterable[tuple[str, ...]]) -> str:
    """Return what effects cannot be told from, up to interactions of three axes: `lr x flips, model x seeds`.

    Empty where the design has no aliases of them.
    """
    wanted = [set(effect) for effect in effects]
    own = (alias.others for alias in design.aliases if set(alias.effect) in wanted)
    found = list(dict.fromkeys(effect_text(other) for others in own for other in others))
    more = [f"{len(found) - _MOST_NAMED} more"] if len(found) > _MOST_NAMED else []
    return ", ".join([*found[:_MOST_NAMED], *more])


def alias_note(design: Design, axis: str) -> str:
    """Say why an axis's effect gets no verdict; empty where it may."""
    others = design.confounders((axis,))
    if not others:
        return ""
    return f"cannot be told from {' and '.join(map(effect_text, others))}, so there is no verdict"
