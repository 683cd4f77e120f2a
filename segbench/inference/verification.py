"""A saved trial measured again, beside what its record says."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch

from segbench import registry
from segbench.config.trial import TrialConfig
from segbench.data import prepare
from segbench.engine.protocol import build_run
from segbench.errors import ResultsError, message
from segbench.quantities import METRICS
from segbench.records import DECIMALS, TrialRecord
from segbench.store.trials import read_epochs, read_trial
from segbench.store.weights import read_best, read_last

if TYPE_CHECKING:
    from segbench.config.project import Project
    from segbench.engine import Evaluation
    from segbench.store.layout import TrialFolder

TOLERANCE: Final = 1e-4
"""Largest difference of a mean that still counts as agreement: another device or number of threads sums in
another order, and some pixels at the threshold change sides. Distances count as shares of the image's
diagonal, so that it is the same part of every metric's range."""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Means measured now, and the record's."""

    trial: str
    """`experiment/hash`."""
    split: str
    which: str
    epoch: int
    num_images: int
    measured: dict[str, float]
    recorded: dict[str, float]
    """Empty where the record holds nothing of the kind, as for the training images."""
    diagonal_px: float
    """Of the images as they were evaluated."""

    @property
    def largest_difference(self) -> float | None:
        """The largest absolute difference over the metrics that both have; None without any.

        Distances are in units of the image's diagonal.
        """
        shared = self.measured.keys() & self.recorded.keys()
        return max((abs(self.measured[n] - self.recorded[n]) / self._range(n) for n in shared), default=None)

    def _range(self, name: str) -> float:
        return self.diagonal_px if name in METRICS and METRICS[name].unit == "px" else 1.0

    @property
    def agrees(self) -> bool | None:
        """Whether the two agree within `TOLERANCE`; None where there is nothing to compare with."""
        difference = self.largest_difference
        return None if difference is None else difference <= TOLERANCE

    def to_json(self) -> dict[str, Any]:
        return {
            "trial": self.trial,
            "split": self.split,
            "which": self.which,
            "epoch": self.epoch,
            "images": self.num_images,
            "measured": self.measured,
            "recorded": self.recorded,
            "largest_difference": self.largest_difference,
            "agrees": self.agrees,
        }


def verify_trial(
    folder: TrialFolder,
    project: Project,
    *,
    split: str = "test",
    which: str = "selected",
    device: str | torch.device = "cpu",
    threads: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Measure a saved trial's weights on a part of its data set.

    Args:
        folder: The trial's folder.
        project: Where the data are.
        split: `test`, `val` or `train` (not augmented).
        which: `selected` (best.pt) or `last` (last.pt).
        device: Where the network runs.
        threads: Threads on the CPU; None: the record's own number.
        on_progress: Told (images done, images in all) while the data are decoded.

    Raises:
        ResultsError: The record or weights are missing or damaged, or the data are not those of the trial.
    """
    registry.use_project(project.root)
    record = read_trial(folder)
    config = TrialConfig.from_json(record.config)
    data = prepare(config, project, fold=record.fold, on_progress=on_progress)
    check_fingerprint(folder, record, data.fingerprint)
    run = build_run(
        config, data, seed=record.seed, device=device, threads=record.threads if threads is None else threads
    )
    if which == "last":
        state = read_last(folder)
        if state is None:
            rule = "there are no last weights (they are not committed with the results)"
            raise ResultsError(message(str(folder.last), rule, see="`--which selected` needs best.pt alone"))
        run.load_state_dict(state)
        epoch = len(run.history)
    else:
        best = read_best(folder, epoch=record.selected_epoch)
        run.load_selected(best.weights)
        epoch = best.epoch
    evaluation = run.evaluate(split, which)
    return Verification(
        trial=f"{folder.experiment.name}/{folder.hash}",
        split=split,
        which=which,
        epoch=epoch,
        num_images=len(evaluation.sample_numbers),
        measured=_means(evaluation, split),
        recorded=_recorded(folder, record, split, which, epoch),
        diagonal_px=math.hypot(*data.images.shape[1:3]),
    )


def check_fingerprint(folder: TrialFolder, record: TrialRecord, found: str) -> None:
    """Refuse data that are not those that a trial was trained with.

    Args:
        folder: The trial's folder.
        record: What it recorded.
        found: The fingerprint of the data that are there now.

    Raises:
        ResultsError: They differ.
    """
    if found != record.data_fingerprint:
        rule = "the data set or its split has changed since the trial was trained"
        see = f"The trial's fingerprint starts with {record.data_fingerprint[:12]}"
        raise ResultsError(message(str(folder.record), rule, got=found[:12], see=see))


def _means(evaluation: Evaluation, split: str) -> dict[str, float]:
    means = evaluation.means()
    if split == "test":
        del means["loss"]  # the record keeps none
    return {name: float(f"{value:.{DECIMALS}g}") for name, value in means.items()}


def _recorded(
    folder: TrialFolder, record: TrialRecord, split: str, which: str, epoch: int
) -> dict[str, float]:
    if split == "test":
        ends = "_last" if which == "last" else ""
        names = [name for name in record.test if name.endswith("_last") == bool(ends)]
        return {name.removesuffix("_last"): record.test[name] for name in names}
    if split == "val":
        epochs = read_epochs(folder)
        row = epochs[epochs["epoch"] == epoch].filter(like="val_").dropna(axis="columns")
        return {str(column).removeprefix("val_"): float(row[column].iloc[0]) for column in row if len(row)}
    return {}
