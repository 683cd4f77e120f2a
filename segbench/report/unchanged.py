"""Whether a report would come out as it stands: everything that enters it, by sizes and times of files.

A stamp of what was read, the experiment, segbench itself and the report's own folder is remembered beside
segbench's other entries (`$SEGBENCH_CACHE`), with what the command said. While all of it is the same the
command says it again and reads nothing. A report on unfinished trials is never remembered: whether a running
trial's worker is alive, files do not tell.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import segbench
from segbench.config import remembered
from segbench.config.experiment import Experiment
from segbench.config.trial import canonical_json
from segbench.report.style import TEMPLATE
from segbench.store.layout import ResultsFolder

_WHILE_IT_RUNS: Final = ("log.txt", "sweep.log", "queue.json", "queue.lock")
"""Files of an experiment's folder that no report reads."""


@dataclass(frozen=True)
class Said:
    """What the command said last time."""

    answer: str
    """Question, answer and tables, with their colours."""
    warnings: tuple[str, ...]
    pages: tuple[Path, ...]
    entry: Mapping[str, str]
    """What the index of all reports says of it: the fields of `index_page.Entry`."""


@dataclass(frozen=True)
class Stamp:
    """What a report would be made from, as it was before anything was read."""

    place: str
    inputs: str
    folder: Path
    """The report's."""

    @classmethod
    def of(cls, experiment: Experiment, *, with_pdf: bool, contrasts: Sequence[str] = ()) -> Stamp:
        """Look at everything that enters the report of an experiment.

        Args:
            experiment: What was asked.
            with_pdf: Whether a PDF is made where LaTeX is installed.
            contrasts: What is shown besides; a report with others is another one.
        """
        project = experiment.project
        folder = project.reports / experiment.name
        written = remembered.experiment_to_json(experiment)
        parts = [
            canonical_json(written),
            repr(tuple(contrasts)),
            str(project.root),
            str(with_pdf and shutil.which("pdflatex")),
            str(shutil.get_terminal_size().columns),
            *_files(Path(segbench.__file__).parent, (".py", ".css", ".js", ".tex")),
            *_files(project.results / experiment.name),
            *_others(project.results),
            *_data(experiment),
        ]
        place = remembered.digest(f"{folder.resolve()} {with_pdf}".encode())
        return cls(f"report-{place[:32]}", remembered.digest("\n".join(parts).encode()), folder)

    def recall(self) -> Said | None:
        """Return what was said, where nothing has changed since; else None."""
        entry = remembered.recall_entry(self.place)
        if entry.get("inputs") != self.inputs or entry.get("written") != self._written():
            return None
        try:
            pages = tuple(self.folder / str(name) for name in entry["pages"])
            about = {str(key): str(text) for key, text in entry["entry"].items()}
            return Said(str(entry["answer"]), tuple(map(str, entry["warnings"])), pages, about)
        except (KeyError, TypeError, AttributeError):
            return None

    def keep(self, said: Said) -> None:
        """Remember the report that stands now."""
        remembered.keep_entry(
            self.place,
            {
                "inputs": self.inputs,
                "written": self._written(),
                "answer": said.answer,
                "warnings": list(said.warnings),
                "pages": [page.name for page in said.pages],
                "entry": dict(said.entry),
            },
        )

    def _written(self) -> str:
        return remembered.digest("\n".join(_files(self.folder)).encode())


def records_stamp(experiment: Experiment) -> str:
    """Digest what a report follows while a sweep runs: records, index and history by size and time; style.

    Epochs of a running trial are no part of it: a report shows trials that have ended.
    """
    folder = ResultsFolder(experiment.project.results).experiment(experiment.name)
    style = experiment.project.reports / experiment.name / "style.yaml"
    # A report writes the template where no style stands: that is no change.
    found = [style.read_text(encoding="utf-8", errors="replace") if style.is_file() else TEMPLATE]
    for path in (folder.index, folder.history, folder.samples, *sorted(folder.trials.glob("*/trial.json"))):
        with contextlib.suppress(OSError):
            stat = path.stat()
            found.append(f"{path} {stat.st_size} {stat.st_mtime_ns}")
    return remembered.digest("\n".join(found).encode())


def _files(folder: Path, suffixes: Sequence[str] = ()) -> list[str]:
    """Return path, size and time of every file below a folder, in order."""
    found = []
    for entry in _walk(str(folder)):
        if entry.name not in _WHILE_IT_RUNS and (not suffixes or entry.name.endswith(tuple(suffixes))):
            stat = entry.stat()
            found.append(f"{entry.path} {stat.st_size} {stat.st_mtime_ns}")
    return sorted(found)


def _walk(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    yield from _walk(entry.path) if entry.name != "__pycache__" else ()
                elif entry.is_file():
                    yield entry
    except OSError:
        return


def _others(results: Path) -> list[str]:
    """Return the records of all experiments: the head says who else has read the test images."""
    found = []
    for path in results.glob("*/trials/*/trial.json"):
        stat = path.stat()
        found.append(f"{path} {stat.st_size} {stat.st_mtime_ns}")
    return sorted(found)


def _data(experiment: Experiment) -> list[str]:
    """Return what tells whether the data sets are here, for the pictures of test images."""
    project = experiment.project
    folders = [project.data, *(path for path in project.data.glob("*") if path.is_dir())]
    configs = [cell.config for cell in experiment.cells] or [experiment.baseline]
    for text in {v for c in configs for v in c.dataset.knobs.values() if isinstance(v, str)}:
        folders.append(project.root / text)
    found = []
    for path in sorted({*folders, *(p for folder in folders[:1] for p in folder.glob("*/*"))}):
        if path.exists():
            found.append(f"{path} {path.stat().st_mtime_ns}")
    return found
