"""Samplers, pruners, goals, constraints, enqueued points and warm starts of a search, right and wrong."""

# ruff: noqa: E501  (texts are easier to compare unbroken)

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from segbench.config.experiment import Constraint, Experiment, Goal, Search
from segbench.config.load import experiment_from_json, experiment_to_json

HEAD: Final = "question: q\nbaseline: {dataset: {shapes: {size_px: 32}}, model: {unet: {width: 4}}}\n"
SPACE: Final = (
    "search:\n  space:\n    lr: {path: optimizer.lr, low: 1e-5, high: 1, log: true}\n"
    "    width: {path: model.width, low: 4, high: 8, step: 2}\n    norm: [batch, none]\n  trials: 20\n"
)
"""Ends with line 8; what follows starts at line 9."""
NUMBERS: Final = (
    "search:\n  space:\n    lr: {path: optimizer.lr, low: 1e-5, high: 1, log: true}\n"
    "    width: {path: model.width, low: 4, high: 8, step: 2}\n    wd: {path: optimizer.weight_decay, low: 0, high: 1}\n"
    "  trials: 20\n"
)
Load = Callable[..., Experiment]
Problems = Callable[..., list[str]]


def read(load: Load, text: str, space: str = SPACE) -> Search:
    search = load(f"{HEAD}{space}{text}").search
    assert search is not None
    return search


SAMPLERS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "tpe": ("tpe", {}),
    "TPESampler": ("tpe", {}),
    "random": ("random", {}),
    "QMCSampler": ("qmc", {"scramble": True}),
    "cmaes": ("cmaes", {}),
    "GPSampler": ("gp", {}),
    "nsga2": ("nsga2", {"population_size": 4}),
    "NSGAIISampler": ("nsga2", {"population_size": 4}),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_has_its_class_or_its_short_name(load: Load, name: str) -> None:
    short, settings = SAMPLERS[name]
    own = "population_size: 4, " if short == "nsga2" else ""
    search = read(load, f"  sampler: {{{name}: {{{own}seed: 5}}}}\n", NUMBERS)
    assert (search.sampler, search.sampler_seed, search.sampler_settings) == (short, 5, settings)


def test_settings_have_optunas_names(load: Load) -> None:
    search = read(load, "  sampler: {tpe: {n_startup_trials: 3, multivariate: true}}\n")
    assert search.sampler_settings["n_startup_trials"] == 3
    assert search.sampler_settings["multivariate"] is True


PRUNERS: Final[dict[str, tuple[str, int, dict[str, Any]]]] = {
    "none": ("none", 0, {}),
    "NopPruner": ("none", 0, {}),
    "{median: {warmup_epochs: 2, interval_steps: 3}}": ("median", 2, {"interval_steps": 3}),
    "{MedianPruner: {n_startup_trials: 3, n_warmup_steps: 2}}": (
        "median",
        0,
        {"n_startup_trials": 3, "n_warmup_steps": 2},
    ),
    "percentile": ("percentile", 0, {"percentile": 25.0}),
    "{percentile: {percentile: 40}}": ("percentile", 0, {"percentile": 40}),
    "{hyperband: {warmup_epochs: 1, reduction_factor: 2}}": ("hyperband", 1, {"reduction_factor": 2}),
    "{ThresholdPruner: {lower: 0.2}}": ("threshold", 0, {"lower": 0.2}),
}


@pytest.mark.parametrize("text", PRUNERS)
def test_a_pruner_has_its_class_or_its_short_name(load: Load, text: str) -> None:
    search = read(load, f"  pruner: {text}\n")
    assert (search.pruner, search.pruner_warmup_epochs, search.pruner_settings) == PRUNERS[text]


def test_goals_constraints_points_and_warm_starts(load: Load) -> None:
    search = read(
        load,
        "  goals: [val_dice, {metric: epoch_time_s, direction: minimize}]\n  replicate: 2\n"
        "  constraints: [{metric: parameters, high: 2e6}, {metric: val_loss, low: 0, high: 1}]\n"
        "  enqueue: [{norm: none, width: 6, lr: 1e-3}]\n  warm_start: [other, another]\n",
    )
    assert search.goals == (
        Goal(metric="val_dice", direction="maximize"),
        Goal(metric="epoch_time_s", direction="minimize"),
    )
    assert search.constraints == (
        Constraint(metric="parameters", high=2e6),
        Constraint(metric="val_loss", low=0.0, high=1.0),
    )
    assert search.enqueue == ({"lr": 1e-3, "width": 6, "norm": "none"},)
    assert (search.warm_start, search.num_replicated) == (("other", "another"), 2)
    assert search.measures == ("val_dice", "epoch_time_s", "parameters", "val_loss")


