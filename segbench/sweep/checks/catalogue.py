"""The codes of all guards, read from the package's source: counting them imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final

AT_READING: Final = {
    "SB109": "A size is a multiple of what the network takes",
    "SB117": "What selects weights or drives a search is measured on validation images",
}
"""Rules with a code that are checked when the file is read: breaking one refuses the file."""


def codes(modules: Iterable[ModuleType] | None = None) -> tuple[str, ...]:
    """Return the codes of the guards in some modules (None: in the whole package), in order."""
    if modules is None:
        files = sorted(Path(__file__).parent.glob("*.py"))
    else:
        files = [Path(str(module.__file__)) for module in modules]
    return tuple(sorted({code for file in files for code in _codes_in(file)}))


@cache
def _codes_in(file: Path) -> frozenset[str]:
    return frozenset(re.findall(r'^@guard\("(SB\d{3})"', file.read_text(encoding="utf-8"), re.MULTILINE))
