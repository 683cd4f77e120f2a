"""Out of memory: smaller parts of a batch where that changes nothing, else what would fit."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from segbench.config.trial import TrialConfig
from segbench.engine.heap import return_freed_memory
from segbench.records import FailureKind
from segbench.sweep.failure import classify, one_line

if TYPE_CHECKING:
    from segbench.engine.protocol import TrainingRun

OpenRun = Callable[[TrialConfig], "TrainingRun"]
"""Makes a run of a configuration, to be looked at and thrown away."""


@dataclass(frozen=True)
class Rung:
    """How a trial goes on after memory has run out."""

    micro_batch: int | None
    """Images at a time from now on; None: it cannot go on."""
    text: str
    """A note for the record, or why it cannot."""
    fitting_batch_size: int | None = None


def step_down(config: TrialConfig, micro_batch: int | None, epochs_done: int, open_run: OpenRun) -> Rung:
    """Decide how a trial that ran out of memory goes on. What it held must be free again.

    Args:
        config: The trial's.
        micro_batch: Images at a time that were too many; None: a whole batch.
        epochs_done: Epochs that stand.
        open_run: Makes a run for trying.
    """
    size = micro_batch or config.batch_size
    why = _try(lambda: _why_whole(open_run(config)))
    if why is None and size > 1:
        half = size // 2
        return Rung(
            half,
            f"out of memory with {size} images at a time: from epoch {epochs_done + 1} on a batch of "
            f"{config.batch_size} went through in parts of {half}, their gradients added up, which equals "
            "the whole batch to rounding only",
        )
    if why is None:
        return Rung(None, "not even one image at a time fits")
    fits = _largest_fitting(config, open_run)
    if fits is None:
        return Rung(None, f"a batch of {size} does not fit, cannot be split ({why}), and no smaller one ran")
    return Rung(
        None,
        f"a batch of {size} does not fit and cannot be split ({why}); one of {fits} fits: with batch_size "
        f"{fits} in the baseline all arms could hold theirs",
        fits,
    )


def free_memory() -> None:
    """Give back what is cached of the device's memory and of the system's."""
    import torch

    from segbench.engine.kept import take

    take(None)
    gc.collect()
    return_freed_memory()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _largest_fitting(config: TrialConfig, open_run: OpenRun) -> int | None:
    """Return the largest of a half, a quarter, ... of the batch with which a step goes through."""
    size = config.batch_size // 2
    while size >= 1:
        if _try(lambda size=size: _step(open_run(replace(config, batch_size=size)))) is None:  # type: ignore[misc]
            return size
        free_memory()
        size //= 2
    return None


def _why_whole(run: Any) -> str | None:
    try:
        ask = getattr(run, "why_whole", None)
        return "its loop is the user's own" if ask is None else ask()
    finally:
        run.close()


def _step(run: Any) -> str | None:
    try:
        run.try_step()
        return None
    finally:
        run.close()


def _try(look: Callable[[], str | None]) -> str | None:
    """Return what a look finds, or why it could not look; what it held is free afterwards."""
    try:
        return look()
    except Exception as error:
        is_memory = classify(error) is FailureKind.OOM
        return "the network itself does not fit" if is_memory else one_line(error)
    finally:
        free_memory()
