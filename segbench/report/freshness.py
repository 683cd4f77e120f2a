"""What a report was made from, as digests: a report that is older than its results is found without drawing.

A `Stamp` remembers sizes and times of all files that enter a report: where nothing changed, nothing is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

import segbench
from segbench import memory
from segbench.config import load
from segbench.config.experiment import Experiment
from segbench.config.trial import canonical_json
from segbench.report.labels import TEMPLATE, Style
from segbench.store.layout import ExperimentFolder, ResultsFolder
from segbench.store.scan import scan
from segbench.store.untuned import find_untuned
from segbench.wording import counted

NUMBERS_FILE: Final = "numbers.json"
_DIGITS: Final = 16
_CODE: Final = ("segbench.report", "segbench.stats")
_SOURCES: Final = (".py", ".css", ".js", ".jinja")
_MOST_NAMED: Final = 3


def recorded(experiment: Experiment) -> dict[str, Any]:
    """Digest what was recorded: `results` (index, history, samples), and `trials`: hash -> digest.

    Of a tuned design also `untuned`: the records, of other experiments too, that it is set against.
    Take it before the results are read: what changes in between then counts as newer.
    """
    folder = ResultsFolder(experiment.project.results).experiment(experiment.name)
    found: dict[str, Any] = {
        "results": _digest([_content(file) for file in (folder.index, folder.history, folder.samples)]),
        "trials": _trials(folder),
    }
    if experiment.tune is not None:
        found["untuned"] = _digest([_content(file) for file in _untuned(experiment, folder)])
    return found


def described(experiment: Experiment, style: Style) -> dict[str, str]:
    """Digest the experiment as it is asked, the style, and the code that makes reports."""
    document = {key: value for key, value in experiment.document.items() if key != "slurm"}
    return {
        "experiment": _digest([canonical_json(document).encode()]),
        "style": _digest([canonical_json(asdict(style)).encode()]),
        "code": _code_digest(),
    }


def differences(folder: Path, experiment: Experiment, style: Style) -> list[str]:
    """Return what a report is older than, one part of a sentence each; nothing: it is up to date.

    Args:
        folder: The report's.
        experiment: As it is asked now.
        style: As it is now.
    """
    made_from = _made_from(folder / NUMBERS_FILE)
    if made_from is None:
        return ["there is no report that says what it was made from"]
    now = recorded(experiment)
    found = _changed_trials(made_from.get("trials"), now["trials"])
    if made_from.get("results") != now["results"]:
        found.append("index.csv, history.csv or samples.csv changed")
    if made_from.get("untuned") != now.get("untuned"):
        found.append("records of the cells without tuning changed")
    words = {
        "experiment": "the experiment changed",
        "style": "style.yaml changed",
        "code": "segbench's code for reports changed",
    }
    later = described(experiment, style)
    return found + [text for name, text in words.items() if made_from.get(name) != later[name]]


def _made_from(path: Path) -> Mapping[str, Any] | None:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    made_from = read.get("made_from") if isinstance(read, dict) else None
    return made_from if isinstance(made_from, dict) and made_from else None


def _changed_trials(before: Any, now: Mapping[str, str]) -> list[str]:
    before = before if isinstance(before, dict) else {}
    groups = {
        "new": [trial for trial in now if trial not in before],
        "gone": [trial for trial in before if trial not in now],
        "changed": [trial for trial in now if trial in before and before[trial] != now[trial]],
    }
    return [_named(trials, word) for word, trials in groups.items() if trials]


def _named(trials: list[str], word: str) -> str:
    shown = ", ".join(trials[:_MOST_NAMED])
    if len(trials) > _MOST_NAMED:
        shown += f" and {len(trials) - _MOST_NAMED} more"
    return f"{counted(len(trials), 'trial')} {'is' if len(trials) == 1 else 'are'} {word} ({shown})"


def _trials(folder: ExperimentFolder) -> dict[str, str]:
    return {
        trial.hash: _digest([_content(file) for file in (trial.record, trial.epochs, trial.images)])[:8]
        for trial in folder.trial_folders()
    }


def _untuned(experiment: Experiment, folder: ExperimentFolder) -> list[Path]:
    """Return other experiments' records that a tuned design is set against."""
    fingerprints = {record.data_fingerprint for record in scan(folder).records.values()}
    return [trial.folder.record for trial in find_untuned(experiment, fingerprints)]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _digest(parts: list[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:_DIGITS]


def _code_digest() -> str:
    """Digest the sources of `report` and `stats`, style sheets and scripts of the page included."""
    parts: list[bytes] = []
    for package in _CODE:
        root = Path(str(resources.files(package)))
        files = (f for f in root.rglob("*") if f.suffix in _SOURCES)
        for file in sorted(files, key=lambda file: file.relative_to(root).as_posix()):
            parts += [file.relative_to(root).as_posix().encode(), _content(file)]
    return _digest(parts)


# Whether a report would come out as it stands: everything that enters it, by sizes and times of files.
#
# A stamp of what was read, the experiment, segbench itself and the report's own folder is remembered beside
# segbench's other entries (`$SEGBENCH_CACHE`), with what the command said. While all of it is the same, the
# command says it again and reads nothing. A report on unfinished trials is never remembered: files do not
# tell whether a running trial's worker is alive.


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
        written = load.experiment_to_json(experiment)
        parts = [
            canonical_json(written),
            repr(tuple(contrasts)),
            str(project.root),
            str(with_pdf and shutil.which("pdflatex")),
            str(shutil.get_terminal_size().columns),
            *_files(Path(segbench.__file__).parent, (*_SOURCES, ".tex")),
            *_files(project.results / experiment.name),
            # The head says who else has read the test images.
            *_seen(project.results.glob("*/trials/*/trial.json")),
            *_data(experiment),
        ]
        place = memory.digest(f"{folder.resolve()} {with_pdf}".encode())
        return cls(f"report-{place[:32]}", memory.digest("\n".join(parts).encode()), folder)

    def recall(self) -> Said | None:
        """Return what was said, where nothing has changed since; else None."""
        entry = memory.recall(self._entry) or {}
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
        memory.keep(
            self._entry,
            {
                "inputs": self.inputs,
                "written": self._written(),
                "answer": said.answer,
                "warnings": list(said.warnings),
                "pages": [page.name for page in said.pages],
                "entry": dict(said.entry),
            },
        )

    @property
    def _entry(self) -> Path:
        return memory.user_folder() / f"{self.place}.json"

    def _written(self) -> str:
        return memory.digest("\n".join(_files(self.folder)).encode())


def records_stamp(experiment: Experiment) -> str:
    """Digest what a report follows while a sweep runs: records, index and history by size and time; style.

    Epochs of a running trial are no part of it: a report shows trials that have ended.
    """
    folder = ResultsFolder(experiment.project.results).experiment(experiment.name)
    style = experiment.project.reports / experiment.name / "style.yaml"
    # A report writes the template where no style stands: that is no change.
    found = [style.read_text(encoding="utf-8", errors="replace") if style.is_file() else TEMPLATE]
    found += _seen([folder.index, folder.history, folder.samples, *folder.trials.glob("*/trial.json")])
    return memory.digest("\n".join(found).encode())


def _files(folder: Path, suffixes: tuple[str, ...] = ("",)) -> list[str]:
    """Return path, size and time of every file below a folder that a report may read."""
    files = []
    for root, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if name != "__pycache__"]
        kept = [name for name in names if name.endswith(suffixes) and name not in _WHILE_IT_RUNS]
        files += [Path(root) / name for name in kept]
    return _seen(files)


def _seen(paths: Iterable[Path]) -> list[str]:
    """Return path, size and time of the files that are there, in order."""
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            stat = path.stat()
            found.append(f"{path} {stat.st_size} {stat.st_mtime_ns}")
    return sorted(found)


def _data(experiment: Experiment) -> list[str]:
    """Return what tells whether the data sets are here, for the pictures of test images."""
    project = experiment.project
    configs = [cell.config for cell in experiment.cells] or [experiment.baseline]
    named = {v for config in configs for v in config.dataset.knobs.values() if isinstance(v, str)}
    folders = [project.data, *(path for path in project.data.glob("*") if path.is_dir())]
    paths = {*folders, *project.data.glob("*/*"), *(project.root / text for text in named)}
    return [f"{path} {path.stat().st_mtime_ns}" for path in sorted(paths) if path.exists()]
