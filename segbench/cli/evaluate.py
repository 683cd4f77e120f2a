"""`segbench evaluate`: a saved trial measured again."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.cli.options import JsonOption, ProjectOption
from segbench.cli.resources import DeviceOption, ThreadsOption

if TYPE_CHECKING:
    from segbench.inference.verification import Verification


class Split(StrEnum):
    """A part of the data."""

    test = "test"
    val = "val"
    train = "train"


class Which(StrEnum):
    """Weights that a trial keeps."""

    selected = "selected"
    last = "last"


def evaluate(
    trial: Annotated[
        str,
        typer.Argument(
            metavar="TRIAL", help="A trial's folder, EXPERIMENT/HASH, or the first digits of its hash."
        ),
    ],
    split: Annotated[Split, typer.Option(help="Images to measure on; train is not augmented.")] = Split.test,
    which: Annotated[Which, typer.Option(help="best.pt or last.pt.")] = Which.selected,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Measure a saved trial again.

    And compare with what its record says.

    Exits 3 where they differ by more than 0.0001.
    """
    from segbench.cli.bars import file_bar
    from segbench.config.project import Project
    from segbench.engine.numerics import choose_device
    from segbench.errors import ResultsError, message
    from segbench.inference.locate import find_trial
    from segbench.inference.verification import TOLERANCE, verify_trial
    from segbench.store.layout import ResultsFolder

    here = Project.around(project or Path.cwd())
    folder = find_trial(trial, ResultsFolder(here.results))
    home = Project.around(folder.path) if project is None else here
    with file_bar("images decoded") as on_progress:
        found = verify_trial(
            folder,
            home,
            split=split.value,
            which=which.value,
            device=choose_device(device),
            threads=threads,
            on_progress=on_progress,
        )
    if json:
        from json import dumps

        typer.echo(dumps(found.to_json(), indent=2))
    else:
        typer.echo("\n".join(_table(found)))
    if found.agrees is False:
        rule = f"the means differ from the record's by more than {TOLERANCE:g}"
        raise ResultsError(message(found.trial, rule, got=found.largest_difference))


def _table(found: Verification) -> list[str]:
    images = f"{found.num_images} {found.split} images"
    width = max(10, *map(len, found.measured))
    lines = [
        f"{found.trial}: {found.which} weights (epoch {found.epoch}), {images}",
        f"  {'':{width}} {'measured':>12} {'recorded':>12}",
    ]
    for name, value in found.measured.items():
        recorded = f"{found.recorded[name]:12.6f}" if name in found.recorded else f"{'-':>12}"
        lines.append(f"  {name:{width}} {value:12.6f} {recorded}")
    if found.agrees is None:
        lines.append("The record holds nothing to compare with.")
    elif found.largest_difference == 0:
        lines.append("They are the same to the last digit of the record.")
    elif found.agrees:
        lines.append(f"They agree: the largest difference is {found.largest_difference:.1e}.")
    return lines
