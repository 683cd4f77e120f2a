"""Several supervisors of one storage at once, each with an experiment of its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from storages import postgres_database, read_study

from segbench.dashboard.address import find_address
from segbench.dashboard.shown import ShownTrial
from segbench.dashboard.study import StudyMirror
from segbench.records import State

NUM_TRIALS, NUM_EPOCHS = 12, 4


@pytest.fixture(params=["sqlite", "journal", pytest.param("postgres", marks=pytest.mark.postgres)])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "postgres":
        with postgres_database() as url:
            yield url
    else:
        file = tmp_path / "shared.log"
        yield str(file) if request.param == "journal" else f"sqlite:///{file}"


def mirror_an_experiment(url: str, name: str) -> None:
    """Show an experiment's trials from beginning to end, as a supervisor of its own does."""
    trials = [
        ShownTrial(
            hash=f"{number:012x}",
            seed=number,
            fold=0,
            state=State.WAITING,
            parameters={"norm": "batch"},
            space={"norm": {"levels": ["batch", "none"]}},
        )
        for number in range(NUM_TRIALS)
    ]
    address = find_address(url, Path("results"))
    mirror = StudyMirror(address, name=name, directions=["maximize"], metrics=["val_dice"])
    mirror.synchronise(trials)
    for trial in trials:
        for epoch in range(1, NUM_EPOCHS + 1):
            mirror.report(trial.hash, epoch, epoch / 10)
        ended = replace(
            trial, state=State.COMPLETE, objective=trial.seed / 100, details={"device": f"gpu {trial.seed}"}
        )
        mirror.set_state(ended)
    mirror.close()


@pytest.mark.slow
def test_supervisors_write_at_once_and_lose_nothing(tmp_path: Path, storage: str) -> None:
    """All of them also find the storage empty at once, and make its tables."""
    names = [f"exp{k}" for k in range(4)]
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(mirror_an_experiment, [storage] * 4, names))
    for name in names:
        found = read_study(storage, tmp_path, name)
        assert [t.value for t in found] == [k / 100 for k in range(NUM_TRIALS)]
        assert all(t.intermediate_values == {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4} for t in found)
