"""The study in a storage: a mirror of the records that may be thrown away."""

from __future__ import annotations

import ast
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from segbench import dashboard
from segbench.dashboard.address import StorageAddress, find_address
from segbench.dashboard.shown import ShownTrial
from segbench.dashboard.storage import artifact_id, close_storage, open_storage
from segbench.dashboard.study import StudyMirror
from segbench.records import State
from segbench.store.layout import ExperimentFolder


def shown(number: int, state: State = State.WAITING, **changes: object) -> ShownTrial:
    values: dict = {
        "hash": f"{number:012x}",
        "seed": number % 2,
        "fold": 0,
        "state": state,
        "parameters": {"norm": ("batch", "none")[number // 2]},
        "space": {"norm": {"levels": ["batch", "none"]}},
    }
    return ShownTrial(**{**values, **changes})


def read(address: StorageAddress, name: str = "exp") -> list[optuna.trial.FrozenTrial]:
    storage = open_storage(address)
    try:
        return optuna.load_study(study_name=name, storage=storage).get_trials()
    finally:
        close_storage(storage)


@pytest.fixture(params=["journal", "sqlite"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> StorageAddress:
    return find_address(f"sqlite:///{tmp_path}/a.db" if request.param == "sqlite" else None, tmp_path)


def open_mirror(address: StorageAddress) -> StudyMirror:
    return StudyMirror(address, name="exp", directions=["maximize"], attributes={"question": "?"})


@pytest.fixture
def mirror(address: StorageAddress) -> Iterator[StudyMirror]:
    opened = open_mirror(address)
    yield opened
    opened.close()


def test_mirror_shows_trials_while_they_run(mirror: StudyMirror, address: StorageAddress) -> None:
    trials = [shown(k) for k in range(4)]
    assert mirror.synchronise(trials) is False
    running = replace(trials[0], state=State.RUNNING, commit="abc")
    mirror.set_state(running)
    mirror.report(running.hash, 1, 0.25)
    live = read(address)
    assert [t.state.name for t in live] == ["RUNNING", "WAITING", "WAITING", "WAITING"]
    assert live[0].intermediate_values == {1: 0.25}
    assert live[0].params == {"norm": "batch"}
    assert live[3].params == {"norm": "none"}

    mirror.set_state(replace(running, state=State.COMPLETE, objective=0.5, test={"dice": 0.4}))
    mirror.set_state(replace(trials[1], state=State.DIVERGED, reason="loss is nan"))
    mirror.set_state(replace(trials[2], state=State.INTERRUPTED))
    ended = read(address)
    assert [t.state.name for t in ended] == ["COMPLETE", "FAIL", "WAITING", "WAITING"]
    assert ended[0].value == 0.5
    assert ended[0].user_attrs == {
        "hash": "0" * 12,
        "seed": 0,
        "fold": 0,
        "state": "complete",
        "commit": "abc",
        "test_dice": 0.4,
    }
    assert ended[1].user_attrs["state"] == "diverged"
    assert ended[1].user_attrs["reason"] == "loss is nan"


def test_mirror_of_a_repeated_sweep_has_no_duplicates(mirror: StudyMirror, address: StorageAddress) -> None:
    trials = [shown(0, State.COMPLETE, objective=0.5), shown(1, State.RUNNING, intermediate={1: 0.1})]
    mirror.synchronise(trials)
    again = open_mirror(address)
    later = [trials[0], replace(trials[1], intermediate={1: 0.1, 2: 0.2}), shown(2)]
    assert again.synchronise(later) is False
    again.report(trials[1].hash, 3, 0.3)
    again.close()
    assert [t.user_attrs["hash"] for t in read(address)] == [t.hash for t in later]
    assert read(address)[1].intermediate_values == {1: 0.1, 2: 0.2, 3: 0.3}


def test_mirror_takes_every_telling_twice(mirror: StudyMirror, address: StorageAddress) -> None:
    """After a failure the study is synchronised, and what was waiting to be told is told again."""
    trial = shown(0, State.COMPLETE, objective=0.5, intermediate={1: 0.5})
    for _ in range(2):
        mirror.synchronise([trial])
        mirror.add(trial)
        mirror.report(trial.hash, 1, 0.9)
        mirror.set_state(replace(trial, state=State.RUNNING))
    mirror.report("unknown", 1, 0.9)
    (found,) = read(address)
    assert (found.state.name, found.value, found.intermediate_values) == ("COMPLETE", 0.5, {1: 0.5})


def test_a_write_costs_the_same_however_many_trials_there_are(
    mirror: StudyMirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    storage = mirror._storage
    for name in dir(type(storage)):
        if name.startswith(("get_", "set_", "create_", "delete_")):

            def counted(
                *arguments: object, name: str = name, call: object = getattr(storage, name)
            ) -> object:
                calls.append(name)
                return call(*arguments)  # type: ignore[operator]

            monkeypatch.setattr(storage, name, counted)
    costs = []
    for k in range(0, 40, 10):
        for other in range(k, k + 9):
            mirror.add(shown(other % 4, hash=f"{other:012x}"))
        calls.clear()
        trial = shown(k % 4, hash=f"{k + 9:012x}", details={"device": "cpu"})
        mirror.add(trial)
        mirror.report(trial.hash, 1, 0.5)
        mirror.set_state(replace(trial, state=State.COMPLETE, objective=0.5, details={"device": "cuda:0"}))
        costs.append(list(calls))
    assert all(cost == costs[0] for cost in costs)
    assert not any(name.startswith("get_") for name in costs[0])


def test_mirror_is_rebuilt_where_the_design_contradicts_it(
    mirror: StudyMirror, address: StorageAddress
) -> None:
    complete = shown(0, State.COMPLETE, objective=0.5, intermediate={1: 0.4, 2: 0.5})
    mirror.synchronise([complete, shown(1, State.FAILED)])
    grown = {"norm": {"levels": ["batch", "none", "dyt"]}}
    changes = {
        "axis grown": [replace(complete, space=grown), shown(1, State.FAILED, space=grown)],
        "run again": [complete, shown(1, State.WAITING)],
        "no longer planned": [complete],
        "label renamed": [
            replace(
                complete,
                parameters={"norm": "BN"},
                space={"norm": {"levels": ["BN", "none"]}},
            ),
        ],
    }
    for why, trials in changes.items():
        assert mirror.synchronise(trials) is True, why
        now = read(address)
        assert [t.user_attrs["hash"] for t in now] == [t.hash for t in trials], why
        assert now[0].intermediate_values == {1: 0.4, 2: 0.5}
        assert now[0].params == trials[0].parameters, why
        assert mirror.synchronise(trials) is False, why


def test_an_sqlite_file_can_be_read_and_written_at_once(tmp_path: Path) -> None:
    address = find_address(f"sqlite:///{tmp_path}/a.db", tmp_path)
    mirror = open_mirror(address)
    mirror.synchronise([shown(0)])
    connection = sqlite3.connect(tmp_path / "a.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.execute("BEGIN")
    connection.execute("SELECT * FROM trials").fetchall()
    mirror.set_state(shown(0, State.RUNNING))
    connection.close()
    mirror.close()
    assert read(address)[0].state.name == "RUNNING"


def test_a_rebuilt_study_keeps_times_details_and_pictures(address: StorageAddress, tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "exp").trial("0" * 12)
    folder.panels.parent.mkdir(parents=True)
    folder.panels.write_bytes(b"picture")
    trial = shown(
        0,
        State.COMPLETE,
        objective=0.5,
        started="2026-11-01T10:00:00+00:00",
        finished="2026-11-01T10:10:00+00:00",
        details={"device": "cpu"},
        picture=folder,
    )
    for name in ("BN", "batch"):
        mirror = open_mirror(address)
        space = {"norm": {"levels": [name, "none"]}}
        mirror.synchronise([replace(trial, parameters={"norm": name}, space=space)])
        mirror.close()
    (found,) = read(address)
    assert found.params == {"norm": "batch"}
    assert found.duration is not None
    assert found.duration.total_seconds() == 600
    assert found.user_attrs["device"] == "cpu"
    storage = open_storage(address)
    (meta,) = optuna.artifacts.get_all_artifact_meta(found, storage=storage)
    close_storage(storage)
    assert (meta.artifact_id, meta.filename) == (artifact_id("exp", "0" * 12), "test.png")


def test_the_room_uses_no_private_name_of_optuna_and_no_sql() -> None:
    """What `optuna>=5,<6` in pyproject.toml promises."""
    for file in Path(dashboard.__file__).parent.glob("*.py"):
        nodes = list(ast.walk(ast.parse(file.read_text())))
        used = {n.attr for n in nodes if isinstance(n, ast.Attribute) and not is_own(n.value)}
        imports = [n for n in nodes if isinstance(n, ast.ImportFrom)]
        used |= {part for n in imports for part in (n.module or "").split(".")}
        used |= {alias.name for n in imports for alias in n.names}
        private = {name for name in used if name.startswith("_") and not name.startswith("__")}
        assert private == set(), file.name
        assert not used & {"text", "table", "insert", "execute"} or file.name == "storage.py", file.name


def is_own(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def test_the_dashboard_names_the_objective(address: StorageAddress) -> None:
    for _ in range(2):  # also where the study is there already
        mirror = StudyMirror(address, name="a", directions=["maximize"], metrics=["val_dice"])
        mirror.close()
    storage = open_storage(address)
    assert optuna.load_study(study_name="a", storage=storage).metric_names == ["val_dice"]
    close_storage(storage)
