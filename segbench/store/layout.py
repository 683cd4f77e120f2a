"""Every path under `results/`, spelled here and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

HASH_DIGITS: Final = 12
"""A trial's folder is named by this many hexadecimal digits of its identity."""

TRIAL_KEY: Final = "trial_hash"
"""Key under which weights and masks say whose they are; files of older versions lack it."""

_HEX: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class ResultsFolder:
    """`results/`."""

    path: Path

    @property
    def study(self) -> Path:
        """Journal of the Optuna studies; rebuildable, not committed."""
        return self.path / "optuna.journal"

    def experiment(self, name: str) -> ExperimentFolder:
        return ExperimentFolder(self.path / name)

    def experiments(self) -> list[ExperimentFolder]:
        """Return the folders that hold trials or an experiment's document, in alphabetical order."""
        if not self.path.is_dir():
            return []
        folders = (ExperimentFolder(p) for p in sorted(self.path.iterdir()) if p.is_dir())
        return [f for f in folders if f.trials.is_dir() or f.experiment_yaml.is_file()]


@dataclass(frozen=True)
class ExperimentFolder:
    """`results/<experiment>/`."""

    root: Path

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def experiment_yaml(self) -> Path:
        """The experiment as it was asked, with `extends`, scale and `--set` applied."""
        return self.root / "experiment.yaml"

    @property
    def index(self) -> Path:
        return self.root / "index.csv"

    @property
    def history(self) -> Path:
        """When sweeps ended with the design complete, and what had changed since the one before."""
        return self.root / "history.csv"

    @property
    def samples(self) -> Path:
        """Attributes and facts of the test images, where the experiment asks for sub-groups."""
        return self.root / "samples.csv"

    @property
    def queue(self) -> Path:
        """What the workers take from; gone when the sweep has ended."""
        return self.root / "queue.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor; it names its process."""
        return self.root / "queue.lock"

    @property
    def supervisor(self) -> SupervisorClaims:
        """The claim of the supervisor, between hosts."""
        return SupervisorClaims(self.root)

    @property
    def stop_request(self) -> Path:
        """Asks the supervisor, and workers without one, to stop."""
        return self.root / "stop"

    @property
    def sweep_log(self) -> Path:
        """What a detached sweep prints."""
        return self.root / "sweep.log"

    @property
    def log(self) -> Path:
        """What workers print, outside of any trial's own log."""
        return self.root / "log.txt"

    @cached_property
    def trials(self) -> Path:
        return self.root / "trials"

    def trial(self, hash: str) -> TrialFolder:
        return TrialFolder(self.trials / hash[:HASH_DIGITS])

    def trial_folders(self) -> Iterator[TrialFolder]:
        """Yield the folders that are named like a trial, in alphabetical order."""
        try:
            with os.scandir(self.trials) as entries:
                names = [e.name for e in entries if _is_hash(e.name) and e.is_dir()]
        except (FileNotFoundError, NotADirectoryError):
            return
        trials = self.trials
        for name in sorted(names):
            yield TrialFolder(trials / name)


def _is_hash(name: str) -> bool:
    return len(name) == HASH_DIGITS and _HEX.issuperset(name)


@dataclass(frozen=True)
class SupervisorClaims:
    """`supervisor.<n>` in an experiment's folder."""

    path: Path

    def lease(self, generation: int) -> Path:
        """Claim number `generation`; the highest number holds (see `segbench.store.lease`)."""
        return self.path / f"supervisor.{generation}"


@dataclass(frozen=True)
class TrialFolder:
    """`results/<experiment>/trials/<hash12>/`."""

    path: Path

    @property
    def hash(self) -> str:
        return self.path.name

    @property
    def experiment(self) -> ExperimentFolder:
        return ExperimentFolder(self.path.parent.parent)

    @property
    def record(self) -> Path:
        return self.path / "trial.json"

    @property
    def epochs(self) -> Path:
        return self.path / "epochs.csv"

    @property
    def images(self) -> Path:
        return self.path / "images.csv.gz"

    @property
    def best(self) -> Path:
        """Weights at the selected epoch."""
        return self.path / "best.pt"

    @property
    def last(self) -> Path:
        """The whole state after the last finished epoch: what a resume starts from."""
        return self.path / "last.pt"

    @property
    def masks(self) -> Path:
        """Predicted test masks, one bit a pixel."""
        return self.path / "masks.npz"

    @property
    def panels(self) -> Path:
        """A few test images, their masks and what was predicted; for the dashboard, not committed."""
        return self.path / "panels" / "test.png"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def diff(self) -> Path:
        """Uncommitted changes of the code that ran, where there were any."""
        return self.path / "code.diff"

    @property
    def stop_request(self) -> Path:
        """Its presence asks the worker to stop the trial after the current epoch (pruned)."""
        return self.path / "stop"

    def lease(self, generation: int) -> Path:
        """Claim number `generation`; the highest number holds (see `segbench.store.lease`)."""
        return self.path / f"lease.{generation}"
