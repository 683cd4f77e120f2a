"""The exception tree, exit codes and the form of every message a user sees.

A user's mistake is a `SegbenchError`: the command line prints its text without a traceback and exits with its
`exit_code`. The text follows one form (`message`), so that every error names the place, the rule, what was
found, the nearest known word and the command that shows more.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Final


class SegbenchError(Exception):
    """A mistake that the user can mend; printed without a traceback."""

    exit_code = 1


class ExperimentError(SegbenchError):
    """An experiment file (or what it asks for) is wrong. Holds all problems found at once."""

    exit_code = 2

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type, tuple[tuple[str, ...]]]:
        return type(self), (self.problems,)


class DataError(ExperimentError):
    """A data set is missing, or a file in it cannot be used."""


class ResultsError(SegbenchError):
    """A record on disk is missing, damaged or belongs to something else."""

    exit_code = 3


class TrialError(SegbenchError):
    """A trial could not be run to its end."""

    exit_code = 4


class StaleReport(SegbenchError):
    """A report is older than what it was made from (`segbench report --check`)."""

    exit_code = 5


class Interrupted(SegbenchError):
    """The user asked to stop; what was finished is saved."""

    exit_code = 130


_MEMORY_PHRASES = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "cudnn_status_alloc_failed",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an exception says that memory ran out, of the machine or of a GPU.

    PyTorch's CPU allocator and some CUDA libraries raise a plain `RuntimeError` where memory runs out; only
    its text tells.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(p in str(error).lower() for p in _MEMORY_PHRASES)


def did_you_mean(word: object, known: Iterable[str]) -> str | None:
    """Return the known word nearest to `word`, or None if none is near."""
    matches = difflib.get_close_matches(str(word), [str(k) for k in known], n=1, cutoff=0.55)
    return matches[0] if matches else None


ABSENT: Final = object()
"""Stands for `got` where a message shows nothing that was found."""
_MOST_KNOWN = 30


def message(
    where: str,
    rule: str,
    *,
    got: object = ABSENT,
    known: Iterable[str] = (),
    see: str | None = None,
) -> str:
    """Write one error line: `<where>: <rule>, got <repr>. Did you mean <nearest>? Known: <list>. <see>`.

    Args:
        where: The place, such as `experiments/a.yaml:3:7`.
        rule: The rule that was broken, without a full stop.
        got: What was found; shown with `repr`.
        known: Words that would have been right.
        see: A remedy, or the command that shows more.
    """
    known = [str(k) for k in known]
    text = f"{where}: {rule}"
    if got is not ABSENT:
        text += f", got {got!r}"
    text += "."
    nearest = did_you_mean(got, known) if got is not ABSENT else None
    if nearest:
        text += f" Did you mean {nearest!r}?"
    if known:
        shown = ", ".join(known[:_MOST_KNOWN]) + (", ..." if len(known) > _MOST_KNOWN else "")
        text += f" Known: {shown}."
    if see:
        text += f" {see if see.endswith(('.', '?')) else see + '.'}"
    return text
