"""What the dashboard's mirror costs: an epoch, a trial, a start, with 100 to 10,000 trials in the study.

`python -m benchmarks.mirror [TRIALS...] [--storage URL]...`

Without `--storage` an SQLite file and a journal in a temporary folder are measured, and the PostgreSQL server
that `SEGBENCH_TEST_POSTGRES` names (`.ci/postgres python -m benchmarks.mirror` starts one). A study is filled
with finished trials up to each size; then 40 trials are added, run for three epochs each and ended, as the
mirror's thread does it. Wall time is what a transaction takes; CPU time is that of this thread alone, which
tells the two apart where the machine is busy. A sweep never waits for any of it: `Mirror.handle` puts an
event into the inbox, which is measured too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.machine import heading, table
from segbench.dashboard.address import StorageAddress, find_address
from segbench.dashboard.mirror import Inbox
from segbench.dashboard.shown import ShownTrial
from segbench.dashboard.study import StudyMirror
from segbench.records import State
from segbench.store.layout import ExperimentFolder

SIZES = (100, 1_000, 10_000)
NUM_MEASURED = 40
NUM_EPOCHS = 3
LABELS = ("batch", "none", "group", "instance")
DETAILS = {
    "selected_epoch": "3 of 3",
    "folder": "results/exp/trials/0123456789ab",
    "device": "NVIDIA H200",
    "configuration": "model unet (width 32, depth 4), norm batch, " * 16,
}


@dataclass
class Timings:
    """Wall and CPU milliseconds of repeated calls."""

    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def time(self, call: Callable[[], object]) -> None:
        wall, cpu = time.perf_counter(), time.thread_time()
        call()
        self.wall_ms.append((time.perf_counter() - wall) * 1e3)
        self.cpu_ms.append((time.thread_time() - cpu) * 1e3)

    def cells(self) -> list[str]:
        """Return median and 95th percentile of wall time, median of CPU time."""
        p95 = sorted(self.wall_ms)[int(0.95 * (len(self.wall_ms) - 1))]
        return [f"{value:.2f}" for value in (statistics.median(self.wall_ms), p95)] + [
            f"{statistics.median(self.cpu_ms):.2f}"
        ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mirror")
    parser.add_argument("trials", nargs="*", type=int, default=SIZES)
    parser.add_argument("--storage", action="append")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = os.environ.get("SEGBENCH_TEST_POSTGRES")
        urls = asked.storage or [f"sqlite:///{folder}/a.db", f"{folder}/a.log", *([server] if server else [])]
        print("\n".join(heading("The dashboard's mirror")))
        for url in urls:
            address = find_address(url, Path(folder))
            print(f"### {address.url.partition(':')[0] if '://' in url else 'journal file'}\n")
            print("\n".join(measure_storage(address, sorted(asked.trials), Path(folder))))
    print("### In the sweep's own thread\n")
    print("\n".join(measure_inbox()))


def measure_storage(address: StorageAddress, sizes: Sequence[int], root: Path) -> list[str]:
    """Return tables of the costs at each size of the study."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    study = open_study(address, name)
    trials: list[ShownTrial] = []
    costs, starts = [], []
    for size in sizes:
        while len(trials) < size - NUM_MEASURED:
            trials.append(ended(len(trials), name, root))
            study.add(trials[-1])
        measured = measure_trials(study, trials, name, root)
        costs += [[f"{size:,}", what, promise, *t.cells()] for what, promise, t in measured]
        starts.append([f"{size:,}", *measure_start(address, name, trials)])
    study.close()
    return [
        *table(["trials", "what", "promised ms", "median ms", "95 % ms", "CPU ms"], costs),
        *table(["trials", "open the study, s", "synchronise, s", "CPU of both, s"], starts),
    ]


def measure_trials(
    study: StudyMirror, trials: list[ShownTrial], name: str, root: Path
) -> list[tuple[str, str, Timings]]:
    added, reported, whole = Timings(), Timings(), Timings()
    for _ in range(NUM_MEASURED):
        last = ended(len(trials), name, root)
        waiting = replace(
            last, state=State.WAITING, started=None, finished=None, details={}, picture=None, test={}
        )
        began = time.perf_counter(), time.thread_time()
        added.time(lambda waiting=waiting: study.add(waiting))  # type: ignore[misc]
        study.set_state(replace(waiting, state=State.RUNNING, started=last.started, details=DETAILS))
        without = time.perf_counter(), time.thread_time()
        for epoch in range(1, NUM_EPOCHS + 1):
            reported.time(lambda e=epoch, h=last.hash: study.report(h, e, e / 10))  # type: ignore[misc]
        after = time.perf_counter(), time.thread_time()
        study.set_state(last)
        now = time.perf_counter(), time.thread_time()
        whole.wall_ms.append((now[0] - after[0] + without[0] - began[0]) * 1e3)
        whole.cpu_ms.append((now[1] - after[1] + without[1] - began[1]) * 1e3)
        trials.append(last)
    return [
        ("an epoch: report", "10", reported),
        ("a trial: add, start and end, details and picture", "100", whole),
        ("of it add", "", added),
    ]


def measure_start(address: StorageAddress, name: str, trials: Sequence[ShownTrial]) -> list[str]:
    """Open the storage afresh and synchronise all trials, which it shows already."""
    cpu, began = time.thread_time(), time.perf_counter()
    study = open_study(address, name)
    opened = time.perf_counter()
    is_rebuilt = study.synchronise(trials)
    done = time.perf_counter()
    study.close()
    assert not is_rebuilt
    return [f"{value:.2f}" for value in (opened - began, done - opened, time.thread_time() - cpu)]


def measure_inbox() -> list[str]:
    inbox, took = Inbox(), []
    for k in range(20_000):
        began = time.perf_counter()
        inbox.put_epoch(f"{k % 64:012x}", k // 64, 0.5)
        took.append((time.perf_counter() - began) * 1e6)
    median, p95 = statistics.median(took), sorted(took)[int(0.95 * len(took))]
    return table(
        ["what", "median us", "95 % us"], [["an event into the inbox", f"{median:.1f}", f"{p95:.1f}"]]
    )


def open_study(address: StorageAddress, name: str) -> StudyMirror:
    return StudyMirror(address, name=name, directions=["maximize"], metrics=["val_dice"])


def ended(number: int, name: str, root: Path) -> ShownTrial:
    """Return a finished trial as an experiment of two axes and three epochs has it."""
    trial_hash = f"{number:012x}"
    folder = ExperimentFolder(root / name).trial(trial_hash)
    folder.panels.parent.mkdir(parents=True)
    folder.panels.touch()
    return ShownTrial(
        hash=trial_hash,
        label="batch, 0.001",
        seed=number,
        fold=0,
        state=State.COMPLETE,
        parameters={"norm": LABELS[number % 4], "lr": LABELS[number // 4 % 4]},
        space={axis: {"levels": list(LABELS)} for axis in ("norm", "lr")},
        objective=0.5,
        intermediate={epoch: epoch / 10 for epoch in range(1, NUM_EPOCHS + 1)},
        started="2026-11-01T10:00:00+00:00",
        finished="2026-11-01T10:10:00+00:00",
        commit="0123456789abcdef0123456789abcdef01234567",
        test={"dice": 0.8, "iou": 0.7, "dice_last": 0.8, "iou_last": 0.7},
        details=DETAILS,
        picture=folder,
    )


if __name__ == "__main__":
    main()
