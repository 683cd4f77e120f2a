"""One trial's training: yields one record per epoch, and writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import cached_property
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from segbench import registry
from segbench.config.resolve import mixing_problem
from segbench.config.trial import TrialConfig
from segbench.data.batched import DeviceBatches
from segbench.data.batches import TrainBatches, eval_batches
from segbench.data.prepared import PreparedData
from segbench.engine import state
from segbench.engine.assembly import assemble
from segbench.engine.divergence import Diverged
from segbench.engine.instruments import PeakMemory, Waits, count_flops, count_parameters, name_device
from segbench.engine.numerics import Numerics, choose_device, seeded
from segbench.engine.passes import Evaluation, OnStep, evaluate_batches
from segbench.engine.rates import Rates
from segbench.engine.selection import check_objective, has_stalled, oriented_values, select
from segbench.engine.splitting import effect_of_batch
from segbench.engine.state import WeightAverage
from segbench.engine.training import Training
from segbench.errors import ExperimentError, TrialError, message
from segbench.records import EpochRecord
from segbench.sizes import size_problem
from segbench.streams import stream_seed

__all__ = ["Diverged", "Evaluation", "Run"]

_FLOPS: dict[tuple[object, ...], int] = {}
"""Counted by this process: (model, norm, shape, device, precision) -> operations."""


class Run:
    """Trains one configuration with one seed.

    Iterating trains epoch by epoch, from where the state stands to the last one (or to early stopping), and
    yields each epoch's record; whoever iterates may stop at any record and go on later. Between records the
    run may be saved, evaluated and asked for weights. Everything random comes from streams named by the seed
    (docs/design.md, "Engine"), and the process's random state, threads and precision switches are as they
    were between records, so a trial's numbers do not depend on what ran before it, nor on where it was
    interrupted.
    """

    def __init__(
        self,
        config: TrialConfig,
        data: PreparedData,
        *,
        seed: int,
        device: str | torch.device = "cpu",
        threads: int | None = None,
        loader_workers: int = 0,
        on_step: OnStep | None = None,
        micro_batch: int | None = None,
    ) -> None:
        """Build network, loss, optimiser and schedule.

        Args:
            config: What to train.
            data: Prepared images, split and scaling.
            seed: Names the random streams.
            device: `cpu`, `cuda` or `cuda:N`.
            threads: Threads of one operation on the CPU; None: as many as the process has.
            loader_workers: Processes that augment; 0: this one. They change no number.
            on_step: Told (steps done, steps in the epoch) after each training step; throttling is its own
                business.
            micro_batch: Images that go through the network at a time; None: a whole batch. Only where
                `why_whole` returns None does it change nothing but rounding.

        Raises:
            ExperimentError: The network does not take the images, the objective is no column, or batches of
                one are to be mixed.
        """
        check_objective(config.objective)
        problem = mixing_problem("mix", config.mix, config.batch_size)
        if problem:
            raise ExperimentError(problem)
        self.config = config
        self.seed = seed
        self.history: list[EpochRecord] = []
        self.selected_epoch: int | None = None
        self._data = data
        self._numerics = Numerics(choose_device(device), config.precision, threads, config.deterministic)
        self._assembly = assemble(config, data, seed=seed, numerics=self._numerics, micro_batch=micro_batch)
        step = self._assembly.step
        self._model, self._criterion, self._optimizer = step.model, step.criterion, step.optimizer
        _check_size(config, self._model, data)
        self.parameters, self.trainable_parameters = count_parameters(self._model)
        schedule = registry.build("schedule", config.schedule.name, **config.schedule.knobs)
        self._average = None if config.ema is None else WeightAverage(self._model, config.ema)
        self._training = Training(
            step=step,
            rates=Rates(self._optimizer, self._assembly.base_rates, schedule, epochs=config.epochs),
            mixing=registry.build("mix", config.mix.name, **config.mix.knobs),
            average=self._average,
            batch_size=config.batch_size,
            accumulate=config.accumulate,
            seed=seed,
            on_step=on_step,
            micro_batch=micro_batch,
            graph=self._assembly.graph,
        )
        self._is_sound = True
        self.on_batch: Callable[[], None] | None = None
        """Called after each batch of an evaluation, which has no steps: a sign of life."""
        self._batches = (
            DeviceBatches(data, config, seed, device=self._numerics.device)
            if config.augment_backend == "device"
            else TrainBatches(data, config, seed, loader_workers, device=self._numerics.device)
        )
        self._memory = PeakMemory(self._numerics.device)
        self._selected: dict[str, torch.Tensor] | None = None
        self._divergence: Diverged | None = None

    @property
    def device(self) -> torch.device:
        return self._numerics.device

    @property
    def device_name(self) -> str:
        """Name of the hardware that trains."""
        return name_device(self.device)

    @property
    def path(self) -> dict[str, Any]:
        """How it computes, in plain types: what docs/results-format.md says of `path`."""
        pixels = self._batches.pixels
        is_last = self._numerics.memory_format is torch.channels_last
        return {
            "layout": "channels_last" if is_last else "contiguous",
            "graph": self._assembly.graph_state,
            "compiled": self.config.compile,
            "data": "device memory" if pixels is not None and pixels.is_resident else "cache",
        }

    @cached_property
    def flops(self) -> int:
        """Floating-point operations of one forward pass of one image, two a multiply-add."""
        _, height, width, channels = self._data.images.shape
        config, shape = self.config, (channels, height, width)
        # A warm worker runs many trials of one network: what it costs was counted with the first.
        key = (repr(config.model), repr(config.norm), shape, self.device.type, config.precision)
        if key not in _FLOPS:
            _FLOPS[key] = count_flops(self._model, shape, self._numerics)
        return _FLOPS[key]

    @property
    def input_spec(self) -> dict[str, Any]:
        """What the network expects of an image, in plain types: `size_px`, `channels`, `mean`, `std` (pixel
        units)."""
        _, height, width, channels = self._data.images.shape
        scaling = self._data.scaling
        return {
            "size_px": [int(height), int(width)],
            "channels": int(channels),
            "mean": [float(v) for v in scaling.mean],
            "std": [float(v) for v in scaling.std],
        }

    @property
    def is_finished(self) -> bool:
        """Whether the last epoch is done, or early stopping ended the run."""
        config = self.config
        return len(self.history) >= config.epochs or has_stalled(
            self.history, config.objective, config.early_stopping
        )

    def __iter__(self) -> Iterator[EpochRecord]:
        """Train the remaining epochs.

        Raises:
            Diverged: A loss was NaN or infinite; `history` holds the epochs before.
        """
        if self._divergence is not None:
            raise self._divergence
        while not self.is_finished:
            try:
                record = self._run_epoch(len(self.history) + 1)
            except Diverged as divergence:
                self._divergence = divergence
                raise
            self.history.append(record)
            self.selected_epoch = select(self.history, self.config.objective)
            if self.selected_epoch == record.epoch:
                self._keep(self._weights("last"))
            yield record

    def evaluate(self, split: str, which: str = "selected", with_masks: bool = False) -> Evaluation:
        """Measure the selected or the last weights on `train` (neither augmented nor mixed), `val` or `test`.

        Both are averages over the steps where the configuration has `ema`. Metrics of outlines are measured
        on `test` alone.

        Raises:
            Diverged: The loss on these images is NaN or infinite.
            TrialError: There are no selected weights.
        """
        weights = self._weights(which)
        return self._evaluate(split, weights, with_masks=with_masks)

    def weights(self, which: str = "selected") -> dict[str, torch.Tensor]:
        """Return a copy of the `selected` or the `last` weights and buffers, on the CPU.

        Both are averages over the steps where the configuration has `ema`; those that the optimiser moves are
        in `state_dict`.

        Raises:
            TrialError: There are no selected weights.
        """
        return state.to_cpu(self._weights(which))

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of all that later epochs depend on: tensors on the CPU and plain types."""
        return state.write(
            self._model,
            self._criterion,
            self._optimizer,
            self._average,
            self.history,
            self.selected_epoch,
        )

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Stand where `saved` was taken; the next epoch is bit for bit the one that would have followed.

        Where the last epoch done is not the selected one, `load_selected` brings the selected weights back.

        Raises:
            ResultsError: The state is of another configuration or format.
        """
        self.history = state.read(saved, self._model, self._criterion, self._optimizer, self._average)
        self.selected_epoch = select(self.history, self.config.objective)
        self._selected, self._divergence = None, None
        if self.history and self.selected_epoch == self.history[-1].epoch:
            self._keep(self._weights("last"))

    def load_selected(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Take the selected epoch's weights, as they stand in `best.pt`.

        Raises:
            ResultsError: They do not fit the network.
        """
        state.check_fits(weights, self._model)
        self._keep({name: weights[name].to(self.device) for name in self._model.state_dict()})

    def why_whole(self) -> str | None:
        """Say why a batch must go through the network as a whole, or return None where it may be split."""
        if self.config.mix.name != "none":
            return f"{self.config.mix.name} mixes the images of a batch"
        if not getattr(self._criterion, "is_mean_over_images", False):
            return "the loss of a batch is not the mean of its images' losses"
        batch = next(eval_batches(self._data, "train", 2, device=self.device))
        if len(batch) < 2:
            return "there is one image"
        with self._numerics.active():
            return effect_of_batch(self._model, self._numerics.images(batch.images))

    def try_step(self) -> None:
        """Take one step on a batch, to see whether memory holds it; the run is no use afterwards."""
        batch = next(eval_batches(self._data, "train", self.config.batch_size, device=self.device))
        with self._numerics.active(), seeded(0, self.device):
            self._training.try_step(batch)

    def close(self) -> None:
        """End what prepares batches, the loader's processes or the thread, and leave what a GPU recorded of
        a step to the next run of this process, which writes its own weights there."""
        self._batches.close()
        if self._is_sound:
            self._is_sound = False
            self._assembly.give_back()

    def _run_epoch(self, epoch: int) -> EpochRecord:
        config, numerics = self.config, self._numerics
        started = time.perf_counter()
        is_sound, self._is_sound = self._is_sound, False  # what stops within an epoch leaves nothing behind
        self._memory.restart()
        dropout = stream_seed(self.seed, "dropout", epoch)
        with (
            closing(self._batches.epoch(epoch)) as batches,
            numerics.active(),
            seeded(dropout, numerics.device),
        ):
            waits = Waits(batches)
            train_loss, train_dice, num_images = self._training.run_epoch(
                waits,
                epoch=epoch,
                num_images=self._batches.num_samples,
                objective=oriented_values(self.history, config.objective),
            )
        train_time_s = time.perf_counter() - started
        val = self._evaluate("val", self._weights("last"), epoch=epoch).means()
        self._is_sound = is_sound
        record = EpochRecord(
            epoch=epoch,
            lr=self._training.rates.lr,
            train_loss=train_loss,
            train_dice=train_dice,
            val=val,
            epoch_time_s=time.perf_counter() - started,
            images_per_s=num_images / train_time_s,
            peak_memory_mib=self._memory.read_mib(self._assembly.held_bytes),
            data_wait_s=waits.seconds,
        )
        return state.rounded(record)

    def _evaluate(
        self,
        split: str,
        weights: Mapping[str, torch.Tensor],
        *,
        epoch: int | None = None,
        with_masks: bool = False,
    ) -> Evaluation:
        def forward(images: torch.Tensor) -> torch.Tensor:
            return functional_call(self._model, dict(weights), (images,))

        at_a_time = self._training.micro_batch or self.config.batch_size
        pixels = self._batches.pixels
        batches = eval_batches(self._data, split, at_a_time, device=self.device, pixels=pixels)
        self._model.eval()
        with self._numerics.active(), seeded(stream_seed(self.seed, "evaluate", split), self.device):
            return evaluate_batches(
                forward,
                self._criterion.eval(),
                batches,
                epoch=len(self.history) if epoch is None else epoch,
                what=f"{split}_loss",
                numerics=self._numerics,
                with_masks=with_masks,
                surface_tolerance_px=self.config.surface_tolerance_px if split == "test" else None,
                on_batch=self.on_batch,
            )

    def _weights(self, which: str) -> Mapping[str, torch.Tensor]:
        if which == "last":
            return self._model.state_dict() if self._average is None else self._average.weights
        if which != "selected":
            raise TrialError(
                message("weights", "there are no such weights", got=which, known=("selected", "last"))
            )
        if self._selected is None:
            rule = (
                "no epoch was selected"
                if self.selected_epoch is None
                else f"the weights of the selected epoch {self.selected_epoch} were not loaded"
            )
            raise TrialError(message("weights", rule, see="`last` weights are there"))
        return self._selected

    def _keep(self, weights: Mapping[str, torch.Tensor]) -> None:
        self._selected = {name: value.detach().clone() for name, value in weights.items()}


def _check_size(config: TrialConfig, model: nn.Module, data: PreparedData) -> None:
    multiple = getattr(model, "size_multiple", 1)
    for size_px in data.images.shape[1:3]:
        problem = size_problem("dataset", int(size_px), multiple, config.model.name)
        if problem:
            raise ExperimentError(problem)
