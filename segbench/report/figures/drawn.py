"""Files of figures: only those that changed are drawn, many of them by two processes.

What a figure's files were drawn from is remembered beside segbench's other entries (`$SEGBENCH_CACHE`);
files that are there with the content that was drawn are taken as they are. A lost or damaged entry costs time
alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from segbench.config import remembered
from segbench.report.figures import draw_matplotlib, figure, geometry
from segbench.report.figures.draw_matplotlib import draw_files
from segbench.report.figures.figure import Figure

Drawn = Mapping[str, bytes]
"""Suffix -> content."""

_WORTH_A_PROCESS_S: Final = 4.0
"""Seconds of drawing from which a second process pays: it begins with a second of imports."""


@contextlib.contextmanager
def drawing(figures: Sequence[Figure], folder: Path) -> Iterator[Callable[[], dict[str, Drawn]]]:
    """Begin to draw; within the block, what is given returns the files of each figure by its name.

    A second process, where there is one, draws from the block's start on.

    Args:
        figures: What the report shows.
        folder: Where the files of the last report lie: `NAME.png`, `NAME.svg`, `NAME.pdf`.
    """
    place = _place(folder)
    entry = remembered.recall_entry(place)
    wanted = {each.name: _digest(each) for each in figures}
    kept = {name: _standing(folder, name, entry.get(name), digest) for name, digest in wanted.items()}
    missing = [each for each in figures if kept[each.name] is None]
    with _drawing(missing) as draw:

        def finish() -> dict[str, Drawn]:
            drawn = draw()
            files = {each.name: kept[each.name] or drawn[each.name] for each in figures}
            if missing:
                remembered.keep_entry(
                    place, {name: {"of": wanted[name], "files": _hashes(files[name])} for name in wanted}
                )
            return files

        yield finish


def _place(folder: Path) -> str:
    return f"drawn-{remembered.digest(str(folder.resolve()).encode())[:32]}"


def _standing(folder: Path, name: str, known: object, digest: str) -> Drawn | None:
    """Return the files that stand, where they are those that were drawn from this figure."""
    if not isinstance(known, dict) or known.get("of") != digest or not isinstance(known.get("files"), dict):
        return None
    try:
        found = {suffix: (folder / f"{name}.{suffix}").read_bytes() for suffix in known["files"]}
    except OSError:
        return None
    return found if found and _hashes(found) == known["files"] else None


def _hashes(files: Drawn) -> dict[str, str]:
    return {suffix: hashlib.sha256(content).hexdigest() for suffix, content in files.items()}


def _digest(of: Figure) -> str:
    """Digest a figure and what draws it."""
    sources = [Path(str(module.__file__)).read_bytes() for module in (draw_matplotlib, figure, geometry)]
    return hashlib.sha256(b"".join([repr((version("matplotlib"), of)).encode(), *sources])).hexdigest()


@contextlib.contextmanager
def _drawing(figures: Sequence[Figure]) -> Iterator[Callable[[], dict[str, Drawn]]]:
    def draw(these: Sequence[Figure]) -> dict[str, Drawn]:
        return {each.name: draw_files(each) for each in these}

    if sum(map(_seconds, figures)) < _WORTH_A_PROCESS_S or len(figures) < 2 or (os.cpu_count() or 1) < 2:
        yield lambda: draw(figures)
        return
    ours, theirs = _halves(figures)
    with _other_process(theirs) as process:

        def finish() -> dict[str, Drawn]:
            drawn = draw(ours)
            answer, _ = process.communicate()
            return drawn | (pickle.loads(answer) if process.returncode == 0 else draw(theirs))

        yield finish


def _halves(figures: Sequence[Figure]) -> tuple[list[Figure], list[Figure]]:
    """Divide figures into two parts that take about as long."""
    halves: tuple[list[Figure], list[Figure]] = ([], [])
    for each in sorted(figures, key=_seconds, reverse=True):
        min(halves, key=lambda half: sum(map(_seconds, half))).append(each)
    return halves


@contextlib.contextmanager
def _other_process(figures: Sequence[Figure]) -> Iterator[subprocess.Popen[bytes]]:
    import tempfile

    with tempfile.TemporaryFile() as questions:
        pickle.dump(list(figures), questions)
        questions.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-m", "segbench.report.figures.drawn"],
            stdin=questions,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        with process:
            try:
                yield process
            finally:
                process.kill()  # where the report failed meanwhile


def _seconds(of: Figure) -> float:
    """Guess how long a figure takes to draw, from what was measured of large ones."""
    return 0.3 + 0.1 * sum(len(row) for row in of.facets) + 0.01 * len(of.marks)


def _answer() -> None:
    """Draw what stands on standard input: the second process's half."""
    figures: list[Figure] = pickle.load(sys.stdin.buffer)
    pickle.dump({each.name: dict(draw_files(each)) for each in figures}, sys.stdout.buffer)


if __name__ == "__main__":
    _answer()
