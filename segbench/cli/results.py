"""`segbench results`: look after what lies under results/."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.cli.options import ProjectOption, StorageOption
from segbench.store.gc import Keep
from segbench.sweep.loggers import Logger
from segbench.wording import counted

if TYPE_CHECKING:
    from segbench.store.layout import ExperimentFolder

ExperimentsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[EXPERIMENT]...", help="Names under results/. Without them: all.", show_default=False
    ),
]

app = typer.Typer(help="Look after what lies under results/.", no_args_is_help=True)


@app.command()
def sync(
    experiments: ExperimentsArgument = None,
    storage: StorageOption = None,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            help="Delete studies whose experiment is gone; of a storage named by --storage, which others may "
            "share, only those that are named.",
        ),
    ] = False,
    project: ProjectOption = None,
) -> None:
    """Write the dashboard's studies from the files.

    After the database was lost, damaged or left behind; a second call changes nothing.
    """
    from segbench.config.load import results_name
    from segbench.config.project import Project
    from segbench.dashboard.address import find_address
    from segbench.dashboard.mirror import synchronise

    around = Project.around(project or Path.cwd())
    address = find_address(storage, around.results)
    done = synchronise(
        around,
        address,
        names=[results_name(name) for name in experiments or ()],
        prune=prune,
        note=typer.echo,
    )
    for study in done.studies:
        how = "written anew, it contradicted the records" if study.is_rebuilt else "like the records"
        typer.echo(f"{study.name}: {study.skipped or f'{study.num_trials} trials, {how}'}")
    if not done.studies and not done.orphans and not done.pruned:
        typer.echo("no results")
    for name in done.pruned:
        typer.echo(f"{name}: deleted, its experiment is gone")
    for name, count in done.orphans.items():
        how = f"`segbench results sync {name} --prune` deletes it"
        typer.echo(f"{name}: {count} trials, but no such experiment under results/; {how}")
    typer.echo(f"in {address.shown}")


@app.command()
def log(
    experiments: ExperimentsArgument = None,
    to: Annotated[
        list[Logger] | None, typer.Option("--to", help="Which logger. May be repeated.", show_default=False)
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Write what TensorBoard and wandb show from the files.

    For trials that ran without `sweep --log`, or whose logs were lost; a second call changes nothing.
    """
    from segbench.errors import ExperimentError, message
    from segbench.sweep.loggers import Log, check_installed

    if not to:
        raise ExperimentError(message("results log", "say which logger with --to", known=list(Logger)))
    check_installed(to, "--to")
    for folder in _chosen("results log", experiments, project):
        for logger in dict.fromkeys(to):
            written = Log(logger, folder)
            num_written, num_found = written.update()
            written.close()
            where = logger.folder(folder)
            where = where.relative_to(Path.cwd()) if where.is_relative_to(Path.cwd()) else where
            typer.echo(f"{folder.name}: {num_written} of {counted(num_found, 'trial')} written to {where}")


def _chosen(where: str, asked: Iterable[str] | None, project: Path | None) -> list[ExperimentFolder]:
    from segbench.config.load import results_name
    from segbench.config.project import Project
    from segbench.errors import ResultsError, message
    from segbench.store.layout import ResultsFolder

    found = {f.name: f for f in ResultsFolder(Project.around(project or Path.cwd()).results).experiments()}
    names = [results_name(name) for name in asked or ()]
    for name in names:
        if name not in found:
            rule = "there are no results of this name"
            raise ResultsError(message(where, rule, got=name, known=list(found)))
    return [folder for name, folder in found.items() if not names or name in names]


@app.command()
def gc(
    experiments: ExperimentsArgument = None,
    keep: Annotated[
        Keep, typer.Option("--keep", help="What stays of a finished trial besides its record.")
    ] = Keep.BEST,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")
    ] = False,
    project: ProjectOption = None,
) -> None:
    """Give room back: weights of finished trials.

    best keeps the weights at the selected epoch and the test masks and removes the state that training went
    on from; masks keeps the masks alone; records keeps neither. Without weights `evaluate` and `predict` have
    nothing to use, without masks a report keeps the panels it has. Records are never touched, nor a trial
    that may go on or runs.
    """
    from segbench.cli.printing import size
    from segbench.store.gc import find_garbage, remove_garbage

    total = 0
    for folder in _chosen("results gc", experiments, project):
        found = find_garbage(folder, keep) if dry_run else remove_garbage(folder, keep)
        room = sum(garbage.num_bytes for garbage in found)
        total += room
        if found:
            typer.echo(f"{folder.name}: {counted(len(found), 'file')}, {size(room)}")
    typer.echo(f"{size(total)} {'would be free' if dry_run else 'are free'}")
