"""`segbench data`: fetch, list and look at data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from segbench.config.project import Project
    from segbench.config.trial import TrialConfig

app = typer.Typer(help="Fetch, list and look at data sets.", no_args_is_help=True, rich_markup_mode=None)

FETCHABLE = ("oxford_pet",)

NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="A data set without knobs to fill in, or an experiment.", show_default=False
    ),
]


@app.command("fetch")
def fetch(
    name: Annotated[str, typer.Argument(help="The data set: oxford_pet.", show_default=False)],
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="DIR|TAR", help="Take a copy that is there already.", show_default=False
        ),
    ] = None,
) -> None:
    """Bring a public data set into the project's data/ folder.

    Without --from, torchvision downloads it. Every listed image and mask is looked for before the data set
    appears under its name.
    """
    from segbench.cli.printing import file_bar
    from segbench.data.fetch import fetch_oxford_pet
    from segbench.errors import ExperimentError, message

    if name not in FETCHABLE:
        raise ExperimentError(
            message("data fetch", "no such data set can be fetched", got=name, known=FETCHABLE)
        )
    if source is None:
        typer.echo("Oxford-IIIT Pet: looking for it in data/, or downloading it (800 MB)", err=True)
    with file_bar("files") as on_progress:
        found = fetch_oxford_pet(_project(), source=source, on_progress=on_progress)
    kind = "the whole set" if found.is_whole else "a part of the set"
    typer.echo(
        f"{'Fetched' if found.is_new else 'There already'}: {found.folder}\n"
        f"{found.num_trainval + found.num_test:,} images with trimaps ({kind}): "
        f"trainval {found.num_trainval:,}, test {found.num_test:,}, {found.num_breeds} breeds"
    )


@app.command("list")
def list_() -> None:
    """List the data sets and the decoded caches in data/."""
    from segbench import registry
    from segbench.axes.dataset.oxford_pet import FOLDER

    project = _project()
    for name, variant in registry.variants("dataset").items():
        typer.echo(f"{name:12} {variant.summary}")
    is_there = (project.data / FOLDER).is_dir()
    typer.echo(f"\noxford_pet is {'in' if is_there else 'not in'} {project.data}")
    for folder in sorted((project.data / "cache").glob("*/cache.json")):
        size = sum(file.stat().st_size for file in folder.parent.iterdir())
        typer.echo(f"cache {folder.parent.name}: {size / 2**20:,.0f} MiB")


@app.command("show")
def show(name: NameArgument) -> None:
    """Show the counts, parts and groups of a data set or an experiment's data."""
    from segbench.data import build_source, fingerprint
    from segbench.data.prepared import split_samples

    project, config = _configuration(name)
    source = build_source(config, project)
    samples = source.samples()
    groups = {sample.group for sample in samples if sample.group is not None}
    typer.echo(f"dataset      {_written(config.dataset)}")
    typer.echo(f"images       {len(samples):,}, {source.channels} channels, cached at {source.size_px} px")
    typer.echo(f"groups       {len(groups):,}" if groups else "groups       none: each image stands alone")
    for number, fold in enumerate(folds := split_samples(config, source)):
        counts = ", ".join(f"{part} {len(numbers):,}" for part, numbers in fold.items())
        typer.echo(
            f"{f'fold {number}' if len(folds) > 1 else 'split':12} {counts} ({_written(config.split)})"
        )
    typer.echo(f"fingerprint  {fingerprint(config, project)[:12]}")


@app.command("sample")
def sample(
    name: NameArgument,
    out: Annotated[
        Path, typer.Option("--out", metavar="PNG", help="The picture to write.", show_default=False)
    ],
    part: Annotated[str, typer.Option("--part", help="train, val or test.")] = "train",
    count: Annotated[int, typer.Option("--count", min=1, help="How many images.")] = 24,
) -> None:
    """Draw a contact sheet: images beside themselves with the mask outlined, as they are cached."""
    from PIL import Image

    from segbench.cli.printing import file_bar
    from segbench.data import prepare
    from segbench.data.pictures import contact_sheet, spread
    from segbench.errors import ExperimentError, message
    from segbench.samples import PARTS

    if part not in PARTS:
        raise ExperimentError(message("--part", "there is no such part", got=part, known=PARTS))
    project, config = _configuration(name)
    with file_bar("images decoded") as on_progress:
        data = prepare(config, project, on_progress=on_progress)
    numbers = spread(data.split[part], count)
    columns = max(1, min(len(numbers), 1200 // (2 * data.size_px)))
    Image.fromarray(contact_sheet(data.images, data.masks, numbers, columns=columns)).save(out)
    typer.echo(f"Wrote {out}: {len(numbers)} of {len(data.split[part]):,} {part} images")


def _project() -> Project:
    from segbench import registry
    from segbench.config.project import Project

    project = Project.around(Path.cwd())
    registry.use_project(project.root)
    return project


def _configuration(name: str) -> tuple[Project, TrialConfig]:
    """Return the baseline of an experiment, or one around a data set's defaults."""
    from segbench import registry
    from segbench.config.load import load_experiment
    from segbench.config.trial import Choice, TrialConfig
    from segbench.errors import ExperimentError, message

    project = _project()
    if name not in registry.variants("dataset"):
        experiment = load_experiment(name)
        return experiment.project, experiment.baseline
    required = [knob.name for knob in registry.find("dataset", name).knobs.values() if knob.is_required]
    if required:
        raise ExperimentError(
            message(
                "data",
                f"{name} has knobs to fill in ({', '.join(required)})",
                see="Name an experiment instead",
            )
        )
    defaults: dict[str, Any] = {
        "model": Choice.of("model", "unet"),
        "norm": Choice.of("norm", "batch"),
        "init": Choice.of("init", "default"),
        "augment": Choice.of("augment", "none"),
        "optimizer": Choice.of("optimizer", "adam"),
        "schedule": Choice.of("schedule", "constant"),
    }
    return project, TrialConfig(
        dataset=Choice.of("dataset", name),
        split=Choice.of("split", "course"),
        input=Choice.of("input", "unit"),
        loss=(Choice.of("loss", "bce"),),
        grad_clip=None,
        batch_size=8,
        epochs=1,
        precision="fp32",
        **defaults,
    )


def _written(choice: Any) -> str:
    knobs = ", ".join(f"{key}: {value}" for key, value in choice.knobs.items() if value is not None)
    return f"{choice.name} {{{knobs}}}" if knobs else choice.name
