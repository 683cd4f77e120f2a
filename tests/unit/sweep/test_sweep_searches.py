"""Every sampler and pruner: a search that was stopped goes on with the proposals that it would have made."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import optuna
import pytest

from segbench.config.expand import search_space
from segbench.config.experiment import Constraint, Goal, Level, Search, SearchParameter
from segbench.config.searches import optuna_classes
from segbench.errors import ExperimentError
from segbench.records import State
from segbench.sweep.search import Proposal
from segbench.sweep.searches import ProposalStudy

NUMBERS = (
    SearchParameter(name="lr", path="optimizer.lr", low=1e-5, high=1e-1, log=True),
    SearchParameter(name="decay", path="optimizer.weight_decay", low=0.0, high=1.0),
    SearchParameter(name="depth", path="model.depth", low=2, high=6, is_integer=True),
)
NORM = SearchParameter(
    name="norm", path="norm", levels=(Level("batch", {"norm": "batch"}), Level("none", {"norm": "none"}))
)
GOALS = (Goal(metric="val_dice", direction="maximize"), Goal(metric="parameters", direction="minimize"))
SMALL: Mapping[str, Mapping[str, Any]] = {
    "tpe": {"n_startup_trials": 4},
    "cmaes": {"popsize": 4},
    "gp": {"n_startup_trials": 4},
    "nsga2": {"population_size": 4},
    "nsga3": {"population_size": 4},
    "qmc": {"scramble": True},
}
"""Settings with which a sampler leaves its random beginning early."""


NAMES = [name for name in optuna_classes("sampler") if name != "bruteforce"]
"""Samplers of spaces without an end."""


def make(sampler: str, num_trials: int = 16, **changes: Any) -> Search:
    search = Search(
        parameters=NUMBERS if sampler == "cmaes" else (*NUMBERS, NORM),
        sampler=sampler,
        sampler_seed=0,
        sampler_settings=SMALL.get(sampler, {}),
        pruner="none",
        pruner_warmup_epochs=0,
        num_trials=num_trials,
    )
    return replace(search, **changes)


def measure(parameters: Mapping[str, Any]) -> dict[str, float]:
    lr = -abs(math.log10(float(parameters["lr"])) + 2.5) / 10
    return {
        "val_dice": 0.9 + lr + float(parameters["depth"]) / 100 - float(parameters["decay"]) / 20,
        "parameters": 100.0 * float(parameters["depth"]),
    }


def run(
    search: Search, num: int, *, restarts: Sequence[int] = (), ahead: int = 1, known: Sequence[Proposal] = ()
) -> list[Proposal]:
    """Return the proposals of a search that is killed before the asks in `restarts`.

    Of several open ones the newest is told first in every third turn.
    """
    past: dict[int, Proposal] = {}
    waiting: list[int] = []
    study = ProposalStudy("exp", search, direction="maximize", epochs=9, known=known)
    for turn in range(num):
        if turn in restarts:
            study = ProposalStudy(
                "exp", search, direction="maximize", epochs=9, proposals=[*past.values()], known=known
            )
        asked = study.ask()
        past[asked.number] = asked
        waiting.append(asked.number)
        if len(waiting) >= ahead:
            number = waiting.pop(-1 if turn % 3 == 2 else 0)
            measured = measure(past[number].parameters)
            ended = replace(
                past[number], state=State.COMPLETE, objective=measured["val_dice"], measured=measured
            )
            past[number] = ended
            study.tell(number, State.COMPLETE, measured["val_dice"], measured)
    return [past[number] for number in sorted(past)]


def asked(proposals: Sequence[Proposal]) -> list[tuple[dict[str, Any], Any]]:
    return [(dict(p.parameters), p.origin.place) for p in proposals]


@pytest.mark.parametrize("ahead", [1, 3])
@pytest.mark.parametrize(
    "sampler",
    [pytest.param(name, marks=pytest.mark.slow) if name == "gp" else name for name in NAMES],
)
def test_a_killed_search_asks_for_what_it_would_have_asked_for(sampler: str, ahead: int) -> None:
    num, restarts = (6, (5,)) if sampler == "gp" else (16, range(1, 16))
    search = make(sampler)
    undisturbed = run(search, num, ahead=ahead)
    assert asked(run(search, num, restarts=restarts, ahead=ahead)) == asked(undisturbed)
    assert len({str(p.parameters) for p in undisturbed}) == num
    assert all(
        1e-5 <= p.parameters["lr"] <= 0.1 and p.parameters["depth"] in range(2, 7) for p in undisturbed
    )
    other = run(replace(search, sampler_seed=99), num, ahead=ahead)
    assert asked(other)[0] != asked(undisturbed)[0]


@pytest.mark.parametrize("sampler", [name for name in NAMES if name not in ("cmaes", "gp")])
def test_several_goals_go_on_too(sampler: str) -> None:
    search = make(sampler, goals=GOALS)
    assert asked(run(search, 12, restarts=range(1, 12), ahead=2)) == asked(run(search, 12, ahead=2))


@pytest.mark.slow
def test_the_gaussian_process_takes_several_goals_and_constraints() -> None:
    search = make("gp", goals=GOALS, constraints=(Constraint(metric="parameters", high=450),))
    assert asked(run(search, 6, restarts=(5,))) == asked(run(search, 6))


@pytest.mark.parametrize("sampler", ["cmaes", "nsga2"])
def test_generations_say_what_they_come_from(sampler: str) -> None:
    proposals = run(make(sampler), 14)
    places = [p.origin.place for p in proposals if p.origin.place is not None]
    firsts = {place["generation"]: place["parents"] for place in places if "parents" in place}
    assert sorted(firsts) == list(range(1, max(place["generation"] for place in places) + 1))
    assert len(firsts) >= 2
    for generation, parents in firsts.items():
        assert len(parents) == 4
        assert all((proposals[n].origin.place or {})["generation"] < generation for n in parents)


@pytest.mark.parametrize("sampler", ["cmaes", "nsga2"])
def test_a_lost_record_stops_no_generation(sampler: str) -> None:
    proposals = [p for p in run(make(sampler), 14) if p.number not in (6, 9)]
    study = ProposalStudy("exp", make(sampler), direction="maximize", epochs=9, proposals=proposals)
    assert study.num_proposals == 14
    assert study.ask().number == 14


def test_nothing_is_proposed_twice_while_the_space_has_more() -> None:
    space = (replace(NUMBERS[2], high=5), NORM)
    for sampler in ("tpe", "random", "nsga2", "qmc", "bruteforce"):
        search = make(sampler, parameters=space)
        study = ProposalStudy("exp", search, direction="maximize", epochs=9)
        found = []
        for _ in range(10):
            proposal = study.ask()
            study.tell(proposal.number, State.COMPLETE, float(proposal.parameters["depth"]))
            found.append(tuple(proposal.parameters.values()))
        assert len(set(found[:8])) == 8, sampler
        assert len(found) == 10


def test_enqueued_points_come_first_and_are_asked_once() -> None:
    points = tuple({"lr": lr, "decay": 0.5, "depth": 3, "norm": "none"} for lr in (1e-3, 1e-2))
    search = make("qmc", enqueue=points)
    proposals = run(search, 6)
    assert [p.origin.is_enqueued for p in proposals] == [True, True, False, False, False, False]
    assert [dict(p.parameters) for p in proposals[:2]] == list(points)
    assert asked(run(search, 6, restarts=range(1, 6))) == asked(proposals)
    plain = run(make("qmc"), 4)
    assert [p.parameters for p in proposals[2:]] == [p.parameters for p in plain], (
        "the sequence starts at its start"
    )


def test_a_point_that_is_added_later_is_asked_next() -> None:
    search = make("random")
    past = run(search, 3)
    point = {"lr": 1e-3, "decay": 0.5, "depth": 3, "norm": "none"}
    again = ProposalStudy(
        "exp", replace(search, enqueue=(point,)), direction="maximize", epochs=9, proposals=past
    )
    assert again.ask().parameters == point
    assert again.ask().parameters == run(search, 5)[4].parameters


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "nsga2"])
def test_a_warm_start_is_known_and_not_counted(sampler: str) -> None:
    known = run(make("random", parameters=NUMBERS if sampler == "cmaes" else (*NUMBERS, NORM)), 12)
    search = make(sampler)
    cold, warm = run(search, 8), run(search, 8, known=known)
    assert [p.number for p in warm] == list(range(8))
    assert asked(warm) != asked(cold)
    assert asked(run(search, 8, restarts=range(1, 8), known=known)) == asked(warm)


def test_what_is_known_may_grow_without_moving_the_parents() -> None:
    search, known = make("nsga2"), run(make("random"), 9)
    past = run(search, 6, known=known[:6])
    places = [p.origin.place for p in past if p.origin.place is not None]
    firsts = {place["generation"]: place["parents"] for place in places if "parents" in place}
    assert any(number < 0 for number in firsts[1])
    assert min(firsts[1]) >= -6
    grown = ProposalStudy("exp", search, direction="maximize", epochs=9, proposals=past, known=known)._study
    kept = grown._storage.get_study_system_attrs(grown._study_id)
    (ids,) = [value for key, value in kept.items() if key.endswith(":1")]
    parents = [known[-1 - n] if n < 0 else past[n] for n in firsts[1]]
    assert [grown.trials[i].params for i in ids] == [p.parameters for p in parents]


def test_constraints_turn_tpe_and_nsga2_away_from_what_breaks_them() -> None:
    constraints = (Constraint(metric="parameters", high=300),)
    for sampler in ("tpe", "nsga2"):
        free = run(make(sampler, 60), 60)
        bound = run(make(sampler, 60, constraints=constraints), 60)
        num_kept = [sum(p.parameters["depth"] <= 3 for p in found[30:]) for found in (free, bound)]
        assert num_kept[1] > num_kept[0] + 8, sampler
        again = run(make(sampler, 60, constraints=constraints), 30, restarts=(7, 20))
        assert asked(again) == asked(bound[:30])


@pytest.mark.parametrize("state", [State.PRUNED, State.DIVERGED, State.FAILED, State.COMPLETE])
def test_a_proposal_without_every_value_teaches_nothing(state: State) -> None:
    """Also where the file has changed from one goal with a pruner to several."""
    first = Proposal(
        number=0,
        parameters={"lr": 0.01, "decay": 0.5, "depth": 3, "norm": "none"},
        state=state,
        objective=0.7,
        measured={"val_dice": 0.7},
    )
    for sampler in ("tpe", "nsga2"):
        study = ProposalStudy(
            "exp", make(sampler, goals=GOALS), direction="maximize", epochs=9, proposals=[first]
        )
        second = study.ask()
        study.tell(second.number, state, 0.7, {"val_dice": 0.7})
        assert study.ask().number == 2


# ---- pruners


def with_pruner(pruner: str, **settings: Any) -> Search:
    warmup_epochs = settings.pop("warmup_epochs", 0)
    return make("random", 30, pruner=pruner, pruner_warmup_epochs=warmup_epochs, pruner_settings=settings)


def prune_epochs(study: ProposalStudy, levels: Sequence[float]) -> list[int | None]:
    """Train proposals of constant objectives; return when each was stopped."""
    found: list[int | None] = []
    for level in levels:
        number, stopped = study.ask().number, None
        for epoch in range(1, 10):
            if study.report(number, epoch, level + epoch / 1000) and epoch < 9:
                stopped = epoch
                break
        study.tell(number, State.COMPLETE if stopped is None else State.PRUNED, level)
        found.append(stopped)
    return found


LEVELS = (0.1, 0.5, 0.9, 0.3, 0.7, 0.2, 0.8, 0.4, 0.95)
CASES = {
    "none": (with_pruner("none"), {}),
    "median": (with_pruner("median", n_startup_trials=3, warmup_epochs=2), {3}),
    "percentile": (with_pruner("percentile", n_startup_trials=3, percentile=40.0, interval_steps=4), {1}),
    "hyperband": (with_pruner("hyperband", warmup_epochs=1), {1, 3}),
    "successivehalving": (with_pruner("successivehalving", warmup_epochs=2, reduction_factor=2), {2}),
    "threshold": (with_pruner("threshold", warmup_epochs=2, lower=0.35), {3}),
    "wilcoxon": (with_pruner("wilcoxon", p_threshold=0.05), {5}),
}


@pytest.mark.parametrize("pruner", CASES)
def test_every_pruner_stops_the_worse_at_its_epochs(pruner: str) -> None:
    search, epochs = CASES[pruner]
    stopped = prune_epochs(ProposalStudy("exp", search, direction="maximize", epochs=9), LEVELS)
    assert {epoch for epoch in stopped if epoch is not None} == set(epochs)
    assert stopped[2] is stopped[8] is None, "the best are never stopped"


@pytest.mark.parametrize("pruner", CASES)
def test_a_killed_search_prunes_as_it_would_have_pruned(pruner: str) -> None:
    search, _ = CASES[pruner]
    undisturbed = prune_epochs(ProposalStudy("exp", search, direction="maximize", epochs=9), LEVELS)
    past: list[Proposal] = []
    found: list[int | None] = []
    for number, level in enumerate(LEVELS):
        study = ProposalStudy("exp", search, direction="maximize", epochs=9, proposals=past)
        found += prune_epochs(study, [level])
        seen = found[-1] or 9
        past.append(
            Proposal(
                number=number,
                parameters=run(search, number + 1)[number].parameters,
                state=State.COMPLETE if found[-1] is None else State.PRUNED,
                objective=level,
                intermediate={epoch: level + epoch / 1000 for epoch in range(1, seen + 1)},
            )
        )
    assert found == undisturbed


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_what_a_warm_start_knows_prunes_nothing(pruner: str) -> None:
    search, _ = CASES[pruner]
    known = run(make("random"), 8)
    study = ProposalStudy("exp", search, direction="maximize", epochs=9, known=known)
    cold = ProposalStudy("exp", search, direction="maximize", epochs=9)
    assert prune_epochs(study, LEVELS) == prune_epochs(cold, LEVELS)


@pytest.mark.parametrize("kind", ["sampler", "pruner"])
def test_the_settings_read_from_source_are_those_of_the_class(kind: Any) -> None:
    room = optuna.samplers if kind == "sampler" else optuna.pruners
    for known in optuna_classes(kind).values():
        signature = inspect.signature(getattr(room, known.name)).parameters
        for name, knob in known.settings.items():
            if name not in ("seed", "warmup_epochs", "scramble", "percentile"):
                assert signature[name].default == knob.default, (known.name, name)
    offered = {known.name for known in optuna_classes(kind).values()}
    without = {
        "BaseGASampler",
        "BaseSampler",
        "GridSampler",
        "PartialFixedSampler",
        "BasePruner",
        "PatientPruner",
    }
    assert offered == {name for name in room.__all__ if name != "nsgaii"} - without


def test_settings_that_a_class_refuses_are_said_before_anything_runs() -> None:
    with pytest.raises(
        ExperimentError, match=r"exp: search.sampler: Optuna's sampler refuses these settings"
    ):
        run(make("nsga2", sampler_settings={"population_size": 1}), 1)
    with pytest.raises(ExperimentError, match=r"exp: search.pruner: .* refuses .*percentile"):
        run(with_pruner("percentile", percentile=101.0), 1)


@pytest.mark.parametrize(
    ("sampler", "settings"),
    [
        ("tpe", {"multivariate": False}),
        ("tpe", {"multivariate": True, "group": True, "n_startup_trials": 4}),
        ("cmaes", {"use_separable_cma": True, "popsize": 4}),
        ("qmc", {"qmc_type": "halton"}),
        ("nsga3", {"population_size": 4, "dividing_parameter": 2}),
    ],
)
def test_settings_of_the_class_go_on_too(sampler: str, settings: Mapping[str, Any]) -> None:
    search = make(sampler, sampler_settings=settings)
    assert asked(run(search, 12, restarts=range(1, 12))) == asked(run(search, 12))


# ---- a search as a whole


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


def objective(parameters: object) -> float:
    return 1 - abs(float(parameters["lr"]) - 0.01)  # type: ignore[index]


def run_search(study: ProposalStudy, count: int) -> list[Proposal]:
    asked = []
    for _ in range(count):
        proposal = study.ask()
        study.report(proposal.number, 1, objective(proposal.parameters) / 2)
        study.tell(proposal.number, State.COMPLETE, objective(proposal.parameters))
        asked.append(proposal)
    return asked


def test_search_goes_on_as_if_it_had_never_stopped() -> None:
    undisturbed = run_search(ProposalStudy("exp", SPACE, direction="maximize", epochs=4), 16)
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
    resumed = ProposalStudy("exp", SPACE, direction="maximize", epochs=4, proposals=reversed(done))
    assert resumed.num_proposals == 12
    assert run_search(resumed, 4) == undisturbed[12:]


def test_search_keeps_open_and_missing_proposals() -> None:
    parameters = {"lr": 0.01, "depth": 3, "norm": "none"}
    study = ProposalStudy(
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
    study = ProposalStudy("exp", SPACE, direction="maximize", epochs=4)
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
    for proposal in run_search(ProposalStudy("exp", space, direction="maximize", epochs=4), 14):
        assert 1e-5 <= proposal.parameters["lr"] <= 1e-1
        assert proposal.parameters["depth"] in (2, 3, 4)
        assert proposal.parameters["norm"] in ("batch", "none")
    assert set(search_space(space)) == {"lr", "depth", "norm"}
