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
import threading
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

from segbench import memory
from segbench.report.draw import figure, layout, matplotlib_files
from segbench.report.draw.figure import Figure
from segbench.report.draw.matplotlib_files import draw_files

Drawn = Mapping[str, bytes]
"""Suffix -> content."""

_WORTH_A_PROCESS_S: Final = 4.0
"""Seconds of drawing that wait before a second process pays: it begins with a second of imports."""

_MANY_CELLS: Final = 60
"""Their figures take more than `_WORTH_A_PROCESS_S` together."""


class Drawing:
    """Draws figures as they are made; `files` returns what became of each.

    Where there is enough to draw, a second process draws while its owner still makes others; `files` draws
    beside it, either the largest that waits. Leaving the context ends the process.
    """

    def __init__(self, folder: Path, *, num_cells: int = 0) -> None:
        """Begin.

        Args:
            folder: Where the files of the last report lie: `NAME.png`, `NAME.svg`, `NAME.pdf`.
            num_cells: Of the experiment, where that is known before the figures are. With many of them, and
                no figure drawn before, the other process starts at once.
        """
        self._folder = folder
        self._place = _place(folder)
        self._entry = memory.recall(self._place) or {}
        self._wanted: dict[str, str] = {}
        self._drawn: dict[str, Drawn] = {}
        self._waiting = _Waiting()
        self._has_drawn = False
        self._second: _SecondProcess | None = None
        if num_cells >= _MANY_CELLS and not self._entry:
            self._start_second()

    def __enter__(self) -> Drawing:
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.close()
        if self._second is not None:
            self._second.end()

    def add(self, figure: Figure) -> None:
        """Draw a figure, now or later, unless its files stand as they would be drawn."""
        digest = self._wanted[figure.name] = _digest(figure)
        kept = _standing(self._folder, figure.name, self._entry.get(figure.name), digest)
        if kept is not None:
            self._drawn[figure.name] = kept
            return
        self._has_drawn = True
        self._waiting.put(figure)
        if self._waiting.is_worth_a_process():
            self._start_second()

    def files(self) -> dict[str, Drawn]:
        """Return the files of each figure by its name."""
        self._waiting.close()
        self._draw_waiting()
        if self._second is not None:
            self._second.join()
            self._draw_waiting()  # what it gave back
        files = {name: self._drawn[name] for name in self._wanted}
        if self._has_drawn:
            entry = {name: {"of": self._wanted[name], "files": _hashes(files[name])} for name in files}
            memory.keep(self._place, entry)
        return files

    def _start_second(self) -> None:
        if self._second is None and (os.cpu_count() or 1) > 1:
            self._second = _SecondProcess(self._waiting, self._drawn)

    def _draw_waiting(self) -> None:
        while (figure := self._waiting.take()) is not None:
            self._drawn[figure.name] = draw_files(figure)


class _Waiting:
    """Figures to be drawn, by whoever asks first."""

    def __init__(self) -> None:
        self._figures: list[Figure] = []
        self._changed = threading.Condition()
        self._is_closed = False

    def put(self, figure: Figure) -> None:
        with self._changed:
            self._figures.append(figure)
            self._changed.notify()

    def take(self) -> Figure | None:
        """Return the largest one; waits for one until `close`, and then returns None where none is left."""
        with self._changed:
            while not self._figures and not self._is_closed:
                self._changed.wait()
            if not self._figures:
                return None
            figure = max(self._figures, key=_seconds)
            self._figures.remove(figure)
            return figure

    def close(self) -> None:
        """Say that no more come."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def is_worth_a_process(self) -> bool:
        return len(self._figures) > 1 and sum(map(_seconds, self._figures)) >= _WORTH_A_PROCESS_S


def _place(folder: Path) -> Path:
    return memory.user_folder() / f"drawn-{memory.digest(str(folder.resolve()).encode())[:32]}.json"


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
    sources = [Path(str(module.__file__)).read_bytes() for module in (matplotlib_files, figure, layout)]
    return hashlib.sha256(b"".join([repr((version("matplotlib"), of)).encode(), *sources])).hexdigest()


class _SecondProcess:
    """Draws what waits, one after another; a thread of ours hands the figures over."""

    def __init__(self, waiting: _Waiting, drawn: dict[str, Drawn]) -> None:
        self._waiting, self._drawn = waiting, drawn
        self._process = subprocess.Popen(
            [sys.executable, "-m", "segbench.report.draw.drawn"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._thread = threading.Thread(target=self._hand_over, name="drawing", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until nothing waits and nothing is drawn; what it could not draw waits again."""
        self._thread.join()

    def end(self) -> None:
        """Kill the process; `waiting` is closed."""
        self._process.kill()
        self._thread.join()
        self._process.wait()

    def _hand_over(self) -> None:
        questions, answers = self._process.stdin, self._process.stdout
        assert questions is not None
        assert answers is not None
        with answers, contextlib.suppress(OSError), questions:
            while (figure := self._waiting.take()) is not None:
                try:
                    pickle.dump(figure, questions)
                    questions.flush()
                    self._drawn[figure.name] = pickle.load(answers)
                except (OSError, EOFError, pickle.UnpicklingError):
                    self._waiting.put(figure)
                    return


def _seconds(of: Figure) -> float:
    """Guess how long a figure takes to draw, from what was measured of large ones."""
    return 0.3 + 0.1 * sum(len(row) for row in of.facets) + 0.01 * len(of.marks)


def _answer() -> None:
    """Draw the figures that come on standard input: the second process."""
    with contextlib.suppress(EOFError):
        while True:
            figure: Figure = pickle.load(sys.stdin.buffer)
            pickle.dump(dict(draw_files(figure)), sys.stdout.buffer)
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    _answer()
