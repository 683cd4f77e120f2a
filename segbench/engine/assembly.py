"""A trial's step, made from its configuration, or the recorded one of the trial before."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from segbench import registry
from segbench.axes import loss as losses
from segbench.config.trial import TrialConfig
from segbench.data.prepared import PreparedData
from segbench.engine.graph import CudaRecorder, StepGraph, why_eager
from segbench.engine.kept import Kept, keep, step_key, take
from segbench.engine.network import build_network
from segbench.engine.numerics import Numerics
from segbench.engine.rates import rates_on_device
from segbench.engine.step import Step


@dataclass(frozen=True)
class Assembly:
    """The step of a run, and how it is taken."""

    step: Step
    base_rates: list[float]
    """Learning rate of each of the optimiser's groups, before the schedule."""
    graph: StepGraph | None
    why_eager: str | None
    """Why there is no graph; None: there is one."""
    key: str

    @property
    def graph_state(self) -> str:
        """Say whether steps are replayed, as a trial's record does."""
        return self.graph.state if self.graph is not None else f"no: {self.why_eager}"

    @property
    def held_bytes(self) -> int:
        """What the record of a step keeps of the device's memory."""
        return 0 if self.graph is None else self.graph.held_bytes

    def give_back(self) -> None:
        """Leave the step to the next trial of this process, if it was recorded; it is no more this run's."""
        if self.graph is not None and self.graph.is_recorded:
            keep(Kept(self.key, self.step, self.graph))


def assemble(
    config: TrialConfig,
    data: PreparedData,
    *,
    seed: int,
    numerics: Numerics,
    micro_batch: int | None,
) -> Assembly:
    """Build network, loss and optimiser, and decide how steps are taken.

    Where the trial before left the recorded step of an equal one, that is started anew with these weights.
    """
    device = numerics.device
    key = step_key(config, data.images.shape[1:], has_ignored=data.has_ignored, device=device)
    kept = take(key)
    fresh = _build(config, data, seed, numerics)
    base = rates_on_device(fresh.optimizer)
    why = why_eager(config, fresh, device, micro_batch)
    if why is not None:
        return Assembly(fresh, base, None, why, key)
    if kept is None:
        return Assembly(fresh, base, StepGraph(CudaRecorder(device)), None, key)
    kept.step.start_as(fresh)
    kept.graph.is_reused = True
    return Assembly(kept.step, base, kept.graph, None, key)


def _build(config: TrialConfig, data: PreparedData, seed: int, numerics: Numerics) -> Step:
    model = build_network(config, in_channels=data.images.shape[3], seed=seed, numerics=numerics)
    criterion = losses.build(config.loss).to(numerics.device)
    trained = [p for p in (*model.parameters(), *criterion.parameters()) if p.requires_grad]
    return Step(
        model=model,
        criterion=criterion,
        optimizer=registry.build("optimizer", config.optimizer.name, trained, **config.optimizer.knobs),
        grad_clip=config.grad_clip,
        numerics=numerics,
        forward=torch.compile(model, dynamic=False) if config.compile else model,
    )
