"""The memory that a process of ours holds on to between its tensors (glibc; elsewhere nothing happens)."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Final

# malloc.h of glibc
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_MAX: Final = -4
_ALWAYS_KEEP: Final = 2**31 - 1


def hold_freed_memory() -> bool:
    """Let freed memory be used again by this process instead of going back to the system.

    As it comes, glibc maps every tensor of more than 32 MiB anew, and Linux fills what it gives with zeros: a
    step of a large network on a CPU spends a third of its time so (docs/performance.md). It costs room: a
    tensor may find no gap of its size, and the process grows. No number changes.

    Returns:
        Whether this C library can be told so.
    """
    libc = _glibc()
    if libc is None:
        return False
    # Not one of the two alone: either would freeze the other's threshold at its small beginning.
    return bool(libc.mallopt(_M_MMAP_MAX, 0) and libc.mallopt(_M_TRIM_THRESHOLD, _ALWAYS_KEEP))


def return_freed_memory() -> bool:
    """Give the system back what is free now; return whether there was any."""
    libc = _glibc()
    return libc is not None and bool(libc.malloc_trim(0))


@cache
def _glibc() -> ctypes.CDLL | None:
    try:
        libc = ctypes.CDLL(None)
    except (OSError, TypeError):  # no such thing on Windows
        return None
    return libc if hasattr(libc, "gnu_get_libc_version") else None
