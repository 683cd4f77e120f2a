"""Decoded, resized images in memory-mapped files: built once, shared by every process."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from segbench import memory
from segbench.axes.dataset import Sample, Source
from segbench.axes.dataset._contents import hash_file
from segbench.data.in_order import in_order
from segbench.data.resize import resize_pair
from segbench.errors import DataError, message

OnProgress = Callable[[int, int], None]
"""Told (images done, images in all) while a cache is built."""

Decoded: TypeAlias = tuple[np.ndarray, np.ndarray] | DataError
"""Image and mask, or why there are none."""

_FORMAT = 1
_IMAGES, _MASKS, _RECORD = "images.npy", "masks.npy", "cache.json"
_CHUNK = 64
_MOST_THREADS = 16
"""Beyond them the thread that writes and hashes is the slowest."""
_MOST_PROBLEMS = 20
_SPARE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class CachedPixels:
    """The arrays of a cache, and its folder."""

    folder: Path
    images: np.ndarray
    """(I,H,W,C) uint8, memory-mapped."""
    masks: np.ndarray
    """(I,H,W) uint8 in {0, 1, 255}, memory-mapped; 255 is ignored."""


def open_cache(
    source: Source, key: str, root: Path, *, title: str, on_progress: OnProgress | None = None
) -> CachedPixels:
    """Open the cache of a source, building it first where it is missing or damaged.

    Two processes may ask at once: one builds, the other waits. A cache appears under its name when it is
    whole. It counts as damaged when sizes or time stamps are not those recorded and the contents' hashes are
    not, either.

    Args:
        source: What to decode.
        key: Hash of everything that decides the pixels: knobs and the source's fingerprint.
        root: The folder of all caches.
        title: Head of the cache folder's name, for people.
        on_progress: Told (images done, images in all) while it is built.

    Raises:
        DataError: Images cannot be used (all of them are named), or the disk is full or not writable.
    """
    folder = _folder(root, title, key)
    found = _open_whole(folder, key)
    if found is None:
        with _locked(root, folder.name):
            found = _open_whole(folder, key)
            if found is None:
                _build(source, folder, key, on_progress)
                found = _open_whole(folder, key)
    if found is None:
        raise DataError(message(str(folder), "the cache was damaged again right after it was built"))
    return found


def find_cache(key: str, root: Path, *, title: str) -> CachedPixels | None:
    """Return the cache of a source as `open_cache` does, but None where it would have to be built."""
    return _open_whole(_folder(root, title, key), key)


def remember(cached: CachedPixels, name: str, measure: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return what `measure` gives, kept as `<name>.json` in the cache's folder."""
    file = cached.folder / f"{name}.json"
    subject = [cached.folder.name, name]
    known = memory.recall(file, subject)
    if known is not None and isinstance(known.get("value"), dict):
        return dict(known["value"])
    value = measure()
    memory.keep(file, {"value": value}, subject)
    return value


def _folder(root: Path, title: str, key: str) -> Path:
    return root / f"{title}-{key[:12]}"


def _open_whole(folder: Path, key: str) -> CachedPixels | None:
    try:
        record = json.loads((folder / _RECORD).read_text())
        if record["format"] != _FORMAT or record["key"] != key or not _is_unchanged(folder, record):
            return None
        images = np.load(folder / _IMAGES, mmap_mode="r")
        masks = np.load(folder / _MASKS, mmap_mode="r")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return CachedPixels(folder, images, masks)


def _is_unchanged(folder: Path, record: dict[str, Any]) -> bool:
    moved = False
    for name, known in record["files"].items():
        stat = (folder / name).stat()
        if stat.st_size != known["size"]:
            return False
        if stat.st_mtime_ns != known["mtime_ns"]:  # copied from elsewhere, or written to
            if hash_file(folder / name) != known["sha256"]:
                return False
            known["mtime_ns"] = stat.st_mtime_ns
            moved = True
    if moved:
        with contextlib.suppress(OSError):
            memory.write(folder / _RECORD, json.dumps(record, indent=1))
    return True


