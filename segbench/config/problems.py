"""Places in files, and the collection of everything wrong with them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

from segbench.errors import ExperimentError, message

_ABSENT = object()


@dataclass(frozen=True, order=True)
class Place:
    """A position in a file; line and column count from 1, line 0 names the file (or option) alone."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Problems:
    """Gathers problems so that a user sees all of them at once, in the order of the file."""

    def __init__(self) -> None:
        self._found: dict[str, Place] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def add(
        self,
        place: Place,
        rule: str,
        *,
        got: object = _ABSENT,
        known: Iterable[str] = (),
        see: str | None = None,
    ) -> None:
        """Record one problem in the form of `segbench.errors.message`; the same one twice counts once."""
        if got is _ABSENT:
            text = message(str(place), rule, known=known, see=see)
        else:
            text = message(str(place), rule, got=got, known=known, see=see)
        self.add_text(place, text)

    def add_text(self, place: Place, text: str) -> None:
        """Record a message that is written already."""
        self._found.setdefault(text, place)

    def add_error(self, place: Place, error: ExperimentError, *, where: str = "") -> None:
        """Record what another part raised; a text that starts with `where` gets the place instead."""
        for text in error.problems:
            if where and text.startswith(f"{where}: "):
                text = f"{place}: {text.removeprefix(f'{where}: ')}"
            self.add_text(place, text)

    def items(self) -> tuple[tuple[str, Place], ...]:
        """Return every message with its place."""
        return tuple(self._found.items())

    def raise_all(self) -> NoReturn:
        """Raise an ExperimentError with every problem, sorted by place."""
        raise ExperimentError([text for text, _ in sorted(self._found.items(), key=lambda item: item[1])])

    def raise_any(self) -> None:
        """Raise if there is a problem.

        Raises:
            ExperimentError: With every problem, sorted by place.
        """
        if self:
            self.raise_all()
