"""`segbench export`: an experiment in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.cli.options import ExperimentArgument, ScaleOption
from segbench.wording import counted


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
    from segbench.sweep.export import export as write_zip

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