def test_a_search_survives_being_remembered(load: Load) -> None:
    experiment = load(
        f"{HEAD}{SPACE}  goals: [val_dice, parameters]\n  constraints: [{{metric: flops, high: 1e9}}]\n"
        "  enqueue: [{norm: none, width: 6, lr: 1e-3}]\n"
    )
    read_back = experiment_from_json(experiment_to_json(experiment), experiment.project)
    assert read_back.search == experiment.search


def test_one_goal_replicates_its_best_and_several_three_points(load: Load) -> None:
    assert read(load, "").num_replicated == 1
    assert read(load, "  goals: [val_dice, parameters]\n").num_replicated == 3


def test_how_far_a_value_lies_outside_is_a_share_of_the_bound() -> None:
    bounds = Constraint(metric="parameters", low=10, high=200)
    assert [bounds.violation(v) for v in (300, 200, 5, 100)] == [0.5, 0, 0.5, -0.5]
    assert bounds.violation(None) == bounds.violation(float("nan")) == float("inf")
    assert Constraint(metric="val_loss", high=0).violation(0.25) == 0.25


WRONG: Final = {
    "sampler: nsga2": "9:12: nsga2 draws at random until population_size (50) proposals have ended, got 'trials: 20'. "
    "Raise `trials` above 50, or lower population_size.",
    "sampler: qmc\n  warm_start: [other]": "10:15: the sampler qmc learns nothing from other proposals, got ['other'].",
    "pruner: median\n  goals: [val_dice, flops]": "9:11: a pruner compares by one value: with several goals there is none, "
    "got 'median'.",
    "goals: [val_dice]": "9:10: goals must be at least 2 long, got ['val_dice'].",
    "goals: [val_dice, test_dice]": "9:21: a search must not choose by the images that judge it, got 'test_dice'. "
    "Test images are looked at once (SB117).",
    "goals: [val_dice, speed]": "9:21: a search is after validation metrics and costs, got 'speed'.",
    "goals: [val_dice, val_dice]": "9:21: a goal is listed twice, got 'val_dice'.",
    "goals: [val_dice, {metric: flops, direction: maximize}]": "9:48: flops is to minimize, got 'maximize'.",
    "replicate: 2": "9:14: a search for one goal replicates its best: `replicate` goes with `goals`.",
    "constraints: [{metric: flops}]": "9:17: a constraint needs `low` or `high`, got 'flops'.",
    "constraints: [{metric: size, high: 1}]": "9:26: a search is after validation metrics and costs, got 'size'.",
    "constraints: [{metric: flops, low: 2, high: 1}]": "9:47: high must not be less than low, got 1.0.",
    "enqueue: [{lr: 2, width: 4, norm: none}]": "9:18: lr must be within 1e-05 and 1, got 2.",
    "enqueue: [{lr: 1e-3, width: 5, norm: none}]": "9:31: width must be 4 plus a multiple of 2, got 5.0.",
    "enqueue: [{lr: 1e-3, width: 4.5, norm: none}]": "9:31: width takes whole numbers, got 4.5.",
    "enqueue: [{lr: fast, width: 4, norm: none}]": "9:18: lr must be a number, got 'fast'.",
    "enqueue: [{lr: 1e-3, width: 4, norm: dyt}]": "9:40: norm has no level of this label, got 'dyt'.",
    "enqueue: [{lr: 1e-3, width: 4}]": "9:13: a point must be complete: it lacks norm.",
    "enqueue: [{lr: 1e-3, width: 4, norm: none, wd: 0}]": "9:46: the space has no such parameter, got 'wd'. Did you mean 'width'?",
    "enqueue: [{lr: 1e-3, width: 4, norm: none}, {norm: none, lr: 1e-3, width: 4}]": "9:47: a point is listed twice, "
    "got {'norm': 'none', 'lr': 0.001, 'width': 4}.",
    "warm_start: [x]": "9:16: a search cannot be warmed by itself, got 'x'.",
    "warm_start: [a, a]": "9:19: an experiment is listed twice, got 'a'.",
}


