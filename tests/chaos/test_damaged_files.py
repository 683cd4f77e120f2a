"""Damaged files: a sweep run again repairs them, or says what is wrong and harms nothing else.

What is to happen, file by file, is the table in docs/results-format.md.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chaos.counts import count
from chaos.harness import PATIENCE_S, SMALL, Project, wait_until
from chaos.swept import copy_of

from segbench.store.index import read_index
from segbench.store.layout import TrialFolder
from segbench.store.results import read_results

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600)]

DAMAGES = ("empty", "truncated", "garbage", "foreign")


def damage(path: Path, how: str, foreign: Path | None) -> None:
    """Damage a file in place: its time stamp is new, and a hard link elsewhere is not touched."""
    content = path.read_bytes()
    assert len(content) > 1, path
    if how == "foreign":
        assert foreign is not None
        new = foreign.read_bytes()
        assert new != content, path
    else:
        garbage = bytes(np.random.default_rng(5).integers(0, 256, len(content), dtype=np.uint8))
        new = {"empty": b"", "truncated": content[: len(content) // 2], "garbage": garbage}[how]
    path.unlink()
    path.write_bytes(new)


FILES: dict[str, Callable[[TrialFolder], Path]] = {
    "epochs.csv": lambda trial: trial.epochs,
    "images.csv.gz": lambda trial: trial.images,
    "masks.npz": lambda trial: trial.masks,
    "last.pt": lambda trial: trial.last,
    "best.pt": lambda trial: trial.best,
}


@pytest.fixture
def swept(undisturbed: dict[str, Any], undisturbed_project: Project, tmp_path: Path) -> Project:
    """A copy of the undisturbed project."""
    return copy_of(undisturbed_project, tmp_path / "swept")


def test_files_of_finished_trials(swept: Project, undisturbed: dict[str, Any]) -> None:
    """`sweep` trusts finished records; `--verify` reads everything, and trains again what is damaged."""
    table = [(name, how) for name in FILES for how in DAMAGES]
    trials = swept.trials()
    pairs = list(zip(table, trials, strict=False))
    for (name, how), trial in reversed(pairs):  # a foreign file is that of the next trial, still whole
        foreign = FILES[name](trials[trials.index(trial) + 4])
        damage(FILES[name](trial), how, foreign)
    before = {path: path.read_bytes() for path in swept.folder.trials.rglob("*") if path.is_file()}
    done = swept.sweep()
    assert done.returncode == 0
    assert "tiny is finished: 24 complete." in done.stdout
    assert {path: path.read_bytes() for path in before} == before
    left_out = set(read_results(swept.folder.root).left_out["folder"])
    told = {
        f"trials/{t.hash}"
        for (name, how), t in pairs
        if name in ("epochs.csv", "images.csv.gz") and how != "foreign"
    }
    assert left_out >= told - {f"trials/{t.hash}" for (name, how), t in pairs if name == "epochs.csv"}

    done = swept.sweep("--verify")
    assert done.returncode == 0, done.stdout + done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("damaged ")]
    for (name, how), trial in pairs:
        assert any(f"{trial.hash}/{name}" in line for line in said), (name, how, said)
        count("damage", f"{name} of a finished trial: found by --verify, the same again")
    assert len(said) == len(pairs)
    swept.assert_whole(undisturbed)
    assert "damaged " not in swept.sweep("--verify").stderr


def test_files_of_unfinished_trials(swept: Project, undisturbed: dict[str, Any]) -> None:
    """Whatever a dead worker's trial holds, the next sweep makes the same record of it."""
    table = [(name, how) for name in FILES for how in DAMAGES]
    trials = swept.trials()
    pairs = list(zip(table, trials, strict=False))
    for (name, how), trial in reversed(pairs):
        damage(FILES[name](trial), how, FILES[name](trials[trials.index(trial) + 4]))
    for trial in trials:
        record = json.loads(trial.record.read_text())
        trial.record.write_text(json.dumps({**record, "state": "running", "test": {}}))
    done = swept.sweep()
    assert done.returncode == 0, done.stdout + done.stderr
    swept.assert_whole(undisturbed)
    for (name, how), trial in pairs:
        log = trial.log.read_text()
        assert ("It was set aside" in log) == (
            name == "last.pt" or (name == "best.pt" and _needs_best(trial))
        ), (
            name,
            how,
            log,
        )
        count("damage", f"{name} of an unfinished trial: the same again")


def _needs_best(trial: TrialFolder) -> bool:
    """Whether the selected epoch is not the last one: `best.pt` is written from `last.pt` otherwise."""
    record = json.loads(trial.record.read_text())
    return bool(record["selected_epoch"] != record["epochs_done"])


