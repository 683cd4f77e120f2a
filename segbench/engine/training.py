"""One training epoch: batches in, steps of the optimiser out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from segbench.axes.mix import Mixing
from segbench.data.batches import Batch
from segbench.engine.counting import Measured, Tally
from segbench.engine.graph import StepGraph
from segbench.engine.metrics.counts import dice
from segbench.engine.passes import OnStep
from segbench.engine.rates import Rates
from segbench.engine.splitting import heed_test
from segbench.engine.state import WeightAverage
from segbench.engine.step import Step
from segbench.streams import stream_seed


@dataclass(frozen=True, kw_only=True)
class Training:
    """What takes training steps: the parts of a run that are the same in every epoch.

    `accumulate` batches make one step (fewer the last one of an epoch). Its gradient is that of the mean over
    the images of all of them, batch i of n_i images weighing n_i / sum of n. Each batch goes through network
    and loss by itself, so a loss that sums over a batch and batch norm see `batch_size` images, whatever
    `accumulate` is; clipping sees the whole gradient.
    """

    step: Step
    rates: Rates
    mixing: Mixing
    average: WeightAverage | None
    """Takes in the weights after every step."""
    batch_size: int
    accumulate: int
    seed: int
    """Names the stream that `mixing` draws from, with epoch and batch."""
    on_step: OnStep | None
    micro_batch: int | None = None
    """Images that go through the network at a time, where memory does not hold a batch: its parts' gradients
    are added up, weighted by their images. None: the whole batch."""
    graph: StepGraph | None = None
    """Takes whole batches' steps in place of `step`, where they can be recorded."""

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
        num_steps = -(-num_images // (self.batch_size * self.accumulate))
        self.step.model.train()
        for number, batch in enumerate(batches):
            step, place = divmod(number, self.accumulate)
            if place == 0:
                self.rates.set(epoch, step + 1, num_steps, objective)
            seed = stream_seed(self.seed, "mix", epoch, number + 1)
            if self.accumulate == 1 and self.micro_batch is None:
                tally.add(self._take(*self._mixed(batch, seed)))
                is_whole = True
            else:
                is_whole = (number + 1) * self.batch_size >= num_images or place == self.accumulate - 1
                self._gather(batch, number, num_images, seed, tally)
                if is_whole:
                    self.step.descend()
            if is_whole:
                if self.average is not None:
                    self.average.update()
                if self.on_step is not None:
                    self.on_step(step + 1, num_steps)
        loss_mean, counts = tally.read()
        return loss_mean, float(dice(counts).mean()), len(counts.tp)

    def try_step(self, batch: Batch) -> None:
        """Take one step, to see whether memory holds it; the weights are no use afterwards."""
        self.step.model.train()
        self.step.optimizer.zero_grad(set_to_none=True)
        for part in batch.parts(self.micro_batch):
            self.step.measure(*self._mixed(part, stream_seed(self.seed, "mix", 1, 1)))[0].backward()
        self.step.optimizer.step()

    def _gather(self, batch: Batch, number: int, num_images: int, seed: int, tally: Tally) -> None:
        """Add a batch's share to the gradient of its step."""
        step, place = divmod(number, self.accumulate)
        if place == 0:
            self.step.optimizer.zero_grad(set_to_none=True)
        images_per_step = self.batch_size * self.accumulate
        in_step = min(images_per_step, num_images - step * images_per_step)
        for part in batch.parts(self.micro_batch):
            loss, measured = self.step.measure(*self._mixed(part, seed))
            (loss if len(part) == in_step else loss * (len(part) / in_step)).backward()
            tally.add(measured)

    def _take(self, images: torch.Tensor, target: torch.Tensor, valid: torch.Tensor | None) -> Measured:
        if self.graph is None:
            return self.step(images, target, valid)
        return self.graph.take(self.step, images, target, valid, self.batch_size)

    def _mixed(self, batch: Batch, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        heed_test(len(batch))
        return self.mixing(batch.images, batch.target, batch.valid, seed)
