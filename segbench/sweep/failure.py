"""Why a trial failed: an exception in, a kind and one line out."""

from __future__ import annotations

from segbench.errors import DataError
from segbench.records import FailureKind

_MOST_REASON = 300
_MEMORY_PHRASES = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "cudnn_status_alloc_failed",
)


def classify(error: BaseException) -> FailureKind:
    """Return the kind of failure an exception stands for.

    PyTorch's CPU allocator and some CUDA libraries raise a plain `RuntimeError` where memory runs out; only
    its text tells.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return FailureKind.OOM
    if isinstance(error, RuntimeError) and any(p in str(error).lower() for p in _MEMORY_PHRASES):
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