def test_records(swept: Project, undisturbed: dict[str, Any]) -> None:
    """A record that cannot be read is never overwritten: the sweep names it and refuses to start."""
    trials = swept.trials()
    damaged, missing = trials[:4], trials[4]
    for how, trial in zip(DAMAGES, damaged, strict=True):
        damage(trial.record, how, trials[7].record)
        count("damage", "trial.json: refused by name before any work; the same again without it")
    shutil.rmtree(missing.path)
    before = {path: path.read_bytes() for path in swept.folder.trials.rglob("*") if path.is_file()}
    done = swept.sweep()
    assert done.returncode == 3, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    for trial in damaged:
        assert f"{trial.record}: the record" in done.stderr
    assert {p: p.read_bytes() for p in swept.folder.trials.rglob("*") if p.is_file()} == before
    for trial in damaged:
        trial.record.unlink()  # weights and rows stay: the trial is tested again, and no more
    assert swept.finish(undisturbed) == 1


def test_a_record_that_is_damaged_while_a_sweep_runs(project: Project, small: dict[str, Any]) -> None:
    """The trial is refused by name, the others are run, and the sweep says so at its end."""
    sweep = project.start(workers=1)
    assert wait_until(lambda: project.folder.queue.exists()), project.said
    last = json.loads(project.folder.queue.read_text())["trials"][-1]["identity"][:12]
    victim = project.folder.trial(last)
    victim.path.mkdir(parents=True)
    victim.record.write_bytes(b"\0" * 900)
    assert sweep.wait(timeout=PATIENCE_S) == 3, project.said
    assert f"{victim.record}: the record is truncated or not JSON" in project.said
    assert "1 trial could not be run" in project.said
    assert project.said.count(" complete ") >= 3
    assert victim.record.read_bytes() == b"\0" * 900
    count("damage", "trial.json while a sweep runs: refused by name, the others are run")
    shutil.rmtree(victim.path)
    project.finish(small)


@pytest.mark.parametrize("how", DAMAGES)
def test_what_is_remembered_and_regenerated(
    how: str, swept: Project, undisturbed: dict[str, Any], tmp_path: Path, data: Path
) -> None:
    """Caches, memories and files that every sweep writes anew: all damaged at once, nothing changes."""
    private = Project(swept.root, tmp_path / "data", swept.text)
    shutil.copytree(data, private.data)
    (private.root / "experiments" / "other.yaml").write_text(SMALL.replace("epochs: 3", "epochs: 2"))
    shutil.rmtree(private.trials()[5].path)
    assert private.run("plan", "other").returncode == 0  # makes memories of another experiment
    assert private.sweep().returncode == 0
    shutil.rmtree(private.trials()[5].path)
    memories = sorted((private.data / "remembered").glob("*.json"))
    guards = sorted((private.data / ".cache" / "guards").glob("*.json"))
    cache = next(p.parent for p in (private.data / "cache").glob("*/cache.json"))
    statistics = next(cache.glob("statistics-*.json"))
    assert len(memories) >= 2
    assert len(guards) >= 2
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for name in ("images.npy", "masks.npy"):
        np.save(foreign / name, 1 - np.minimum(np.load(cache / name), 1))
    (foreign / "cache.json").write_text('{"format": 1, "key": "0", "files": []}')
    (foreign / "statistics").write_text('{"means": [1.0, 2.0, 3.0], "stds": [1.0, 1.0, 1.0]}')
    (foreign / "index.csv").write_text("hash,colour,seed,fold,state,folder\n0,red,0,0,complete,trials/0\n")
    (foreign / "experiment.yaml").write_text("question: Another one?\n")
    (foreign / "queue.json").write_text('{"format": 1, "experiment": "other", "closed": true, "trials": []}')
    private.folder.queue.write_text('{"format": 1, "experiment": "tiny", "closed": true, "trials": [{}]}')
    (foreign / "optuna.journal").write_text('{"colour": "red"}\n' * 2)
    contents = {path: path.read_bytes() for path in [*memories, *guards]}
    for path, other in zip(
        [*memories, *guards], [*memories[1:], memories[0], *guards[1:], guards[0]], strict=True
    ):
        spare = foreign / "spare"
        spare.write_bytes(contents[other])
        damage(path, how, spare)
    for path, spare in {
        cache / "images.npy": foreign / "images.npy",
        cache / "masks.npy": foreign / "masks.npy",
        cache / "cache.json": foreign / "cache.json",
        statistics: foreign / "statistics",
        private.folder.index: foreign / "index.csv",
        private.folder.experiment_yaml: foreign / "experiment.yaml",
        private.folder.queue: foreign / "queue.json",
        private.root / "results" / "optuna.journal": foreign / "optuna.journal",
    }.items():
        if how == "foreign" and path.name == "images.npy":
            damage(cache / "cache.json", "truncated", None)  # as it is, images are known by size and time
        damage(path, how, spare)
        count(
            "damage",
            f"{'statistics' if path == statistics else path.name}: repaired, or said and passed over",
        )
    count("damage", "guards' memory: repaired", len(guards))
    count("damage", "remembered experiments: repaired", len(memories))
    done = private.sweep()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert (how in ("garbage", "foreign")) == ("optuna.journal" in done.stdout + done.stderr)
    private.assert_whole(undisturbed)
    assert len(read_index(private.folder)) == 24
    assert "Does trouble change anything?" in private.folder.experiment_yaml.read_text()
