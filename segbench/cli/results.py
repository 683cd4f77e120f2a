"""`segbench results`: look after what lies under results/."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.cli.options import ProjectOption, StorageOption

app = typer.Typer(help="Look after what lies under results/.", no_args_is_help=True)


@app.callback()
def _results() -> None:
    """Make a group of it, also while it has one command."""


@app.command()
def sync(
    experiments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[EXPERIMENT]...",
            help="Names under results/. Without them: all.",
            show_default=False,
        ),
    ] = None,
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
    from segbench.config.project import Project
    from segbench.sweep.address import find_address
    from segbench.sweep.sync import synchronise

    around = Project.around(project or Path.cwd())
    address = find_address(storage, around.results)
    done = synchronise(around, address, names=experiments or (), prune=prune, note=typer.echo)
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
