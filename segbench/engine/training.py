"""One training epoch: batches in, steps of the optimiser out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import nn

from segbench.axes.mix import Mixing
from segbench.data.batches import Batch
from segbench.engine.averaging import WeightAverage
from segbench.engine.counting import Tally
from segbench.engine.metrics import per_image
from segbench.engine.numerics import Numerics
from segbench.engine.passes import OnStep
from segbench.engine.rates import Rates
from segbench.streams import stream_seed


@dataclass(frozen=True, kw_only=True)
class Training:
    """What takes training steps: the parts of a run that are the same in every epoch.

    `accumulate` batches make one step (fewer the last one of an epoch). Its gradient is that of the mean over
    the images of all of them, batch i of n_i images weighing n_i / sum of n. Each batch goes through network
    and loss by itself, so a loss that sums over a batch and batch norm see `batch_size` images, whatever
    `accumulate` is; clipping sees the whole gradient.
    """

    model: nn.Module
    criterion: nn.Module
    optimizer: torch.optim.Optimizer
    rates: Rates
    mixing: Mixing
    average: WeightAverage | None
    """Takes in the weights after every step."""
    accumulate: int
    grad_clip: float | None
    numerics: Numerics
    seed: int
    """Names the stream that `mixing` draws from, with epoch and batch."""
    on_step: OnStep | None

    def run_epoch(
        self, batches: Iterable[Batch], *, epoch: int, num_batches: int, objective: Sequence[float]
    ) -> tuple[float, float, int]:
        """Train once over the batches; loss and dice are of each batch, mixed, before its step.

        Nothing waits for the device until the end, apart from the looks of `Tally`.

        Args:
            batches: Of one epoch.
            epoch: From 1.
            num_batches: How many there are.
            objective: Its value after each epoch done, the higher the better.

        Returns:
            Mean loss, mean dice, number of images.

        Raises:
            Diverged: A loss was NaN or infinite.
        """
        tally = Tally(epoch=epoch, what="train_loss")
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        num_steps = -(-num_batches // self.accumulate)
        num_done = 0
        self.model.train()
        for step, group in enumerate(_groups(batches, self.accumulate), start=1):
            self.rates.set(epoch, step, num_steps, objective)
            self.optimizer.zero_grad(set_to_none=True)
            num_images = sum(map(len, group))
            for batch in group:
                num_done += 1
                loss = self._measure(batch, stream_seed(self.seed, "mix", epoch, num_done), tally)
                (loss if len(group) == 1 else loss * (len(batch) / num_images)).backward()
            if self.grad_clip is not None:
                nn.utils.clip_grad_norm_(parameters, self.grad_clip)
            self.optimizer.step()
            if self.average is not None:
                self.average.update()
            if self.on_step is not None:
                self.on_step(step, num_steps)
        loss_mean, counts = tally.read()
        return loss_mean, float(per_image(counts)["dice"].mean()), len(counts.tp)

    def _measure(self, batch: Batch, seed: int, tally: Tally) -> torch.Tensor:
        images, target, valid = self.mixing(batch.images, batch.target, batch.valid, seed)
        with self.numerics.autocast():
            logits = self.model(self.numerics.images(images))
        logits = logits.float()
        counted = () if valid is None else (valid,)
        loss: torch.Tensor = self.criterion(logits, target, *counted)
        tally.add(loss, logits, target)
        return loss


def _groups(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """Yield the batches of each step."""
    iterator = iter(batches)
    while group := list(islice(iterator, size)):
        yield group
