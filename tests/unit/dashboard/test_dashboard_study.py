"""The study: a mirror that may be thrown away, and a search that goes on from records."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from segbench.config.expand import search_space
from segbench.config.experiment import Level, Search, SearchParameter
from segbench.records import State
from segbench.sweep.address import find_address
from segbench.sweep.study.mirror import StudyMirror
from segbench.sweep.study.proposals import SearchStudy
from segbench.sweep.study.records import Proposal, ShownTrial, level_dimension

SPACE = Search(
    parameters=(
        SearchParameter(name="lr", path="optimizer.lr", low=1e-5, high=1e-1, log=True),
        SearchParameter(name="depth", path="model.depth", low=2, high=4, is_integer=True),
        SearchParameter(
            name="norm",
            path="norm",
            levels=(Level("batch", {"norm": "batch"}), Level("none", {"norm": "none"})),
        ),
    ),
    sampler="tpe",
    sampler_seed=7,
    pruner="median",
    pruner_warmup_epochs=1,
    num_trials=20,
)


def shown(number: int, state: State = State.WAITING, **changes: object) -> ShownTrial:
    values: dict = {
        "hash": f"{number:012x}",
        "seed": number % 2,
        "fold": 0,
        "state": state,
        "parameters": {"norm": ("batch", "none")[number // 2]},
        "space": {"norm": level_dimension(("batch", "none"))},
    }
    return ShownTrial(**{**values, **changes})


def read(path: Path, name: str = "exp") -> list[optuna.trial.FrozenTrial]:
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    try:
        return optuna.load_study(study_name=name, storage=storage).get_trials()
    finally:
        storage.remove_session()
        storage.engine.dispose()


def open_mirror(tmp_path: Path) -> StudyMirror:
    address = find_address(f"sqlite:///{tmp_path}/optuna.db", tmp_path)
    return StudyMirror(address, name="exp", directions=["maximize"], attributes={"question": "?"})


@pytest.fixture
def mirror(tmp_path: Path):
    opened = open_mirror(tmp_path)
    yield opened
    opened.close()


def test_mirror_shows_trials_while_they_run(mirror: StudyMirror, tmp_path: Path) -> None:
    trials = [shown(k) for k in range(4)]
    assert mirror.synchronise(trials) is False
    running = replace(trials[0], state=State.RUNNING, commit="abc")
    mirror.set_state(running)
    mirror.report(running.hash, 1, 0.25)
    live = read(tmp_path / "optuna.db")
    assert [t.state.name for t in live] == ["RUNNING", "WAITING", "WAITING", "WAITING"]
    assert live[0].intermediate_values == {1: 0.25}
    assert live[0].params == {"norm": "batch"}
    assert live[3].params == {"norm": "none"}

    mirror.set_state(replace(running, state=State.COMPLETE, objective=0.5, test={"dice": 0.4}))
    mirror.set_state(replace(trials[1], state=State.DIVERGED, reason="loss is nan"))
    mirror.set_state(replace(trials[2], state=State.INTERRUPTED))
    ended = read(tmp_path / "optuna.db")
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


def test_mirror_of_a_repeated_sweep_has_no_duplicates(mirror: StudyMirror, tmp_path: Path) -> None:
    trials = [shown(0, State.COMPLETE, objective=0.5), shown(1, State.RUNNING, intermediate={1: 0.1})]
    mirror.synchronise(trials)
    again = open_mirror(tmp_path)
    later = [trials[0], replace(trials[1], intermediate={1: 0.1, 2: 0.2}), shown(2)]
    assert again.synchronise(later) is False
    again.report(trials[1].hash, 3, 0.3)
    again.close()
    assert [t.user_attrs["hash"] for t in read(tmp_path / "optuna.db")] == [t.hash for t in later]
    assert read(tmp_path / "optuna.db")[1].intermediate_values == {1: 0.1, 2: 0.2, 3: 0.3}


def test_mirror_takes_every_telling_twice(mirror: StudyMirror, tmp_path: Path) -> None:
    """After a failure the study is synchronised, and what was waiting to be told is told again."""
    trial = shown(0, State.COMPLETE, objective=0.5, intermediate={1: 0.5})
    for _ in range(2):
        mirror.synchronise([trial])
        mirror.add(trial)
        mirror.report(trial.hash, 1, 0.9)
        mirror.set_state(replace(trial, state=State.RUNNING))
    mirror.report("unknown", 1, 0.9)
    (found,) = read(tmp_path / "optuna.db")
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
        trial = shown(k % 4, hash=f"{k + 9:012x}", note="note")
        mirror.add(trial)
        mirror.report(trial.hash, 1, 0.5)
        mirror.set_state(replace(trial, state=State.COMPLETE, objective=0.5, note="another note"))
        costs.append(list(calls))
    assert all(cost == costs[0] for cost in costs)
    assert not any(name.startswith("get_") for name in costs[0])


def test_mirror_is_rebuilt_where_the_design_contradicts_it(mirror: StudyMirror, tmp_path: Path) -> None:
    complete = shown(0, State.COMPLETE, objective=0.5, intermediate={1: 0.4, 2: 0.5})
    mirror.synchronise([complete, shown(1, State.FAILED)])
    grown = {"norm": level_dimension(("batch", "none", "dyt"))}
    changes = {
        "axis grown": [replace(complete, space=grown), shown(1, State.FAILED, space=grown)],
        "run again": [complete, shown(1, State.WAITING)],
        "no longer planned": [complete],
        "label renamed": [
            replace(
                complete,
                parameters={"norm": "BN"},
                space={"norm": level_dimension(("BN", "none"))},
            ),
        ],
    }
    for why, trials in changes.items():
        assert mirror.synchronise(trials) is True, why
        now = read(tmp_path / "optuna.db")
        assert [t.user_attrs["hash"] for t in now] == [t.hash for t in trials], why
        assert now[0].intermediate_values == {1: 0.4, 2: 0.5}
        assert now[0].params == trials[0].parameters, why
        assert mirror.synchronise(trials) is False, why


def test_mirror_can_be_read_and_written_at_once(mirror: StudyMirror, tmp_path: Path) -> None:
    mirror.synchronise([shown(0)])
    connection = sqlite3.connect(tmp_path / "optuna.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.execute("BEGIN")
    connection.execute("SELECT * FROM trials").fetchall()
    mirror.set_state(shown(0, State.RUNNING))
    connection.close()
    assert read(tmp_path / "optuna.db")[0].state.name == "RUNNING"


def objective(parameters: object) -> float:
    return 1 - abs(float(parameters["lr"]) - 0.01)  # type: ignore[index]


def run_search(study: SearchStudy, count: int) -> list[Proposal]:
    asked = []
    for _ in range(count):
        proposal = study.ask()
        study.report(proposal.number, 1, objective(proposal.parameters) / 2)
        study.tell(proposal.number, State.COMPLETE, objective(proposal.parameters))
        asked.append(proposal)
    return asked


def test_search_goes_on_as_if_it_had_never_stopped() -> None:
    undisturbed = run_search(SearchStudy("exp", SPACE, direction="maximize", epochs=4), 16)
    assert len({str(p.parameters) for p in undisturbed}) == 16
    done = [
        replace(
            p,
            state=State.COMPLETE,
            objective=objective(p.parameters),
            intermediate={1: objective(p.parameters) / 2},
        )
        for p in undisturbed[:12]
    ]
    resumed = SearchStudy("exp", SPACE, direction="maximize", epochs=4, proposals=reversed(done))
    assert resumed.num_proposals == 12
    assert run_search(resumed, 4) == undisturbed[12:]


def test_search_keeps_open_and_missing_proposals() -> None:
    parameters = {"lr": 0.01, "depth": 3, "norm": "none"}
    study = SearchStudy(
        "exp",
        SPACE,
        direction="maximize",
        epochs=4,
        proposals=[
            Proposal(number=2, parameters=parameters, state=State.INTERRUPTED, intermediate={1: 0.2}),
            Proposal(number=3, parameters=parameters, state=State.DIVERGED),
        ],
    )
    assert study.num_proposals == 4
    study.report(2, 1, 0.9)
    study.tell(2, State.COMPLETE, 0.7)
    study.tell(2, State.FAILED, None)
    assert study.ask().number == 4


def test_search_prunes_the_worse_half_after_the_warm_up() -> None:
    study = SearchStudy("exp", SPACE, direction="maximize", epochs=4)
    for _ in range(5):
        number = study.ask().number
        for epoch in (1, 2, 3):
            assert study.report(number, epoch, 0.8) is False
        study.tell(number, State.COMPLETE, 0.8)
    bad = study.ask().number
    assert study.report(bad, 1, 0.1) is False  # still warming up
    assert study.report(bad, 2, 0.1) is True
    study.tell(bad, State.PRUNED, 0.1)
    assert study.report(bad, 3, 0.1) is False
    good = study.ask().number
    assert [study.report(good, epoch, 0.9) for epoch in (1, 2)] == [False, False]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize("pruner", ["none", "median", "hyperband"])
def test_search_stays_in_its_space(sampler: str, pruner: str) -> None:
    space = replace(SPACE, sampler=sampler, pruner=pruner)
    for proposal in run_search(SearchStudy("exp", space, direction="maximize", epochs=4), 14):
        assert 1e-5 <= proposal.parameters["lr"] <= 1e-1
        assert proposal.parameters["depth"] in (2, 3, 4)
        assert proposal.parameters["norm"] in ("batch", "none")
    assert set(search_space(space)) == {"lr", "depth", "norm"}


def test_the_dashboard_names_the_objective(tmp_path: Path) -> None:
    address = find_address(f"sqlite:///{tmp_path}/named.db", tmp_path)
    for _ in range(2):  # also where the study is there already
        mirror = StudyMirror(address, name="a", directions=["maximize"], metrics=["val_dice"])
        mirror.close()
    study = optuna.load_study(study_name="a", storage=address.url)
    assert study.metric_names == ["val_dice"]
