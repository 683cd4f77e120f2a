"""The recipe for a launcher: one file of another package, declared as an entry point."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

LAUNCHER = '''
"""Starts workers as a cluster would: they say nothing, and are known by a name of their own."""

import os
import signal
import subprocess
import sys
import time

from segbench.sweep.launchers import Exit, Launcher


class Elsewhere(Launcher):
    outlives_supervisor = True
    ignores = ("--trials-per-gpu",)

    def __init__(self, request):
        super().__init__()
        self._request, self._workers, self._count = request, {}, 0

    @classmethod
    def open(cls, request):
        return cls(request)

    def describe(self):
        return [f"elsewhere: {self.size} workers"]

    @property
    def size(self):
        return self._request.workers or 1

    @property
    def num_running(self):
        return len(self._workers)

    @property
    def num_free(self):
        return self.size - len(self._workers)

    @property
    def log(self):
        return self._request.folder.log

    def start(self, count):
        return [self._start() for _ in range(count)]

    def _start(self):
        self._count += 1
        root = str(self._request.experiment.project.root)
        command = [sys.executable, "-m", "segbench", "worker", self._request.folder.name, "--project", root]
        environment = {**os.environ, "SEGBENCH_JOB": f"elsewhere-{self._count}"}
        with self.log.open("ab") as log:
            self._workers[self._count] = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        return self._count

    def poll(self, timeout_s):
        time.sleep(timeout_s)
        for number, process in list(self._workers.items()):
            if process.poll() is not None:
                del self._workers[number]
                yield number, Exit(number, process.returncode, f"elsewhere-{number}")

    def signal(self, number):
        for process in self._workers.values():
            process.send_signal(number)

    def kill(self, worker):
        self._workers[worker].kill()
'''

EXPERIMENT = """\
question: Does a launcher of another package train it?
baseline:
  dataset: {shapes: {num_train: 4, num_val: 2, num_test: 2, size_px: 16}}
  model: {unet: {width: 2, depth: 1}}
  loss: {bce: 1}
  optimizer: {adam: {lr: 1e-3}}
  batch_size: 2
  epochs: 1
axes:
  norm: [batch, none]
seeds: 1
"""


@pytest.mark.slow
def test_a_launcher_is_one_file_of_another_package(tree, tmp_path):
    site, project = tmp_path / "site", tmp_path / "project"
    install(site, "elsewhere")
    (project / "experiments").mkdir(parents=True)
    (project / "experiments" / "exp.yaml").write_text(EXPERIMENT)

    command = ("-m", "segbench", "sweep", "exp", "--launcher", "elsewhere", "--no-study", "--device", "cpu")
    said = tree.run(*command, cwd=project, path=site)

    assert not tree.touched
    assert "elsewhere: 1 workers" in said
    assert "finished: 2 complete." in said
    records = list((project / "results" / "exp" / "trials").glob("*/trial.json"))
    assert [json.loads(record.read_text())["state"] for record in records] == ["complete", "complete"]


def install(site: Path, name: str) -> None:
    """Lay a package out as an installer does."""
    metadata = site / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / f"{name}.py").write_text(LAUNCHER)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[segbench.launchers]\n{name} = {name}:Elsewhere\n")
