"""A sweep of 24 trials, what may be asked of it, and what it must leave behind."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.counts import count
from command_line import command, environment, segbench_

from segbench.records import TIMING_COLUMNS
from segbench.store.layout import ExperimentFolder, TrialFolder
from segbench.store.lease import holder
from segbench.store.masks import read_masks

HOOKS = Path(__file__).parent / "hooks"
NUM_TRIALS = 24

PATIENCE_S = 600.0
"""For what takes seconds on an idle machine."""

EXPERIMENT = """\
question: Does trouble change anything?
baseline:
  dataset: {shapes: {num_train: 16, num_val: 8, num_test: 8, size_px: 32}}
  input: dataset
  model: {slow_unet: {width: 4, depth: 2}}
  norm: batch
  augment: slow_flips
  loss: {bce: 1, dice: 1}
  optimizer: {adam: {lr: 2e-2}}
  schedule: cosine
  batch_size: 2
  epochs: 3
axes:
  norm: [batch, none]
  lr: {path: optimizer.lr, levels: [5e-2, 2e-2, 1e-2]}
seeds: 4
"""
SMALL = EXPERIMENT.replace("  lr: {path: optimizer.lr, levels: [5e-2, 2e-2, 1e-2]}\n", "").replace(
    "seeds: 4", "seeds: 2"
)
"""Four of the trials."""

AUGMENT = """\
from time import sleep

from segbench.axes.augment import variant


@variant
def slow_flips(*, pause_s: float = 0.01):
    \"\"\"Flip by the seed, and take so long over it that there is something to kill.

    Args:
        pause_s: Time an image takes.
    \"\"\"

    def augment(image, mask, seed):
        sleep(pause_s)
        return (image[:, ::-1], mask[:, ::-1]) if seed % 2 else (image, mask)

    return augment
"""
"""A user's own variant: an epoch takes a sixth of a second and more on any machine."""

MODEL = """\
from time import sleep

from segbench.axes.model import variant
from segbench.axes.model.unet import unet


@variant(size_multiple="2 ** depth")
def slow_unet(in_channels, out_channels, norm, *, width: int = 4, depth: int = 2, pause_s: float = 0.1):
    \"\"\"A U-Net that takes its time over images that do not train.

    Args:
        width: Channels of the first level.
        depth: How often H and W are halved.
        pause_s: Time a batch takes.
    \"\"\"
    net = unet(in_channels, out_channels, norm, width=width, depth=depth)
    net.register_forward_pre_hook(lambda module, _: None if module.training else sleep(pause_s))
    return net
"""
"""Makes an evaluation long enough to be hit."""

VOLATILE = (
    "attempts",
    "started",
    "finished",
    "train_time_s",
    "host",
    "device_name",
    "commit",
    "is_dirty",
    "versions",
)
"""Keys of `trial.json` that say when and where, not what."""


