"""Which loggers there are, and whether their packages are installed."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from segbench.errors import ExperimentError, message
from segbench.store.layout import ExperimentFolder

if TYPE_CHECKING:
    from segbench.sweep.loggers.log import Sink


class Logger(StrEnum):
    """Where scalars, pictures and configurations go besides the files; each needs the extra of its name."""

    TENSORBOARD = "tensorboard"
    WANDB = "wandb"

    def folder(self, experiment: ExperimentFolder) -> Path:
        """Return where it writes."""
        return experiment.root / self.value


def check_installed(loggers: Iterable[Logger], option: str) -> None:
    """Refuse loggers whose package is missing.

    Raises:
        ExperimentError: One is; the message names the extra.
    """
    for logger in loggers:
        if find_spec(logger.value) is None:
            raise ExperimentError(
                message(
                    option,
                    f"the package {logger.value} is not installed",
                    see=f"pip install 'segbench[{logger.value}]'",
                )
            )


def make_sink(logger: Logger, experiment: ExperimentFolder) -> Sink:
    """Return what writes; imports the package."""
    if logger is Logger.TENSORBOARD:
        from segbench.sweep.loggers.tensorboard import TensorBoard

        return TensorBoard(logger.folder(experiment))
    from segbench.sweep.loggers.wandb import Wandb

    return Wandb(logger.folder(experiment), experiment.name)
