"""One training epoch: batches in, steps of the optimiser out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from segbench.axes.mix import Mixing
from segbench.data.batches import Batch
from segbench.engine.averaging import WeightAverage
from segbench.engine.counting import Tally
from segbench.engine.metrics.counts import dice
from segbench.engine.numerics import Numerics
from segbench.engine.passes import OnStep, measure_loss
from segbench.engine.rates import Rates
from segbench.engine.splitting import heed_test
from segbench.errors import ExperimentError, message
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
    batch_size: int
    accumulate: int
    grad_clip: float | None
    numerics: Numerics
    seed: int
    """Names the stream that `mixing` draws from, with epoch and batch."""
    on_step: OnStep | None
    micro_batch: int | None = None
    """Images that go through the network at a time, where memory does not hold a batch: its parts' gradients
    are added up, weighted by their images. None: the whole batch."""

    def run_epoch(
        self, batches: Iterable[Batch], *, epoch: int, num_images: int, objective: Sequence[float]
    ) -> tuple[float, float, int]:
        """Train once over the batches; loss and dice are of each batch, mixed, before its step.

        Nothing waits for the device until the end, apart from the looks of `Tally`.

        Args:
            batches: Of one epoch, each of `batch_size` images, the last of what is left.
            epoch: From 1.
            num_images: How many they hold together.
            objective: Its value after each epoch done, the higher the better.

        Returns:
            Mean loss, mean dice, number of images.

        Raises:
            Diverged: A loss was NaN or infinite.
            ExperimentError: No term of the loss has a gradient.
        """
        tally = Tally(epoch=epoch, what="train_loss")
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        images_per_step = self.batch_size * self.accumulate
        num_steps = -(-num_images // images_per_step)
        self.model.train()
        for number, batch in enumerate(batches):
            step, place = divmod(number, self.accumulate)
            if place == 0:
                self.rates.set(epoch, step + 1, num_steps, objective)
                self.optimizer.zero_grad(set_to_none=True)
            in_step = min(images_per_step, num_images - step * images_per_step)
            for part in batch.parts(self.micro_batch):
                loss = self._measure(part, stream_seed(self.seed, "mix", epoch, number + 1), tally)
                (loss if len(part) == in_step else loss * (len(part) / in_step)).backward()
            is_last = (number + 1) * self.batch_size >= num_images
            if is_last or place == self.accumulate - 1:
                self._step(parameters)
                if self.on_step is not None:
                    self.on_step(step + 1, num_steps)
        loss_mean, counts = tally.read()
        return loss_mean, float(dice(counts).mean()), len(counts.tp)

    def _step(self, parameters: Sequence[torch.Tensor]) -> None:
        if self.grad_clip is not None:
            nn.utils.clip_grad_norm_(parameters, self.grad_clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update()

    def try_step(self, batch: Batch) -> None:
        """Take one step, to see whether memory holds it; the weights are no use afterwards."""
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        tally = Tally(epoch=1, what="train_loss")
        for part in batch.parts(self.micro_batch):
            self._measure(part, stream_seed(self.seed, "mix", 1, 1), tally).backward()
        self.optimizer.step()

    def _measure(self, batch: Batch, seed: int, tally: Tally) -> torch.Tensor:
        heed_test(len(batch))
        images, target, valid = self.mixing(batch.images, batch.target, batch.valid, seed)
        with self.numerics.autocast():
            logits = self.model(self.numerics.images(images))
        logits = logits.float()
        loss = measure_loss(self.criterion, logits, target, valid)
        if logits.requires_grad and not loss.requires_grad:
            rule = "no term has a gradient, so nothing can be learned from it"
            raise ExperimentError(message("loss", rule, see="Add a term that has one, such as `bce`"))
        tally.add(loss, logits, target, valid)
        return loss