@pytest.mark.parametrize(("text", "problem"), WRONG.items(), ids=WRONG)
def test_mistakes_in_a_search(problems_of: Problems, text: str, problem: str) -> None:
    assert problems_of(f"{HEAD}{SPACE}  {text}\n") == [problem]


PARTS: Final = {
    "sampler: {tpe: {n_startup: 3}}": ("9:19: there is no such key", "Did you mean 'n_startup_trials'?"),
    "sampler: {TPESampler: {n_startup_trials: many}}": ("9:44: n_startup_trials must be", "'many'"),
    "sampler: {gp: {seed: -1}}": ("9:24: seed must be at least 0", "-1"),
    "sampler: tpa": ("9:12: Optuna has no such sampler", "Did you mean 'tpe'?"),
    "sampler: GridSampler": ("9:12: Optuna has no such sampler", "'GridSampler'"),
    "sampler: cmaes": ("9:12: this sampler proposes numbers, and norm has levels", "'cmaes'"),
    "sampler: bruteforce": ("9:12: this sampler tries every point, and lr has no `step`", "'bruteforce'"),
    "sampler: qmc\n  warm_start: [other]": ("10:15: the sampler qmc learns nothing", "['other']"),
    "pruner: {hyperband: {n_startup_trials: 1}}": ("9:24: there is no such key", "'n_startup_trials'"),
    "pruner: {median: {warmup_epochs: 1, n_warmup_steps: 2}}": (
        "n_warmup_steps and warmup_epochs set",
        "9:39",
    ),
}


@pytest.mark.parametrize("text", PARTS)
def test_mistakes_in_a_sampler_or_a_pruner(problems_of: Problems, text: str) -> None:
    (problem,) = problems_of(f"{HEAD}{SPACE}  {text}\n")
    assert all(part in problem for part in PARTS[text]), problem


def test_a_sampler_of_one_goal_is_refused_several(problems_of: Problems) -> None:
    text = f"{HEAD}{NUMBERS}  sampler: cmaes\n  goals: [val_dice, epoch_time_s]\n"
    (problem,) = problems_of(text)
    assert problem == "9:12: this sampler knows one goal only, got 'cmaes'."


def test_more_points_than_proposals_are_refused(problems_of: Problems) -> None:
    text = (
        HEAD
        + "search:\n  space: {epochs: {low: 1, high: 9}}\n  trials: 1\n  enqueue: [{epochs: 1}, {epochs: 2}]\n"
    )
    assert problems_of(text) == ["6:12: these are 2 proposals, and `trials` allows 1."]


def test_mistakes_in_several_keys_come_at_once(problems_of: Problems) -> None:
    text = f"{HEAD}{SPACE}  sampler: {{tpe: {{n: 3}}}}\n  goals: [val_dice, speed]\n  enqueue: [{{lr: 2, width: 4, norm: none}}]\n"
    assert [problem.split(",")[0] for problem in problems_of(text)] == [
        "9:19: there is no such key",
        "10:21: a search is after validation metrics and costs",
        "11:18: lr must be within 1e-05 and 1",
    ]


def test_a_broken_space_brings_no_further_findings_on_points(problems_of: Problems) -> None:
    text = (
        HEAD
        + "search:\n  space: {lr: {path: optimizer.lr, low: 2, high: 1}}\n  trials: 5\n  enqueue: [{lr: 1}]\n"
    )
    assert problems_of(text) == ["4:50: high must be greater than low, got 1."]


def test_bounds_and_levels_fit_the_network_as_those_of_axes_do(problems_of: Problems) -> None:
    text = f"{HEAD}search:\n  space:\n    size: {{path: dataset.size_px, levels: [32, 40]}}\n  trials: 4\n"
    (problem,) = problems_of(text)
    assert problem.startswith("5:48: unet takes sizes that are multiples of 16, got 40.")
