"""The experiments that come with segbench say what their studies asked."""

from __future__ import annotations

from pathlib import Path

import pytest

import segbench
from segbench.config.expand import expand
from segbench.config.load import load_experiment

FOLDER = Path(segbench.__file__).parents[1] / "experiments"

SHAPES = {  # name -> labels of each axis, seeds
    "quickstart": ({"norm": 2, "flips": 2}, 2),
    "norm_ablation": ({"model": 2, "norm": 3}, 5),
    "norm_ablation_small": ({"model": 2, "norm": 3}, 3),
    "norm_tuned": ({"norm": 3}, 5),
    "norm_tuned_small": ({"norm": 3}, 3),
    "flips": ({"model": 2, "flips": 2}, 5),
    "flips_small": ({"model": 2, "flips": 2}, 3),
    "loss": ({"loss": 3}, 5),
    "loss_small": ({"loss": 3}, 3),
    "fast_path": ({"path": 3}, 5),
    "fast_path_small": ({"path": 3}, 5),
    "lr": ({"lr": 5}, 5),
    "lr_small": ({"lr": 3}, 3),
}


@pytest.mark.parametrize("name", SHAPES)
def test_an_experiment_has_its_axes_and_seeds(name: str) -> None:
    found = load_experiment(name, start=FOLDER)
    axes, seeds = SHAPES[name]
    assert {axis.name: len(axis.levels) for axis in found.axes} == axes
    assert len(found.seeds) == seeds
    assert len(expand(found)) == len(found.cells) * seeds
    assert found.claims


@pytest.mark.parametrize("name", ["lr_search", "lr_search_small"])
def test_the_search_is_over_learning_rate_and_weight_decay(name: str) -> None:
    search = load_experiment(name, start=FOLDER).search
    assert search is not None
    assert [(p.path, p.log) for p in search.parameters] == [
        ("optimizer.lr", True),
        ("optimizer.weight_decay", True),
    ]
    assert (search.sampler, search.pruner) == ("tpe", "median")


@pytest.mark.parametrize("name", ["size_search", "size_search_small"])
def test_the_size_search_has_two_goals(name: str) -> None:
    search = load_experiment(name, start=FOLDER).search
    assert search is not None
    assert [(goal.metric, goal.direction) for goal in search.goals] == [
        ("val_dice", "maximize"),
        ("parameters", "minimize"),
    ]
    assert (len(search.enqueue), search.constraints[0].metric, search.num_replicated) == (1, "parameters", 3)


def test_norm_ablation_has_the_settings_of_its_study() -> None:
    config = load_experiment("norm_ablation", start=FOLDER).baseline
    assert config.dataset.knobs == {"size_px": 256, "border": "foreground"}
    assert (config.optimizer.name, config.optimizer.knobs["lr"], config.grad_clip) == ("adam", 1e-4, 1.0)
    assert (config.batch_size, config.epochs) == (8, 100)
    steps = {name: given for step in config.augment.knobs["steps"] for name, given in step.items()}
    assert {name: given["p"] for name, given in steps.items()} == {
        "HorizontalFlip": 0.5,
        "VerticalFlip": 0.5,
        "Rotate": 0.5,
        "RandomBrightnessContrast": 0.2,
        "HueSaturationValue": 0.2,
        "RGBShift": 0.2,
        "RandomGamma": 0.2,
    }
    assert steps["Rotate"]["limit"] == [-30.0, 30.0]


def test_every_file_is_listed_here() -> None:
    assert {file.stem for file in FOLDER.glob("*.yaml")} == {
        name for name in (*SHAPES, "lr_search", "size_search") if not name.endswith("_small")
    }