@contextlib.contextmanager
def _locked(root: Path, name: str) -> Iterator[None]:
    try:
        root.mkdir(parents=True, exist_ok=True)
        stream = (root / f"{name}.lock").open("w")
    except OSError as error:
        raise DataError(
            message(
                str(root),
                f"the folder of decoded images cannot be written ({error.strerror})",
                see="Set SEGBENCH_DATA to a folder that can",
            )
        ) from error
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _build(source: Source, folder: Path, key: str, on_progress: OnProgress | None) -> None:
    for left_over in folder.parent.glob(
        f"{folder.name}.*.tmp"
    ):  # of a build that was killed: this one has the lock
        shutil.rmtree(left_over, ignore_errors=True)
    temporary = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    samples = source.samples()
    try:
        temporary.mkdir(parents=True)
        _require_space(source, len(samples), temporary)
        digests = _write_pixels(source, samples, temporary, on_progress)
        files = {name: _file_record(temporary / name, digest) for name, digest in digests.items()}
        record = {"format": _FORMAT, "key": key, "files": files}
        memory.write(temporary / _RECORD, json.dumps(record, indent=1))
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except OSError as error:
        raise DataError(
            message(
                str(folder.parent),
                f"the cache of decoded images cannot be written ({error.strerror or error})",
                see="Nothing was left behind; free some space or set SEGBENCH_DATA to another disk",
            )
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _require_space(source: Source, num_samples: int, folder: Path) -> None:
    needed = num_samples * source.size_px**2 * (source.channels + 1) + _SPARE_BYTES
    free = shutil.disk_usage(folder).free
    needed_mib, free_mib = (f"{value / 2**20:,.0f} MiB" for value in (needed, free))
    if free < needed:
        raise DataError(
            message(
                str(folder.parent),
                f"the decoded images need {needed_mib}, but the disk has {free_mib}",
                see="Free some space or set SEGBENCH_DATA to another disk",
            )
        )


def _write_pixels(
    source: Source, samples: Sequence[Sample], folder: Path, on_progress: OnProgress | None
) -> dict[str, str]:
    """Write both arrays from front to back: a full disk is an error here, but a bus error in a memory map.

    Returns:
        Name of each file -> SHA-256 of its content, taken while the next images are decoded.
    """
    size = source.size_px
    problems: list[str] = []
    done = 0
    with (
        _Hashed(folder / _IMAGES) as images,
        _Hashed(folder / _MASKS) as masks,
        ThreadPoolExecutor(min(_MOST_THREADS, len(os.sched_getaffinity(0)))) as pool,
    ):
        _write_header(images, (len(samples), size, size, source.channels))
        _write_header(masks, (len(samples), size, size))
        for pair in in_order(pool, lambda sample: _decode(source, sample), samples, most=_CHUNK):
            if isinstance(pair, DataError):
                problems += pair.problems
            else:
                images.write(pair[0].tobytes())
                masks.write(pair[1].tobytes())
            done += 1
            if on_progress is not None and (done % _CHUNK == 0 or done == len(samples)):
                on_progress(done, len(samples))
            if len(problems) >= _MOST_PROBLEMS and done % _CHUNK == 0:
                break
        digests = {name: stream.finish() for name, stream in ((_IMAGES, images), (_MASKS, masks))}
    if len(problems) > _MOST_PROBLEMS:
        problems[_MOST_PROBLEMS:] = ["... and perhaps more"]
    if problems:
        raise DataError(problems)
    return digests


class _Hashed:
    """A file that is written from front to back and hashed on the way."""

    def __init__(self, file: Path) -> None:
        self._stream = file.open("wb")
        self._sum = hashlib.sha256()

    def __enter__(self) -> _Hashed:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()

    def write(self, content: bytes) -> None:
        self._stream.write(content)
        self._sum.update(content)

    def finish(self) -> str:
        """Wait until the disk has it all; return the SHA-256."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        return self._sum.hexdigest()


def _decode(source: Source, sample: Sample) -> Decoded:
    try:
        image, mask = source.decode(sample)
    except DataError as error:
        return error
    return resize_pair(image, mask, source.size_px)


def _write_header(stream: Any, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _file_record(file: Path, digest: str) -> dict[str, Any]:
    stat = file.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": digest}


def folder_title(name: str) -> str:
    """Return a variant's name as part of a folder's name; an import path loses its signs."""
    return re.sub(r"[^A-Za-z0-9_]+", "_", name)
