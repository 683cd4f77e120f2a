"""A search on a real PostgreSQL: four workers, pruning, a killed supervisor; and what is refused."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from storages import (
    SERVER,
    check_equal,
    dashboard,
    end,
    fetch_json,
    finish,
    postgres_database,
    read_study,
    start,
)

from segbench.errors import ResultsError
from segbench.records import State
from segbench.store.layout import ExperimentFolder
from segbench.store.trials import read_trial

pytestmark = pytest.mark.postgres

SEARCH = """\
question: Which learning rate?
baseline:
  dataset: {shapes: {num_train: 16, num_val: 4, num_test: 4, size_px: 32}}
  input: unit
  model: {unet: {width: 4, depth: 2}}
  norm: batch
  augment: slow
  loss: {bce: 1, dice: 1}
  optimizer: {adam: {lr: 1e-3}}
  schedule: constant
  batch_size: 4
  epochs: 5
search:
  space: {lr: {path: optimizer.lr, low: 1e-7, high: 1e-1, log: true}}
  sampler: {tpe: {seed: 1}}
  pruner: {median: {warmup_epochs: 1}}
  trials: 16
seeds: 2
"""
SLOW = """\
from time import sleep

from segbench.axes.augment import variant


@variant
def slow(*, pause_s: float = 0.01):
    \"\"\"Change nothing, and take so long over it that there is something to kill.

    Args:
        pause_s: Time an image takes.
    \"\"\"

    def augment(image, mask, seed):
        sleep(pause_s)
        return image, mask

    return augment
"""


@pytest.fixture
def database() -> Iterator[str]:
    with postgres_database() as url:
        yield url


def test_a_search_on_four_workers_survives_its_supervisor(tmp_path: Path, database: str) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "hunt.yaml").write_text(SEARCH)
    (tmp_path / "axes" / "augment").mkdir(parents=True)
    (tmp_path / "axes" / "augment" / "slow.py").write_text(SLOW)
    folder = ExperimentFolder(tmp_path / "results" / "hunt")
    sweep = ("sweep", "hunt", "--workers", "4", "--threads", "1")

    process = start(tmp_path, *sweep, storage=database)
    try:
        until = time.monotonic() + 900
        while _num_ended(folder) < 4:
            assert process.poll() is None, process.stdout and process.stdout.read()
            assert time.monotonic() < until, "four trials have not ended"
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        between = read_study(database, tmp_path, "hunt")
        assert len(between) >= 4
        assert _num_ended(folder) < 17
        with dashboard(tmp_path, database) as address:  # while nobody sweeps
            (study,) = fetch_json(f"{address}/api/studies")["study_summaries"]
            detail = fetch_json(f"{address}/api/studies/{study['study_id']}?after=0")
            assert len(detail["trials"]) == len(between)
            finish(start(tmp_path, *sweep, storage=database))
            time.sleep(10.5)  # the dashboard keeps what it has read for up to ten seconds
            detail = fetch_json(f"{address}/api/studies/{study['study_id']}?after=0")
    finally:
        end(process)

    records = [read_trial(f) for f in folder.trial_folders()]
    numbers = [n for r in records if r.search for n in r.search.numbers]
    assert sorted(n for n in numbers if n is not None) == list(range(16))
    assert {r.state for r in records} == {State.COMPLETE, State.PRUNED}
    check_equal(read_study(database, tmp_path, "hunt"), folder, "val_dice")
    assert sorted(t["state"] for t in detail["trials"]) == sorted(
        {State.COMPLETE: "Complete", State.PRUNED: "Pruned"}[r.state] for r in records
    )
    assert "17 trials, 17 done" in detail["note"]["body"]


def _num_ended(folder: ExperimentFolder) -> int:
    count = 0
    for trial in folder.trial_folders():
        try:
            count += read_trial(trial).state.is_finished
        except ResultsError:
            continue
    return count


def test_a_server_that_refuses_is_an_error_before_any_work(tmp_path: Path, database: str) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "hunt.yaml").write_text(SEARCH.replace("augment: slow", "augment: none"))
    server = os.environ[SERVER]
    password = server.partition("://")[2].partition("@")[0].partition(":")[2]
    refused = {
        database.replace(password, "hush"): "password authentication failed for user",
        f"{database}_gone": "does not exist",
        f"{database}?options=-c%20default_transaction_read_only%3Don": "read-only transaction",
        database.replace("127.0.0.1", "nowhere.invalid"): "nowhere.invalid",
    }
    for url, said in refused.items():
        process = start(tmp_path, "sweep", "hunt", storage=url)
        printed, _ = process.communicate(timeout=120)
        assert process.returncode == 3, printed
        assert said in printed
        assert password not in printed
        assert "hush" not in printed
    assert not (tmp_path / "results").exists()
