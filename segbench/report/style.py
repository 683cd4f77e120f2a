"""`style.yaml`: what a user decides about the looks of a report. Created once, never overwritten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import yaml

from segbench.errors import ResultsError, message

TEMPLATE: Final = """\
# The looks of this report. segbench made this file once and never touches it again; delete it to get it anew.
# Uncomment what you want to change and run `segbench report` again.

# labels:                    # how names are printed: levels, axes, metrics, whole cells
#   DyT: Dynamic Tanh
#   test_dice: Dice
# order:                     # which levels come first; the others follow in the experiment's order
#   norm: [DyT, BatchNorm]
# digits: 3                  # decimals of dice and of its differences
# effect_size: difference    # g: Hedges' g beside every difference
# width_cm: 16               # width of figures: the text width of your paper
"""

WIDTHS_CM: Final = (7.0, 60.0)


@dataclass(frozen=True, kw_only=True)
class Style:
    """The content of `style.yaml`."""

    labels: Mapping[str, str] = field(default_factory=dict)
    """Name in the experiment -> name in print."""
    order: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Axis -> labels that come first."""
    digits: int = 3
    """Decimals of values between 0 and 1."""
    effect_size: str = "difference"
    """`difference`: raw differences alone; `g`: Hedges' g beside each."""
    width_cm: float = 16.0
    """Width of a figure across the page."""


def read_style(path: Path) -> Style:
    """Read `style.yaml`; a missing file is the default style.

    Raises:
        ResultsError: An unknown key, or a value of the wrong kind.
    """
    if not path.is_file():
        return Style()
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ResultsError(message(str(path), f"the file is not valid YAML: {error}")) from error
    read = {} if read is None else read
    where = str(path)
    if not isinstance(read, dict):
        raise ResultsError(message(where, "the file must be a mapping", got=read))
    known = [f.name for f in fields(Style)]
    for key in read:
        if key not in known:
            raise ResultsError(message(where, "there is no such key", got=key, known=known))
    given: dict[str, Any] = {key: value for key, value in read.items() if value is not None}
    if "labels" in given:
        given["labels"] = _labels(given["labels"], where)
    if "order" in given:
        given["order"] = _order(given["order"], where)
    digits = given.get("digits", 3)
    if type(digits) is not int or not 1 <= digits <= 6:
        raise ResultsError(message(where, "digits must be a whole number from 1 to 6", got=digits))
    known_sizes = ["difference", "g"]
    if given.get("effect_size", "g") not in known_sizes:
        got = given["effect_size"]
        raise ResultsError(message(where, "there is no such effect_size", got=got, known=known_sizes))
    width = given.get("width_cm", 16.0)
    low, high = WIDTHS_CM
    if isinstance(width, bool) or not isinstance(width, int | float) or not low <= width <= high:
        raise ResultsError(message(where, f"width_cm must be a number from {low:g} to {high:g}", got=width))
    return Style(**{**given, "width_cm": float(width)})


def create_style(path: Path) -> bool:
    """Write the commented template where no file stands; return whether it was written."""
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TEMPLATE, encoding="utf-8")
    return True


def _labels(value: object, where: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ResultsError(message(where, "labels must map names to printed names", got=value))
    return {str(name): str(printed) for name, printed in value.items()}


def _order(value: object, where: str) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict) or not all(isinstance(v, list) for v in value.values()):
        raise ResultsError(message(where, "order must map an axis to a list of labels", got=value))
    return {str(axis): tuple(str(label) for label in labels) for axis, labels in value.items()}
