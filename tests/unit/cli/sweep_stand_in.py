"""A project whose sweeps train nothing: every trial asked for is finished at once, as `dice` says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from segbench.records import EpochRecord, State, TrialRecord
from segbench.store.layout import ExperimentFolder
from segbench.store.trials import ImageValue, append_epoch, write_images, write_trial
from segbench.sweep.studies import Job

TEXT = """\
question: Does it matter?
baseline:
  dataset: {shapes: {num_train: 4, num_val: 2, num_test: 3, size_px: 32}}
  model: {unet: {width: 4, depth: 2}}
  loss: {bce: 1}
  optimizer: {adam: {lr: 1e-3}}
  batch_size: 2
  epochs: 1
axes:
  norm: {levels: {BN: batch, none: none}}
seeds: 2
"""


@dataclass
class StandIn:
    """Takes the place of the workers."""

    root: Path
    dice: Callable[[Mapping[str, str], int], float] = lambda levels, seed: 0.8 + 0.001 * seed
    state: Callable[[Mapping[str, str], int], State] = lambda levels, seed: State.COMPLETE
    batches: list[list[tuple[str, int]]] = field(default_factory=list)
    """(cell, seed) of every trial that was run, a list a call."""
    stops_after: int | None = None
    """Trials after which the sweep is asked to stop."""

    def run_job(self, job: Job, *, stop: Any, **_: Any) -> None:
        ran = []
        if self.stops_after is not None:
            stop.set()
        for entry in job.to_run[: self.stops_after]:
            trial = entry.trial
            value = self.dice(trial.cell.levels, trial.seed)
            record = TrialRecord(
                hash=trial.hash,
                identity=trial.identity,
                experiment=job.experiment.name,
                levels=dict(trial.cell.levels),
                config=trial.cell.config.to_json(),
                config_hash=trial.cell.config_hash,
                seed=trial.seed,
                fold=trial.fold,
                data_fingerprint=trial.data_fingerprint,
                state=self.state(trial.cell.levels, trial.seed),
                epochs_done=1,
                objective=value,
                test={"dice": value},
                finished="2026-02-03T04:05:06+00:00",
            )
            write_trial(entry.folder, record)
            val = {"loss": 0.5, "dice": value}
            epoch = EpochRecord(
                epoch=1,
                lr=0.1,
                train_loss=1,
                train_dice=0.5,
                val=val,
                epoch_time_s=1,
                images_per_s=1,
                peak_memory_mib=1,
            )
            append_epoch(entry.folder, epoch)
            write_images(
                entry.folder,
                [
                    ImageValue(f"i{k}", "", "test", "foreground", "dice", value + k / 100 - 0.01)
                    for k in range(3)
                ],
            )
            ran.append((trial.cell.label, trial.seed))
        self.batches.append(ran)

    def write(self, text: str, name: str = "exp") -> None:
        (self.root / "experiments" / f"{name}.yaml").write_text(text)

    def folder(self, name: str = "exp") -> ExperimentFolder:
        return ExperimentFolder(self.root / "results" / name)


def make_stand_in(root: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Put a project into `root`, make it the current folder, and take the workers' place."""
    (root / "experiments").mkdir()
    stand_in = StandIn(root)
    stand_in.write(TEXT)
    monkeypatch.chdir(root)
    monkeypatch.setenv("SEGBENCH_CACHE", str(root / "cache"))
    monkeypatch.setattr("segbench.sweep.launch.run_job", stand_in.run_job)
    monkeypatch.setattr("segbench.sweep.launch.check_job", lambda job, **_: ())
    monkeypatch.setattr("segbench.sweep.launch.mirror_only", lambda job: None)
    monkeypatch.setattr("segbench.trial.limits.StopRequest.install", lambda self: None)
    return stand_in
