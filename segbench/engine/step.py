"""One training step: a batch in, changed weights out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import torch
from torch import nn

from segbench.engine.counting import Measured
from segbench.engine.numerics import Numerics
from segbench.engine.passes import measure_loss
from segbench.errors import ExperimentError, message


@dataclass(frozen=True, kw_only=True)
class Step:
    """Network, loss and optimiser, and what they do with a batch that is on the device and mixed.

    Nothing in it waits for the device.
    """

    model: nn.Module
    criterion: nn.Module
    optimizer: torch.optim.Optimizer
    grad_clip: float | None
    numerics: Numerics
    forward: Callable[[torch.Tensor], torch.Tensor]
    """Images to logits: the network, or what was compiled of it."""

    def __call__(self, images: torch.Tensor, target: torch.Tensor, valid: torch.Tensor | None) -> Measured:
        """Take a whole step on one batch; loss and counts are those before it."""
        self.optimizer.zero_grad(set_to_none=True)
        loss, measured = self.measure(images, target, valid)
        loss.backward()
        self.descend()
        return measured

    def measure(
        self, images: torch.Tensor, target: torch.Tensor, valid: torch.Tensor | None
    ) -> tuple[torch.Tensor, Measured]:
        """Return the loss, to be differentiated, and what the step tells.

        Args:
            images: (N,C,H,W).
            target: (N,1,H,W).
            valid: (N,1,H,W) bool, or None.

        Raises:
            ExperimentError: No term of the loss has a gradient.
        """
        with self.numerics.autocast():
            logits = self.forward(self.numerics.images(images))
        logits = logits.float()
        loss = measure_loss(self.criterion, logits, target, valid)
        if logits.requires_grad and not loss.requires_grad:
            rule = "no term has a gradient, so nothing can be learned from it"
            raise ExperimentError(message("loss", rule, see="Add a term that has one, such as `bce`"))
        return loss, Measured.of(loss, logits, target, valid)

    def descend(self) -> None:
        """Clip the gradient that has gathered, and let the optimiser step."""
        if self.grad_clip is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.grad_clip)
        self.optimizer.step()

    @property
    def parameters(self) -> list[torch.Tensor]:
        """What the optimiser changes."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    @torch.no_grad()
    def start_as(self, fresh: Step) -> None:
        """Stand where another step of the same configuration stands before its first batch.

        Every tensor keeps its address: weights, buffers and the optimiser's state are written in place.
        """
        for mine, theirs in zip(_tensors(self), _tensors(fresh), strict=True):
            mine.copy_(theirs)
        for state in self.optimizer.state.values():
            for value in state.values():
                if isinstance(value, torch.Tensor):
                    value.zero_()


def _tensors(step: Step) -> Iterator[torch.Tensor]:
    for module in (step.model, step.criterion):
        yield from chain(module.parameters(), module.buffers())
