"""Error messages as tests compare them: place, rule, nearest name and remedy."""

from __future__ import annotations

import re
from typing import Final

_KNOWN: Final = re.compile(r" Known: (?P<names>.*?)\.(?= |$)", re.MULTILINE)
_NEAREST: Final = re.compile(r"Did you mean '(?P<name>[^']*)'\?$")


def said(error: object) -> str:
    """Return an error's text without its lists of known names, which grow with every variant and field.

    A nearest name must be one of the names listed after it.
    """
    text = str(error)
    for known in _KNOWN.finditer(text):
        nearest = _NEAREST.search(text[: known.start()])
        names = known["names"]
        assert names, text
        assert nearest is None or nearest["name"] in names or names.endswith("..."), text
    return _KNOWN.sub("", text)
