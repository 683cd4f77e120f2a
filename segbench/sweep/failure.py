"""Why a trial failed: an exception in, a kind and one line out."""

from __future__ import annotations

from segbench.errors import DataError, is_out_of_memory
from segbench.records import FailureKind

_MOST_REASON = 300


def classify(error: BaseException) -> FailureKind:
    """Return the kind of failure an exception stands for."""
    if is_out_of_memory(error):
        return FailureKind.OOM
    return FailureKind.DATA if isinstance(error, DataError) else FailureKind.CODE


def one_line(error: BaseException) -> str:
    """Return the exception as a record's `reason`: the first line of its text, with its type."""
    from segbench.errors import SegbenchError

    text = " ".join(str(error).strip().split("\n")[0].split())
    if not isinstance(error, SegbenchError) or not text:
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return shorten(text)


def shorten(text: str) -> str:
    """Return a reason that fits one line of a status."""
    return text if len(text) <= _MOST_REASON else text[: _MOST_REASON - 3] + "..."
