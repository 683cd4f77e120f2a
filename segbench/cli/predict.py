"""`segbench predict`: a saved trial on image files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.cli.options import ProjectOption
from segbench.cli.resources import DeviceOption


def predict(
    trial: Annotated[
        str,
        typer.Argument(
            metavar="TRIAL", help="A trial's folder, EXPERIMENT/HASH, or the first digits of its hash."
        ),
    ],
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGES...", help="Image files of any size, or folders of them.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the PNG files go.")],
    overlay: Annotated[bool, typer.Option(help="Write the image with the mask drawn over it.")] = True,
    probability: Annotated[bool, typer.Option(help="Write the probability as grey values.")] = False,
    device: DeviceOption = "auto",
    project: ProjectOption = None,
) -> None:
    """Predict masks with a saved trial.

    For image files of any size, with the selected weights.

    An image that cannot be read is named at the end; the others are written.
    """
    from segbench.config.project import Project
    from segbench.engine.numerics import choose_device
    from segbench.errors import DataError
    from segbench.inference.locate import find_trial
    from segbench.inference.pictures import find_images, write_pictures
    from segbench.inference.predictor import Predictor
    from segbench.store.layout import ResultsFolder

    found = Project.around(project or Path.cwd())
    files = find_images(images)
    predictor = Predictor(find_trial(trial, ResultsFolder(found.results)), device=choose_device(device))
    problems: list[str] = []
    for file in files:
        try:
            prediction = predictor.predict_file(file)
        except DataError as error:
            problems += error.problems
            continue
        written = write_pictures(prediction, file.stem, out, with_overlay=overlay, with_probs=probability)
        typer.echo(f"{file}: {prediction.mask.mean():.1%} foreground -> {', '.join(p.name for p in written)}")
    typer.echo(f"{len(files) - len(problems)} of {len(files)} images predicted into {out}")
    if problems:
        raise DataError(problems)
