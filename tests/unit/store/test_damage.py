"""Files of finished trials against their records; what killed processes left."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from segbench.records import EpochRecord, State, TrialRecord
from segbench.store import trials
from segbench.store.damage import find_damage
from segbench.store.layout import ExperimentFolder, TrialFolder
from segbench.store.lease import Lease
from segbench.store.leftovers import tidy
from segbench.store.masks import write_masks
from segbench.store.trials import ImageValue


@pytest.fixture
def finished(
    trial: TrialFolder, make_record: Callable[..., TrialRecord], make_epoch: Callable[..., EpochRecord]
) -> TrialRecord:
    """A complete trial of two epochs and two test images, with all its files."""
    for number in (1, 2):
        trials.append_epoch(trial, make_epoch(number, val={"loss": 0.25, "dice": number / 4}))
    values = {"dice": (0.25, 0.75), "hd95_px": (3.0, math.nan)}
    trials.write_images(
        trial,
        [
            ImageValue(f"image {n}", "", "test", "foreground", name, v)
            for name, row in values.items()
            for n, v in enumerate(row)
        ],
    )
    write_masks(trial.masks, np.ones((2, 8, 8), bool), ("image 0", "image 1"))
    for path in (trial.best, trial.last):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("best/data.pkl", f"trial_hash {trial.hash}")
    record = make_record(
        config={"objective": {"metric": "val_dice"}},
        epochs_done=2,
        selected_epoch=2,
        objective=0.5,
        test={"dice": 0.5, "hd95_px": 3.0, "pooled_dice": 0.4},
    )
    trials.write_trial(trial, record)
    return record


def test_a_whole_trial_has_no_damage(trial: TrialFolder, finished: TrialRecord) -> None:
    assert find_damage(trial, finished) is None
    for path in (trial.masks, trial.best, trial.last):  # what is not committed may be missing
        path.unlink()
    assert find_damage(trial, finished) is None
    diverged = replace(finished, state=State.DIVERGED, epochs_done=0, selected_epoch=None, objective=None)
    trial.epochs.unlink()
    trial.images.unlink()
    assert find_damage(trial, diverged) is None


@pytest.mark.parametrize("name", ["epochs", "images", "masks", "best", "last"])
@pytest.mark.parametrize("how", ["empty", "truncated", "garbage"])
def test_damage_names_its_file(name: str, how: str, trial: TrialFolder, finished: TrialRecord) -> None:
    path = getattr(trial, name)
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "truncated": content[: len(content) // 2], "garbage": b"\xff" * 99}[how])
    found = find_damage(trial, finished)
    assert found is not None
    assert found.startswith(f"{path}: ")


def test_a_file_of_another_trial_is_damage(trial: TrialFolder, finished: TrialRecord) -> None:
    assert find_damage(trial, replace(finished, objective=0.51)) == (
        f"{trial.epochs}: the objective at epoch 2 must be the record's, 0.51, got 0.5."
    )
    assert find_damage(trial, replace(finished, epochs_done=3)) == (
        f"{trial.epochs}: the record says 3 epochs, got 2."
    )
    assert find_damage(trial, replace(finished, test={"dice": 0.4})) == (
        f"{trial.images}: the mean of dice must be the record's, 0.4, got 0.5."
    )
    other = trial.path.parent / "0123456789ab"
    other.mkdir()
    write_masks(other / "masks.npz", np.ones((2, 8, 8), bool), ("image 0", "image 1"))
    whole = trial.masks.read_bytes()
    trial.masks.write_bytes((other / "masks.npz").read_bytes())
    assert find_damage(trial, finished) == (
        f"{trial.masks}: the predicted masks are of another trial, got '0123456789ab'."
    )
    trial.masks.write_bytes(whole)
    with zipfile.ZipFile(trial.best, "w") as archive:
        archive.writestr("best/data.pkl", "trial_hash 0123456789ab")
    assert find_damage(trial, finished) == f"{trial.best}: the file is of another trial."


def test_leftovers_of_the_dead_are_removed(
    experiment: ExperimentFolder, trial: TrialFolder, finished: TrialRecord
) -> None:
    alive = experiment.trial("a" * 12)
    lease = Lease.acquire(alive)
    assert lease is not None
    half = [
        experiment.root / "queue.json.tmp-1-0",
        trial.path / "masks.npz.tmp-1-0",
        alive.path / "x.tmp-1-0",
    ]
    for path in (*half, trial.stop_request):
        path.touch()
    head = {"token": "t", "place": json.loads(alive.lease(1).read_text())["place"]}
    trial.lease(4).write_text(json.dumps({**head, "pid": 2**22 + 1, "pid_start": "1", "counter": "0"}))
    before = {p.name for p in trial.path.iterdir()}
    tidy(experiment)
    assert before - {p.name for p in trial.path.iterdir()} == {"masks.npz.tmp-1-0", "stop", "lease.4"}
    assert not half[0].exists()
    assert half[2].exists()  # somebody works there
    lease.release()
    tidy(experiment)
    assert not half[2].exists()
