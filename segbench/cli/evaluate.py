"""`segbench evaluate`: a saved trial measured again."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli.options import BatchSizeOption, DeviceOption, JsonOption, ProjectOption, TrialArgument
from segbench.inference.size import MOST_OVERLAP, OVERLAP, Size

if TYPE_CHECKING:
    from segbench.inference.measure import Measurement
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
    trial: TrialArgument,
    split: Annotated[
        Split | None,
        typer.Option(help="Images to measure on; train is not augmented.", show_default="test"),
    ] = None,
    which: Annotated[Which, typer.Option(help="best.pt or last.pt.")] = Which.selected,
    native: Annotated[
        bool, typer.Option("--native", help="Measure on the data set's files again, at their own sizes.")
    ] = False,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            metavar="DIR",
            help="Measure on these images instead, at their own sizes.",
            show_default=False,
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            "--masks", metavar="DIR", help="Folder of their masks; may be the same.", show_default=False
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="With --images: a knob of the data set `folder`, such as mask_suffix=_gt or "
            "foreground=[1,2]. May be repeated. Without it: as in the trial, where it has that data set.",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        Size | None,
        typer.Option(
            "--size",
            help="With --native or --images: what the network sees, as of `segbench predict`.",
            show_default=Size.squeeze.value,
        ),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(
            "--overlap",
            min=0,
            max=MOST_OVERLAP,
            metavar="SHARE",
            help="Of tiles: what neighbours have in common.",
            show_default=str(OVERLAP),
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="With --native or --images: write every metric of every image as CSV.",
            show_default=False,
        ),
    ] = None,
    batch_size: BatchSizeOption = None,
    device: DeviceOption = "auto",
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            min=1,
            help="CPU threads of the network; without it: as recorded, all cores with --native or --images.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Measure a saved trial again.

    And compare with what its record says.

    Exits 3 where they differ by more than 0.0001.

    With --native or --images: on images of any size with masks, each measured at its own size, outlines in
    the image's own pixels. These numbers are not those of the record, which are of images at the training
    size, and nothing is compared.
    """
    from segbench.cli.printing import file_bar
    from segbench.config.project import Project
    from segbench.engine.numerics import choose_device
    from segbench.errors import ResultsError, message
    from segbench.inference.predictor import find_trial
    from segbench.inference.verification import TOLERANCE, verify_trial
    from segbench.store.layout import ResultsFolder

    here = Project.around(project or Path.cwd())
    given = {
        "--masks": masks,
        "--set": settings,
        "--size": size,
        "--overlap": overlap,
        "--out": out,
        "--batch-size": batch_size,
    }
    _check_options(given, native=native, images=images, split=split, which=which)
    folder = find_trial(trial, ResultsFolder(here.results))
    home = Project.around(folder.path) if project is None else here
    part = (split or Split.test).value
    if native or images is not None:
        from segbench.engine.heap import hold_freed_memory
        from segbench.inference.measure import measure_folders, measure_own
        from segbench.inference.predictor import Predictor

        predictor = Predictor(
            folder,
            device=choose_device(device),
            size=size or Size.squeeze,
            overlap=OVERLAP if overlap is None else overlap,
            batch_size=batch_size,
            threads=threads,
        )
        if predictor.size is not Size.whole:  # where sizes differ, so does what is freed
            hold_freed_memory()
        with file_bar("images measured") as on_progress:
            if images is None or masks is None:
                measured = measure_own(predictor, home, split=part, on_progress=on_progress)
            else:
                measured = measure_folders(
                    predictor, images, masks, settings=settings or (), on_progress=on_progress
                )
        if out is not None:
            measured.write_csv(out)
        typer.echo(_dumps(measured.to_json()) if json else "\n".join(_native_table(measured)))
        return
    with file_bar("images decoded") as on_progress:
        found = verify_trial(
            folder,
            home,
            split=part,
            which=which.value,
            device=choose_device(device),
            threads=threads,
            on_progress=on_progress,
        )
    typer.echo(_dumps(found.to_json()) if json else "\n".join(_table(found)))
    if found.agrees is False:
        rule = f"the means differ from the record's by more than {TOLERANCE:g}"
        raise ResultsError(message(found.trial, rule, got=found.largest_difference))


def _check_options(
    given: Mapping[str, object], *, native: bool, images: Path | None, split: Split | None, which: Which
) -> None:
    """Refuse options that would mean nothing beside the others."""
    from segbench.errors import ExperimentError, message

    used = [name for name, value in given.items() if value is not None]
    problems = []
    if (images is None) != (given["--masks"] is None):
        missing = "--masks" if images is not None else "--images"
        rule = "images and masks are given together"
        problems.append(message(missing, rule, see="They may be one folder"))
    elif images is None and not native and used:
        see = "Without them the trial's cached images are measured, as when it was trained"
        problems.append(message(used[0], "this belongs to --native or --images", see=see))
    elif images is None and given["--set"] is not None:
        problems.append(message("--set", "this belongs to --images"))
    if images is not None and (native or split is not None):
        other = "--native" if native else "--split"
        problems.append(message(other, "this is about the trial's own images, --images about others"))
    if which is Which.last and (native or images is not None):
        rule = "only the selected weights are measured at other sizes than the training size"
        problems.append(message("--which", rule, got=which.value))
    if problems:
        raise ExperimentError(problems)


def _dumps(content: dict[str, Any]) -> str:
    from json import dumps

    return dumps(content, indent=2)


def _native_table(found: Measurement) -> list[str]:
    means = found.means()
    width = max(10, *map(len, means))
    lines = [
        f"{found.trial}: selected weights (epoch {found.epoch}), {len(found.images)} {found.what}",
        f"  seen by --size {found.size}, measured at their own sizes",
    ]
    return lines + [f"  {name:{width}} {value:12.6f}" for name, value in means.items()]


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
