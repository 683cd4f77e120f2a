"""`segbench init`: write a commented experiment for one's own images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from segbench.config.experiment import Experiment
    from segbench.config.project import Project
    from segbench.data.survey import Survey


def init(
    name: Annotated[
        str, typer.Argument(help="The experiment's name: experiments/NAME.yaml.", show_default=False)
    ],
    images: Annotated[
        Path | None, typer.Option("--images", metavar="DIR", help="Folder of the images.", show_default=False)
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            "--masks", metavar="DIR", help="Folder of the masks; may be the same.", show_default=False
        ),
    ] = None,
    size_px: Annotated[int, typer.Option("--size-px", min=16, help="Pixels a side that networks see.")] = 256,
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            metavar="PATTERN|CSV:COLUMN",
            help="What must not straddle the split, such as a patient: a pattern with one group, searched in "
            "the file name, or a column of a table.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write an experiment for your own images.

    experiments/NAME.yaml, commented, after reading the folders; nothing is asked or overwritten.

    Without --images and --masks the experiment is about generated scenes.
    """
    from segbench.config.load import load_experiment
    from segbench.config.project import Project
    from segbench.errors import ExperimentError, message

    project = Project.around(Path.cwd())
    file = project.experiments / f"{name}.yaml"
    _check_name(name, file)
    _check_size(size_px)
    if (images is None) != (masks is None):
        missing = "--masks" if masks is None else "--images"
        raise ExperimentError(
            message(missing, "images and masks are given together", see="They may be one folder")
        )
    survey = None if images is None or masks is None else _survey(images, masks, group, project)
    knobs: dict[str, Any] = {}
    if survey is not None:
        knobs = {"images": _path(images, project), "masks": _path(masks, project), **survey.knobs}
    from segbench.cli.init_template import render

    text = render(name, knobs, size_px=size_px, schema=_schema(project), has_groups=group is not None)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    try:
        counts = _split_counts(load_experiment(file))
    except ExperimentError:
        file.unlink()
        raise
    if survey is not None:
        _print_survey(survey)
    typer.echo(f"split        {counts}")
    typer.echo(f"\nWrote {file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file}")
    typer.echo(f"Next: segbench plan {name}, then segbench sweep {name} and segbench report {name}")


def _check_name(name: str, file: Path) -> None:
    import re

    from segbench.errors import ExperimentError, message

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise ExperimentError(
            message(
                "init",
                "a name has letters, digits, _ and -",
                got=name,
                see="It names the file and its results",
            )
        )
    if file.exists():
        raise ExperimentError(
            message(str(file), "there is an experiment of this name", got=name, see="Choose another name")
        )


def _check_size(size_px: int) -> None:
    from segbench.errors import ExperimentError, message

    if size_px % 16:
        below, above = size_px // 16 * 16, (size_px // 16 + 1) * 16
        raise ExperimentError(
            message(
                "--size-px",
                "a U-Net of depth 4 takes multiples of 16",
                got=size_px,
                see=f"Nearest: {below}, {above}",
            )
        )


def _survey(images: Path, masks: Path, group: str | None, project: Project) -> Survey:
    from segbench.data.survey import survey_folders

    return survey_folders(images.expanduser(), masks.expanduser(), project=project.root, group=group)


def _path(folder: Path | None, project: Project) -> str:
    """Write a folder as the experiment names it: relative to the project where it lies inside."""
    assert folder is not None
    folder = folder.expanduser().resolve()
    return folder.relative_to(project.root).as_posix() if folder.is_relative_to(project.root) else str(folder)


def _schema(project: Project) -> str:
    """Return the schema's path as seen from experiments/, writing it where the project has none."""
    import json

    from segbench import registry
    from segbench.config.json_schema import json_schema

    if (project.root / "docs" / "experiment.schema.json").is_file():
        return "../docs/experiment.schema.json"
    registry.use_project(project.root)
    file = project.experiments / ".experiment.schema.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return file.name


def _print_survey(survey: Survey) -> None:
    sizes = list(survey.sizes.items())
    shown = ", ".join(f"{w}x{h} ({n:,})" for (w, h), n in sizes[:3])
    more = f" and {len(sizes) - 3} more" if len(sizes) > 3 else ""
    read = f" (of {survey.num_decoded:,} read)" if survey.num_decoded < survey.num_images else ""
    typer.echo(f"images       {survey.num_images:,}, each with a mask")
    typer.echo(f"sizes        {shown}{more}")
    typer.echo(
        f"groups       {survey.num_groups:,}"
        if survey.num_groups
        else "groups       none: each image stands alone"
    )
    values = ", ".join(map(str, survey.mask_values[:12])) + (", ..." if len(survey.mask_values) > 12 else "")
    typer.echo(f"mask values  {values}{read}")
    typer.echo(
        f"foreground   {survey.foreground:.1%} of the pixels; {survey.num_empty:,} masks are empty{read}"
    )
    for key, value in survey.knobs.items():
        typer.echo(f"found        {key}: {value}")
    for note in survey.notes:
        typer.echo(f"note         {note}")


def _split_counts(experiment: Experiment) -> str:
    from segbench.data import build_source
    from segbench.data.parts import split_samples

    source = build_source(experiment.baseline, experiment.project)
    (fold,) = split_samples(experiment.baseline, source)
    return ", ".join(f"{part} {len(numbers):,}" for part, numbers in fold.items())
