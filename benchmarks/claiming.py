"""What share of their time 16 workers spend on claiming trials.

`python -m benchmarks.claiming [WORKERS] [TRIALS] [TRIAL_S] [SECONDS]`

So many processes take trials from one queue, in one folder. A trial is a sleep of TRIAL_S, give or take 30 %
(of one length, all would end at the same moments and queue for the processor), with all the files of a
real one (weights of a few numbers); the workers are stopped after SECONDS. Claiming is what a worker
does between asking for a trial and having it, and giving it back: pick, looks at records, tries for leases
that others won, lease, release, log. Nobody waits at the end of the queue: it is longer than the run.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import heading, spread, table
from segbench.config.load import load_experiment
from segbench.records import EpochRecord

EXPERIMENT = """\
question: How long does a claim take?
baseline:
  dataset: {{shapes: {{num_train: 4, num_val: 2, num_test: 2, size_px: 32}}}}
  model: {{unet: {{width: 4, depth: 2}}}}
  norm: batch
  augment: none
  loss: bce
  optimizer: {{adam: {{lr: 1e-3}}}}
  schedule: constant
  batch_size: 2
  epochs: 1
axes:
  norm: [batch, none, group, instance]
seeds: {seeds}
"""


class Sleeper:
    """A run whose one epoch is a sleep."""

    parameters = trainable_parameters = flops = 1
    input_spec: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.history: list[EpochRecord] = []

    @property
    def selected_epoch(self) -> int | None:
        return 1 if self.history else None

    def __iter__(self) -> Iterator[EpochRecord]:
        time.sleep(self.seconds)
        record = EpochRecord(
            epoch=1,
            lr=0.1,
            train_loss=0.5,
            train_dice=0.5,
            val={"loss": 0.5, "dice": 0.5},
            epoch_time_s=self.seconds,
            images_per_s=1.0,
            peak_memory_mib=1.0,
        )
        self.history.append(record)
        yield record

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": len(self.history)}

    def weights(self, which: str = "selected") -> dict[str, Any]:
        import torch

        return {"w": torch.zeros(8)}

    def evaluate(self, split: str, which: str = "selected", with_masks: bool = False) -> Any:
        from segbench.engine.passes import Evaluation

        masks = np.zeros((2, 32, 32), bool)
        metrics = {"dice": np.full(2, 0.5)}
        return Evaluation(sample_numbers=np.arange(2), metrics=metrics, loss=0.5, masks=masks)

    def close(self) -> None:
        pass


def main(workers: int = 16, num_trials: int = 1024, trial_s: float = 5.0, seconds: float = 60.0) -> None:
    from segbench.plan.plan import plan_trials
    from segbench.store.queue import Queue, QueuedTrial
    from segbench.sweep import worker  # noqa: F401 - imported once, before the fork

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "experiments" / "sleep.yaml"
        file.parent.mkdir()
        file.write_text(EXPERIMENT.format(seeds=num_trials // 4))
        plan = plan_trials(load_experiment(file))
        plan.folder.root.mkdir(parents=True)
        queue = Queue(experiment="sleep", trials=tuple(QueuedTrial.of(e.trial) for e in plan.entries))
        queue.write(plan.folder.queue)
        context = multiprocessing.get_context("fork")
        told: Any = context.SimpleQueue()
        arguments = (plan, trial_s, seconds, told)
        processes = [context.Process(target=work, args=arguments) for _ in range(workers)]
        for process in processes:
            process.start()
        found = [told.get() for _ in processes]
        for process in processes:
            process.join()
    starts = [start_s for start_s, *_ in found]
    shares = [100 * claiming_s / (total_s - start_s) for start_s, claiming_s, total_s, _ in found]
    each = [1000 * claiming_s / max(1, count - 1) for _, claiming_s, _, count in found]
    lines = heading(
        f"{workers} workers, {num_trials:,} trials of {trial_s:g} s queued, stopped after {seconds:g} s"
    )
    row = [
        str(sum(count for *_, count in found)),
        spread(shares, "%"),
        "1 %",
        spread(each, "ms", 1),
        spread(starts),
    ]
    header = ["trials run", "share of time in claiming, by worker", "promised", "a trial", "the first"]
    print("\n".join(lines + table(header, [row])))


def work(plan: Any, trial_s: float, seconds: float, told: Any) -> None:
    """Run a worker; tell its seconds before the first trial, in claiming, and in all, and its trials."""
    from segbench.engine import protocol
    from segbench.sweep.worker import Worker
    from segbench.trial.limits import StopRequest
    from segbench.trial.picking import WarmData
    from segbench.trial.run import Resources, _Attempt

    draw = random.Random(os.getpid())
    lengths = lambda *_, **__: Sleeper(trial_s * draw.uniform(0.7, 1.3))  # noqa: E731
    protocol.build_run = lengths  # type: ignore[assignment]
    WarmData.get = lambda self, *_, **__: _data()  # type: ignore[method-assign]
    running_s, count, start_s, stop = 0.0, 0, 0.0, StopRequest()
    run = _Attempt.run

    def timed(self: Any, record: Any) -> Any:
        nonlocal running_s, count, start_s
        began = time.perf_counter()
        start_s = start_s or began - start
        ended = run(self, record)
        running_s += time.perf_counter() - began
        count += 1
        if time.perf_counter() - start >= seconds:
            stop.set()
        return ended

    _Attempt.run = timed  # type: ignore[method-assign]
    start = time.perf_counter()
    Worker(plan.experiment.project, plan.folder, Resources(device="cpu", threads=1), stop).work()
    total_s = time.perf_counter() - start
    told.put((start_s, total_s - start_s - running_s, total_s, count))


def _data() -> Any:
    from types import SimpleNamespace

    from segbench.samples import Sample

    return SimpleNamespace(samples=(Sample("a"), Sample("b")), split={"test": np.arange(2)})


if __name__ == "__main__":
    main(*(kind(value) for kind, value in zip((int, int, float, float), sys.argv[1:], strict=False)))
