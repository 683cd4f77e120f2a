"""`segbench export`: an experiment in one file, for a colleague: its question, records and report."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from segbench.cli.options import ExperimentArgument, ScaleOption
from segbench.wording import counted

if TYPE_CHECKING:
    from segbench.config.experiment import Experiment
    from segbench.store.layout import ExperimentFolder

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

    segbench report {name}

Weights{masks} are not in here unless asked for; `segbench sweep {name}` finds every trial done.
"""


def export(
    experiment: ExperimentArgument,
    scale: ScaleOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Where to write it; without it EXPERIMENT.zip.", show_default=False
        ),
    ] = None,
    weights: Annotated[
        bool, typer.Option("--weights", help="With the weights at the selected epochs.")
    ] = False,
    masks: Annotated[bool, typer.Option("--masks", help="With the predicted test masks.")] = False,
) -> None:
    """Put an experiment into a zip for a colleague.

    The file it was read from, the variants of the project, its records and its report, laid out so that
    `segbench report` works on them.
    """
    from segbench.cli.printing import size
    from segbench.config.load import load_experiment

    loaded = load_experiment(experiment, scale=scale)
    target = out or Path(f"{loaded.name}.zip")
    names = write_zip(loaded, target, has_weights=weights, has_masks=masks)
    trials = {name.split("/")[3] for name in names if name.startswith(f"results/{loaded.name}/trials/")}
    typer.echo(
        f"{target}: {counted(len(trials), 'trial')}, {counted(len(names), 'file')}, "
        f"{size(target.stat().st_size)}"
    )
    if not any(name.startswith("reports/") for name in names):
        typer.echo(f"without a report: `segbench report {loaded.name}` writes one, then export again")


def write_zip(experiment: Experiment, target: Path, *, has_weights: bool, has_masks: bool) -> list[str]:
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
    from segbench import __version__
    from segbench.config.load import files_of
    from segbench.errors import ResultsError, message
    from segbench.store.atomic import replacing
    from segbench.store.layout import ResultsFolder

    project, name = experiment.project, experiment.name
    folder = ResultsFolder(project.results).experiment(name)
    if next(folder.trial_folders(), None) is None:
        see = f"`segbench sweep {name}` makes them"
        raise ResultsError(message(str(folder.root), "there are no records to export", see=see))
    entries = {_place(file, project.root, "experiments"): file for file in files_of(experiment)}
    for file in project.axes.rglob("*.py"):
        entries[_place(file, project.root, "axes")] = file
    for file in _records(folder, has_weights=has_weights, has_masks=has_masks):
        entries[f"results/{folder.name}/{file.relative_to(folder.root).as_posix()}"] = file
    report = project.reports / name
    for file in filter(Path.is_file, report.rglob("*")):
        entries[f"reports/{name}/{file.relative_to(report).as_posix()}"] = file
    readme = README.format(
        name=name,
        question=experiment.question,
        version=__version__,
        masks="" if has_masks else " and predicted masks",
    )
    with replacing(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        _write(archive, "README.txt", readme.encode())
        for entry in sorted(entries):
            _write(archive, entry, entries[entry].read_bytes())
    return ["README.txt", *sorted(entries)]


def _write(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content, zipfile.ZIP_DEFLATED)


def _records(folder: ExperimentFolder, *, has_weights: bool, has_masks: bool) -> Iterator[Path]:
    """Yield what is worth keeping under `results/<experiment>/`."""
    from segbench.store.atomic import TEMPORARY

    for path in filter(Path.is_file, folder.root.rglob("*")):
        name = path.name
        if name in _TRANSIENT or TEMPORARY in name or name.startswith("lease."):
            continue
        if name in _WEIGHTS and not (has_weights and name == "best.pt"):
            continue
        if name == "masks.npz" and not has_masks:
            continue
        yield path


def _place(file: Path, root: Path, otherwise: str) -> str:
    """Return a file's place in the project; one from elsewhere goes into the folder of its kind."""
    try:
        return file.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return f"{otherwise}/{file.name}"
