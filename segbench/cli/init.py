"""The experiment that `segbench init` writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from segbench.config.experiment import Experiment
    from segbench.config.project import Project
    from segbench.data.survey import Survey


_FRACTION = "{fraction: {val: 0.1, test: 0.2, seed: 0}}"

_KNOB_COMMENTS = {
    "images": "the folder's place, from the project's root",
    "masks": "one mask an image, of the same name",
    "image_suffix": "end of the images' names that masks lack",
    "mask_suffix": "end of the masks' names that images lack",
    "window": "values of deep images that become 0..255",
    "foreground": "mask values that are foreground",
    "threshold": "mask values from this one on are foreground",
    "ignore": "mask values whose pixels do not count",
    "group": "what stays on one side of the split",
    "size_px": "images are resized to this many pixels a side",
}


def render(name: str, knobs: Mapping[str, Any], *, size_px: int, schema: str, has_groups: bool) -> str:
    """Write the file.

    Args:
        name: The experiment's name.
        knobs: Knobs of the data set `folder`, images and masks included; empty: generated scenes.
        size_px: Pixels a side.
        schema: Path of the JSON schema, seen from the file.
        has_groups: Whether images have groups.
    """
    if knobs:
        size, width, depth, epochs = size_px, 32, 4, 60
        dataset = _folder(knobs, size)
        stays = "; groups stay whole" if has_groups else ""
        split = f"  split: {_FRACTION}  # drawn once, for all trials{stays}"
    else:
        size, width, depth, epochs = 64, 8, 3, 12
        dataset = f"  dataset: {{shapes: {{size_px: {size}}}}}  # generated scenes: no download"
        split = "  split: course  # the data set's own training, validation and test images"
    text = f"""# yaml-language-server: $schema={schema}
#
# `segbench plan {name}` shows what would run, `segbench sweep {name} --smoke` tries it,
# `segbench sweep {name}` trains, `segbench report {name}` answers.
# `segbench list` shows what each field can be.

# One sentence: what the answer of this file is about.
question: Do batch normalisation and flips help here?

# The complete configuration that the levels below change.
baseline:
{dataset}
{split}
  input: dataset  # scaling by the training images' mean and deviation; or imagenet, unit
  model: {{unet: {{width: {width}, depth: {depth}}}}}  # or resnet34_unet; width: channels of the first level
  norm: batch  # normalisation layers inside the network
  augment: flips  # a recipe, or a list of albumentations transforms
  loss: {{bce: 1, dice: 1}}  # a weighted sum of terms
  optimizer: {{adam: {{lr: 1e-3}}}}  # lr is the learning rate
  schedule: cosine  # how the learning rate falls; or constant
  grad_clip: 1.0  # largest gradient norm; null: no clipping
  batch_size: 8  # images a step
  epochs: {epochs}  # passes over the training images
  precision: fp32  # fp32 or tf32; bf16 is fastest on a recent GPU

# What varies: every combination (a cell) is trained with every seed.
axes:
  norm: [batch, none]  # named like a field: its levels are values of the field
  flips: {{levels: {{on: {{augment: flips}}, off: {{augment: none}}}}}}  # other axes say what they set

# Seeds are the replicates that intervals are made from: three are few, five are better.
seeds: 3

# Differences below this do not matter to you; needed for "equivalent".
margin: 0.01

# What you expect, judged by the report on the test images' Dice: >, < or ==.
claims:
  - {{norm: batch > none}}
  - {{flips: on > off}}
"""
    return "\n".join(_aligned(line) for line in text.split("\n"))


def _folder(knobs: Mapping[str, Any], size_px: int) -> str:
    lines = ["  dataset:  # your images and masks", "    folder:"]
    for key, value in {**knobs, "size_px": size_px}.items():
        lines.append(f"      {key}: {_scalar(value)}  # {_KNOB_COMMENTS[key]}")
    return "\n".join(lines)


def _aligned(line: str) -> str:
    code, mark, comment = line.partition("  # ")
    return f"{code:<36}  # {comment}" if mark and code.strip() else line


def _scalar(value: Any) -> str:
    """Write a value in YAML's flow style; text in double quotes, with JSON's escapes, is always text."""
    return json.dumps(value, ensure_ascii=False)


# `segbench init`: write a commented experiment for one's own images.


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
    from segbench.data.prepared import split_samples

    source = build_source(experiment.baseline, experiment.project)
    (fold,) = split_samples(experiment.baseline, source)
    return ", ".join(f"{part} {len(numbers):,}" for part, numbers in fold.items())
