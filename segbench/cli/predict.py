"""`segbench predict`: a saved trial on image files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.cli.options import (
    BatchSizeOption,
    DeviceOption,
    NetworkThreadsOption,
    ProjectOption,
    TrialArgument,
)
from segbench.inference.size import MOST_OVERLAP, OVERLAP, Size

if TYPE_CHECKING:
    from segbench.inference.predictor import Prediction

SizeOption = Annotated[
    Size,
    typer.Option(
        "--size",
        help="What the network sees: squeeze (both sides to the training size, as in training), fit (the "
        "longer side, the rest mirrored), whole (the image's own pixels at once), tile (its own pixels in "
        "blended tiles of the training size).",
    ),
]

OverlapOption = Annotated[
    float,
    typer.Option(
        "--overlap",
        min=0,
        max=MOST_OVERLAP,
        metavar="SHARE",
        help="Of tiles: what neighbours have in common.",
    ),
]


def predict(
    trial: TrialArgument,
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGES...", help="Image files of any size, or folders of them.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the PNG files go.")],
    size: SizeOption = Size.squeeze,
    overlap: OverlapOption = OVERLAP,
    overlay: Annotated[bool, typer.Option(help="Write the image with the mask drawn over it.")] = True,
    probability: Annotated[bool, typer.Option(help="Write the probability as grey values.")] = False,
    batch_size: BatchSizeOption = None,
    device: DeviceOption = "auto",
    threads: NetworkThreadsOption = None,
    project: ProjectOption = None,
) -> None:
    """Predict masks with a saved trial.

    For image files of any size, with the selected weights; masks have the images' own sizes.

    An image that cannot be read is named at the end; the others are written.
    """
    from segbench.config.project import Project
    from segbench.engine.heap import hold_freed_memory
    from segbench.engine.numerics import choose_device
    from segbench.errors import DataError
    from segbench.inference.pictures import find_images, write_pictures
    from segbench.inference.predictor import Predictor, find_trial
    from segbench.inference.stream import stream
    from segbench.store.layout import ResultsFolder

    found = Project.around(project or Path.cwd())
    files = find_images(images)
    predictor = Predictor(
        find_trial(trial, ResultsFolder(found.results)),
        device=choose_device(device),
        size=size,
        overlap=overlap,
        batch_size=batch_size,
        threads=threads,
    )

    def write(file: Path, prediction: Prediction) -> str:
        written = write_pictures(prediction, file.stem, out, with_overlay=overlay, with_probs=probability)
        return f"{prediction.mask.mean():.1%} foreground -> {', '.join(p.name for p in written)}"

    if size is not Size.whole:  # where sizes differ, so does what is freed
        hold_freed_memory()
    problems: list[str] = []
    for file, said in stream(predictor, files, predictor.read, write):
        if isinstance(said, DataError):
            problems += said.problems
        else:
            typer.echo(f"{file}: {said}")
    typer.echo(f"{len(files) - len(problems)} of {len(files)} images predicted into {out}")
    if problems:
        raise DataError(problems)
