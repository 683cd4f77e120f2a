"""Files that are either the old ones or the new ones, whatever happens in between."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from segbench.errors import ResultsError, message

TEMPORARY: Final = ".tmp-"
"""Stands in the name of every file that is being written; such a file is rubbish once its writer is gone."""


def write_text(path: Path, text: str) -> None:
    """Put `text` into `path` as UTF-8 with the line ends as they are, atomically and durably.

    Raises:
        ResultsError: The disk is full, or the folder is missing or read-only.
    """
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Put `content` into `path`, atomically and durably.

    Raises:
        ResultsError: The disk is full, or the folder is missing or read-only.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; what was written there takes its place at the end.

    For writers that want a file name (`torch.save`, `numpy.savez`). The temporary is synced, renamed and its
    folder synced; it is removed if anything fails.

    Raises:
        ResultsError: The disk is full, or the folder is missing or read-only.
    """
    temporary = path.with_name(f"{path.name}{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with write_errors(path):
            yield temporary
            sync(temporary)
            temporary.replace(path)
            sync(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot sync a folder; the rename is as durable there as they make it.
        if not path.is_dir() or error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write `path` into a `ResultsError` that says what to do."""
    try:
        yield
    except OSError as error:
        raise ResultsError(_refusal(path, error)) from error


def sweep_temporaries(folder: Path) -> list[Path]:
    """Remove what interrupted writers left in `folder` (not below it); return what was removed.

    Call it only while no other process writes there, such as right after taking a trial's lease.

    Raises:
        ResultsError: The folder is read-only.
    """
    left = [p for p in sorted(folder.glob(f"*{TEMPORARY}*")) if p.is_file()]
    for path in left:
        with write_errors(path):
            path.unlink(missing_ok=True)
    return left


def _refusal(path: Path, error: OSError) -> str:
    where = str(path)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        rule = (
            "the disk (or the quota on it) is full; this file could not be written, the one before it stands"
        )
        return message(where, rule, see=f"{_free_space(path)}; make room and run the same command again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return message(where, "the folder or file is read-only", see="Give yourself the right to write there")
    if error.errno == errno.ENOENT:
        return message(where, "the folder to write into does not exist", got=str(path.parent))
    return message(where, f"the file could not be written: {error.strerror or error}")


def _free_space(path: Path) -> str:
    folder = next((p for p in path.parents if p.is_dir()), Path())
    try:
        return f"{shutil.disk_usage(folder).free / 2**20:.1f} MiB are free there"
    except OSError:
        return "Free space is unknown"
