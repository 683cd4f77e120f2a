"""The recorded step of the last trial of this process, for the next one of the same shape."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from segbench.config.trial import TrialConfig, canonical_json, parts
from segbench.engine.graph import StepGraph
from segbench.engine.step import Step


@dataclass(frozen=True)
class Kept:
    """A step that somebody recorded, and the record."""

    key: str
    step: Step
    graph: StepGraph


_kept: Kept | None = None


def step_key(
    config: TrialConfig, image_shape: tuple[int, ...], *, has_ignored: bool, device: torch.device
) -> str:
    """Name all that a recorded step depends on: trials of one key differ in tensors alone.

    Args:
        config: The trial's.
        image_shape: (H,W,C).
        has_ignored: Whether batches say which pixels count.
        device: Where it runs.
    """
    chosen = parts(config.to_json(), "step")
    return canonical_json([chosen, [int(n) for n in image_shape], has_ignored, str(device)])


def keep(kept: Kept) -> None:
    """Hold a step and its record until the next trial, in place of what was held."""
    global _kept
    _kept = kept


def take(key: str | None) -> Kept | None:
    """Hand over what is held, if it is of this key; else let go of it, and of its memory."""
    global _kept
    found, _kept = _kept, None
    return found if found is not None and found.key == key else None
