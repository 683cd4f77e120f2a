"""An experiment in one file, for a colleague: its question, records and report."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from segbench import __version__
from segbench.config.experiment import Experiment
from segbench.config.load import files_of
from segbench.errors import ResultsError, message
from segbench.store.atomic import TEMPORARY, replacing
from segbench.store.layout import ExperimentFolder, ResultsFolder

_WEIGHTS: Final = ("best.pt", "last.pt")
_TRANSIENT: Final = ("queue.json", "queue.lock", "log.txt", "stop", "sweep.log")
_DATE: Final = (1980, 1, 1, 0, 0, 0)
"""Of every entry: the same content gives the same file."""

README: Final = """\
{name}

{question}

An experiment of segbench {version}: its file, its records (results/{name}) and its report (reports/{name}).
Open reports/{name}/report.html in a browser. To make the report anew, unpack this, install that version of
segbench and run, here:

    segbench report {asked}

Weights{masks} are not in here unless asked for; `segbench sweep {asked}` finds every trial done.
"""


def export(
    experiment: Experiment, target: Path, *, has_weights: bool = False, has_masks: bool = False
) -> list[str]:
    """Write an experiment's files into a zip, laid out as a project.

    Args:
        experiment: One with records.
        target: The zip; one that is there is replaced.
        has_weights: Whether the weights at the selected epochs go in.
        has_masks: Whether the predicted test masks go in, from which panels are drawn.

    Returns:
        The names in the zip, sorted.

    Raises:
        ResultsError: There are no records, or the zip cannot be written.
    """
    project = experiment.project
    folder = ResultsFolder(project.results).experiment(experiment.name)
    if next(folder.trial_folders(), None) is None:
        raise ResultsError(
            message(
                str(folder.root),
                "there are no records to export",
                see=f"`segbench sweep {experiment.name}` makes them",
            )
        )
    entries: dict[str, Path] = {}
    for file in files_of(experiment):
        entries[_name(file, project.root, "experiments")] = file
    if project.axes.is_dir():
        for file in sorted(project.axes.rglob("*.py")):
            entries[_name(file, project.root, "axes")] = file
    for file in _records(folder, has_weights=has_weights, has_masks=has_masks):
        entries[f"results/{folder.name}/{file.relative_to(folder.root).as_posix()}"] = file
    report = project.reports / experiment.name
    for file in sorted(path for path in report.rglob("*") if path.is_file()):
        entries[f"reports/{experiment.name}/{file.relative_to(report).as_posix()}"] = file
    readme = README.format(
        name=experiment.name,
        question=experiment.question,
        version=__version__,
        asked=experiment.name,
        masks="" if has_masks else " and predicted masks",
    )
    with replacing(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        _write(archive, "README.txt", readme.encode())
        for name in sorted(entries):
            _write(archive, name, entries[name].read_bytes())
    return ["README.txt", *sorted(entries)]


def _write(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content, zipfile.ZIP_DEFLATED)


def _records(folder: ExperimentFolder, *, has_weights: bool, has_masks: bool) -> Iterator[Path]:
    """Yield what is worth keeping under `results/<experiment>/`."""
    for path in sorted(path for path in folder.root.rglob("*") if path.is_file()):
        name = path.name
        if name in _TRANSIENT or TEMPORARY in name or name.startswith("lease."):
            continue
        if name in _WEIGHTS and not (has_weights and name == "best.pt"):
            continue
        if name == "masks.npz" and not has_masks:
            continue
        yield path


def _name(file: Path, root: Path, otherwise: str) -> str:
    """Return a file's place in the project; one from elsewhere goes into the folder of its kind."""
    try:
        return file.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return f"{otherwise}/{file.name}"
