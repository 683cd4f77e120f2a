"""segbench from Python: read an experiment, build its parts, read its results.

    >>> from segbench import api
    >>> experiment = api.load_experiment("experiments/quickstart.yaml")
    >>> [replicate.cell.label for replicate in api.expand(experiment)][:2]
    ['batch, off', 'batch, on']
    >>> model = api.build_model({"unet": {"width": 8}}, norm="group")
    >>> loss = api.build_loss({"bce": 1, "dice": 1})

Specs are written as in a file: a name, `{name: {knob: value}}`, `{name: scalar}` or an import path. Imports
are lazy: only `build_model` and `build_loss` need torch, only `read_results` needs pandas.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from segbench.config.expand import Replicate
    from segbench.config.experiment import Experiment
    from segbench.store.results import Results

__all__ = ["build_loss", "build_model", "expand", "load_experiment", "read_results"]


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


def read_results(path: str | Path) -> Results:
    """Read every trial under `results/<experiment>` as frames.

    Args:
        path: The folder `results/<experiment>`.

    Raises:
        ResultsError: There are no results.
    """
    from segbench.store.results import read_results

    return read_results(Path(path))
