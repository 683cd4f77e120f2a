"""What the rest of segbench needs of a run, and how one is made from a configuration."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import torch

from segbench.config.trial import TrialConfig
from segbench.data.prepared import PreparedData
from segbench.engine.passes import Evaluation, OnStep
from segbench.errors import ExperimentError, message
from segbench.records import EpochRecord


class TrainingRun(Protocol):
    """A trial's training: `segbench.engine.run.Run`, or what a user's `engine: my_pkg.train:fit` returns.

    The easiest such object is a subclass of `Run` with one method changed. What is promised: iterating yields
    records with epochs 1, 2, ... from where the state stands and raises `Diverged` on a loss that is not
    finite; `state_dict` holds tensors and plain types only; after `load_state_dict` the remaining records are
    the same as without an interruption; the process's random state is left alone.
    """

    parameters: int
    trainable_parameters: int
    history: list[EpochRecord]
    """Epochs done, also those before a resume."""
    selected_epoch: int | None

    @property
    def device_name(self) -> str: ...
    @property
    def flops(self) -> int: ...
    @property
    def input_spec(self) -> dict[str, Any]: ...
    def __iter__(self) -> Iterator[EpochRecord]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, saved: Mapping[str, Any], /) -> None: ...
    def weights(self, which: str = "selected") -> dict[str, torch.Tensor]: ...
    def load_selected(self, weights: Mapping[str, torch.Tensor], /) -> None: ...
    def evaluate(self, split: str, which: str = "selected", with_masks: bool = False) -> Evaluation: ...
    def close(self) -> None: ...


MEMBERS: Final = (
    "parameters",
    "trainable_parameters",
    "device_name",
    "flops",
    "history",
    "selected_epoch",
    "input_spec",
    "__iter__",
    "state_dict",
    "load_state_dict",
    "weights",
    "load_selected",
    "evaluate",
    "close",
)
"""Names that a user's run must have."""


def build_run(
    config: TrialConfig,
    data: PreparedData,
    *,
    seed: int,
    device: str | torch.device = "cpu",
    threads: int | None = None,
    loader_workers: int = 0,
    on_step: OnStep | None = None,
    micro_batch: int | None = None,
) -> TrainingRun:
    """Make the run of a trial: segbench's own, or that of the configuration's `engine`.

    A user's `fit(config, data, *, seed, device, threads, loader_workers, on_step)` returns a `TrainingRun`;
    `micro_batch` is for segbench's own alone.

    Raises:
        ExperimentError: The engine cannot be imported, or what it returns lacks a member.
    """
    options: dict[str, Any] = {
        "seed": seed,
        "device": device,
        "threads": threads,
        "loader_workers": loader_workers,
        "on_step": on_step,
    }
    if config.engine == "segbench":
        from segbench.engine.run import Run

        return Run(config, data, micro_batch=micro_batch, **options)
    run = _load_fit(config.engine)(config, data, **options)
    missing = [name for name in MEMBERS if not hasattr(run, name)]
    if missing:
        raise ExperimentError(
            message(
                f"engine {config.engine}",
                f"what it returns lacks {', '.join(missing)}",
                got=type(run).__name__,
                see="segbench.engine.protocol.TrainingRun lists its members; a subclass of Run has them all",
            )
        )
    return run


def _load_fit(path: str) -> Any:
    module_name, _, name = path.partition(":")
    if str(Path.cwd()) not in sys.path:  # as for variants: a package beside experiments/ needs no install
        sys.path.insert(0, str(Path.cwd()))
    where = "engine"
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise  # the module is there; what it imports is not
        raise ExperimentError(
            message(
                where,
                "there is no Python module of this import path",
                got=path,
                see="Write package.module:fit",
            )
        ) from error
    if not callable(getattr(module, name, None)):
        raise ExperimentError(
            message(where, f"{module_name} has no callable of this name", got=name, known=dir(module))
        )
    return getattr(module, name)