@dataclass
class Project:
    """A project with the experiment `tiny`, swept by two workers of one thread."""

    root: Path
    data: Path
    text: str = EXPERIMENT
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, text in {
            "experiments/tiny.yaml": self.text,
            "axes/augment/slow_flips.py": AUGMENT,
            "axes/model/slow_unet.py": MODEL,
        }.items():
            file = self.root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    @property
    def yaml(self) -> Path:
        return self.root / "experiments" / "tiny.yaml"

    @property
    def folder(self) -> ExperimentFolder:
        return ExperimentFolder(self.root / "results" / "tiny")

    def environment(self, **more: str) -> dict[str, str]:
        paths = {"SEGBENCH_DATA": str(self.data), "SEGBENCH_CACHE": str(self.data / "remembered")}
        return environment(HOOKS, **paths, **self.variables, **more)

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return segbench_(self.root, *arguments, env=self.environment(**more))

    def sweep(self, *arguments: str, workers: int = 2, **more: str) -> subprocess.CompletedProcess[str]:
        return self.run(*_sweep(workers), *arguments, **more)

    def start(self, *arguments: str, workers: int = 2, **more: str) -> subprocess.Popen[str]:
        """Start a sweep; its words go to a file, so that nobody has to read them for it to go on."""
        with (self.root / "said.txt").open("w") as said:
            return subprocess.Popen(
                command(*_sweep(workers), *arguments),
                cwd=self.root,
                env=self.environment(**more),
                stdout=said,
                stderr=subprocess.STDOUT,
                text=True,
            )

    @property
    def said(self) -> str:
        return (self.root / "said.txt").read_text()

    def trials(self) -> list[TrialFolder]:
        return list(self.folder.trial_folders())

    def states(self) -> list[str]:
        return [json.loads(t.record.read_text())["state"] for t in self.trials() if t.record.exists()]

    def processes(self) -> list[int]:
        """Return the live segbench processes that work here, the supervisor among them."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                arguments = (entry / "cmdline").read_bytes().decode().split("\0")
                is_here = (entry / "cwd").readlink() == self.root
            except OSError:
                continue
            if is_here and "segbench" in arguments:
                found.append(int(entry.name))
        return found

    def wait_for_orphans(self, seconds: float = PATIENCE_S) -> None:
        """A worker whose supervisor is gone ends by itself, at the next epoch at the latest."""
        wait_until(lambda: not self.processes(), seconds)
        assert self.processes() == []

    def records(self) -> dict[str, Any]:
        """Return everything a record promises to be the same, by trial and file."""
        found: dict[str, Any] = {"index.csv": self.folder.index.read_bytes()}
        for trial in self.trials():
            record = json.loads(trial.record.read_text())
            found[f"{trial.hash}/trial.json"] = {k: v for k, v in record.items() if k not in VOLATILE}
            rows = [line.split(",") for line in trial.epochs.read_text().splitlines()]
            assert rows[0][-len(TIMING_COLUMNS) :] == list(TIMING_COLUMNS)
            found[f"{trial.hash}/epochs.csv"] = [row[: -len(TIMING_COLUMNS)] for row in rows]
            found[f"{trial.hash}/images.csv.gz"] = trial.images.read_bytes()
            names, masks = read_masks(trial.masks)
            found[f"{trial.hash}/masks.npz"] = (names, masks.tobytes())
        return found

    def left_behind(self) -> list[str]:
        """Return what no ended sweep may leave: half-written files, claims, requests, a queue."""
        names = [p for p in self.root.rglob("*") if p.is_file()]
        names += [p for p in self.data.rglob("*") if p.is_file()]
        return sorted(str(p) for p in names if _is_rubbish(p.name))

    def assert_whole(self, undisturbed: dict[str, Any]) -> None:
        """One accepted record a trial, like those of the undisturbed sweep, and nothing else."""
        self.wait_for_orphans()
        found = self.records()
        assert found.keys() == undisturbed.keys()
        for key, value in undisturbed.items():
            assert found[key] == value, f"{key}: {found[key]!r:.500} is not {value!r:.500}"
        left = self.left_behind()
        assert not left, left
        num_trials = sum(key.endswith("trial.json") for key in found)
        count("compared", "trials: record, epochs, values per image, masks", num_trials)
        count("compared", "sweeps")

    def finish(self, undisturbed: dict[str, Any], *, most: int = 4) -> int:
        """Sweep until it says that all is well, and compare; return how many sweeps that took."""
        for number in range(1, most + 1):
            done = self.sweep()
            if done.returncode == 0:
                self.assert_whole(undisturbed)
                return number
        raise AssertionError(f"not finished after {most} sweeps:\n{done.stdout}\n{done.stderr}")


def phase_of(project: Project, pid: int, supervisor: int) -> str:
    """Say what a (stopped) process is doing, by the files it has left so far."""
    if pid == supervisor:
        if not project.folder.queue.exists():
            return "planning"
        return "supervising" if len(project.processes()) > 1 else "starting workers, or ending"
    for trial in project.trials():
        held = holder(trial)
        if held is None or held.pid != pid:
            continue
        try:
            state = json.loads(trial.record.read_text())["state"]
        except (OSError, ValueError):
            return "opening a trial"
        if state != "running":
            return "opening or closing a trial"
        epochs = epochs_done(trial)
        return f"training epoch {epochs + 1}" if epochs < 3 else "testing"
    return "starting up, or between trials"


def epochs_done(trial: TrialFolder) -> int:
    try:
        return max(trial.epochs.read_bytes().count(b"\n") - 1, 0)
    except OSError:
        return 0


def wait_until(is_so: Any, seconds: float = PATIENCE_S, *, pause_s: float = 0.01) -> bool:
    """Wait for something; return whether it came."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if is_so():
            return True
        time.sleep(pause_s)
    return bool(is_so())


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def num_kills() -> int:
    return int(os.environ.get("SEGBENCH_KILLS", "100"))


def _sweep(workers: int) -> Sequence[str]:
    return ("sweep", "tiny", "--workers", str(workers), "--threads", "1", "--device", "cpu")


def _is_rubbish(name: str) -> bool:
    return (
        ".tmp-" in name
        or name.endswith(".tmp")
        or name.startswith(("lease.", "supervisor."))
        or name in ("stop", "queue.json")
    )
