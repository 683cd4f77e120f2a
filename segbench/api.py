"""segbench from Python: read an experiment, build its parts, read its results.

    >>> from segbench import api
    >>> experiment = api.load_experiment("experiments/quickstart.yaml")
    >>> [replicate.cell.label for replicate in api.expand(experiment)][:2]
    ['batch, off', 'batch, on']
    >>> model = api.build_model({"unet": {"width": 8}}, norm="group")
    >>> loss = api.build_loss({"bce": 1, "dice": 1})

Specs are written as in a file: a name, `{name: {knob: value}}`, `{name: scalar}` or an import path. Imports
are lazy: only `build_model`, `build_loss` and `load_predictor` need torch, only `read_results` needs pandas.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.inference.size import OVERLAP, Size

if TYPE_CHECKING:
    from torch import nn

    from segbench.config.expand import Replicate
    from segbench.config.experiment import Experiment
    from segbench.inference.predictor import Predictor
    from segbench.store.results import Results

__all__ = ["build_loss", "build_model", "expand", "load_experiment", "load_predictor", "read_results"]


def load_experiment(
    path: str | Path, *, scale: str | None = None, overrides: Sequence[str] = ()
) -> Experiment:
    """Load an experiment by path or name, with every default written out.

    Args:
        path: A YAML file, or the name of one in `experiments/` of the project around the current folder.
        scale: Name of a scale in the file.
        overrides: What `--set` takes, such as `epochs=10`.

    Raises:
        ExperimentError: Everything wrong with the file, each with its place.
    """
    from segbench.config.load import load_experiment

    return load_experiment(path, scale=scale, overrides=overrides)


def expand(experiment: Experiment) -> tuple[Replicate, ...]:
    """Return every (cell, seed, fold) of an experiment in the order of training."""
    from segbench.config.expand import expand

    return expand(experiment)


def build_model(spec: Any, norm: Any = "batch", in_channels: int = 3, out_channels: int = 1) -> nn.Module:
    """Build a network: (N, in_channels, H, W) images to (N, out_channels, H, W) logits.

    Args:
        spec: The model, as under `model:`.
        norm: The normalisation, as under `norm:`.
        in_channels: Channels of the images.
        out_channels: Channels of the logits.

    Raises:
        ExperimentError: There is no such variant or knob, or a value is of the wrong type.
    """
    from segbench.axes.model import build
    from segbench.config.resolve import resolve_choice

    model, layers = resolve_choice("model", spec, "spec"), resolve_choice("norm", norm, "norm")
    return build(model, layers, in_channels, out_channels)


def build_loss(spec: Any) -> nn.Module:
    """Build a loss: (logits (N,1,H,W), target (N,1,H,W)) to a scalar.

    Args:
        spec: The terms, as under `loss:`: `{"bce": 1, "dice": {"weight": 1, "smooth": 1e-6}}`, or one name.

    Raises:
        ExperimentError: There is no such term or knob, or a value is of the wrong type.
    """
    from segbench.axes.loss import build
    from segbench.config.resolve import resolve_loss

    return build(resolve_loss(spec))


def load_predictor(
    trial: str | Path,
    *,
    size: str = Size.squeeze,
    overlap: float = OVERLAP,
    batch_size: int | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> Predictor:
    """Load a saved trial to predict images of any size: `predictor.predict_file(path).mask`.

    Args:
        trial: A trial's folder, `EXPERIMENT/HASH`, or the first digits of its hash, in the project around the
            current folder.
        size: `squeeze`, `fit`, `whole` or `tile`, as of `segbench predict`.
        overlap: Of `tile`: share of a tile's side that neighbours have in common, at least.
        batch_size: Images or tiles of the training size at once; None: the trial's own.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        threads: CPU threads of the network; None: what the process has.

    Raises:
        ResultsError: There is no such trial, or its weights are missing or damaged.
    """
    from segbench.config.project import Project
    from segbench.engine.numerics import choose_device
    from segbench.inference.predictor import Predictor, find_trial
    from segbench.store.layout import ResultsFolder

    folder = find_trial(str(trial), ResultsFolder(Project.around(Path.cwd()).results))
    return Predictor(
        folder,
        device=choose_device(device),
        size=size,
        overlap=overlap,
        batch_size=batch_size,
        threads=threads,
    )


def read_results(path: str | Path) -> Results:
    """Read every trial under `results/<experiment>` as frames.

    Args:
        path: The folder `results/<experiment>`.

    Raises:
        ResultsError: There are no results.
    """
    from segbench.store.results import read_results

    return read_results(Path(path))
