"""`leave_one_out`: the levels that it stands for, and what cannot be left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from messages import said

from segbench.config.experiment import Experiment
from segbench.config.load import load_experiment
from segbench.errors import ExperimentError

HEAD = """question: q
baseline:
  dataset: {shapes: {size_px: 32}}
  model: {unet: {width: 4}}
  augment: r3
"""
R3 = [
    "r3",
    "without RandomResizedCrop",
    "without Rotate",
    "without HorizontalFlip",
    "without VerticalFlip",
    "without RandomBrightnessContrast",
    "without RandomGamma",
    "without GaussNoise",
    "without GaussianBlur",
]

Load = Callable[[str], Experiment]
Own = Callable[[str, str], Path]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    (tmp_path / "experiments").mkdir()
    monkeypatch.chdir(tmp_path)

    def loaded(text: str) -> Experiment:
        (tmp_path / "experiments" / "x.yaml").write_text(HEAD + text)
        return load_experiment("x")

    return loaded


@pytest.fixture
def own(load: Load, tmp_path: Path) -> Own:
    """Write a recipe of the project's own, once its folder of experiments is there."""
    (tmp_path / "axes" / "augment").mkdir(parents=True)

    def written(name: str, steps: str) -> Path:
        file = tmp_path / "axes" / "augment" / f"{name}.py"
        file.write_text(f'"""Change images in our way."""\nPRESET = {{"transforms": {{"steps": {steps}}}}}\n')
        return file

    return written


def problem_of(load: Load, text: str) -> str:
    with pytest.raises(ExperimentError) as error:
        load(text)
    return said(error.value)


def names_of(experiment: Experiment, label: str) -> list[object]:
    """Return the classes of a cell's steps, members of a composition in a list of their own."""
    (cell,) = (c for c in experiment.cells if label in c.levels.values())
    found: list[object] = []
    for step in cell.config.augment.knobs["steps"]:
        ((name, arguments),) = step.items()
        inner = arguments.get("transforms")
        found.append(name if inner is None else [next(iter(each)) for each in inner])
    return found


def test_one_line_gives_the_recipe_and_a_level_for_each_step(load: Load) -> None:
    experiment = load("axes: {augment: {leave_one_out: r3}}\n")
    (axis,) = experiment.axes
    assert list(axis.labels) == R3
    assert axis.baseline == "r3"
    assert names_of(experiment, "without Rotate")[0] == ["RandomResizedCrop"]
    assert names_of(experiment, "without HorizontalFlip")[1] == ["VerticalFlip"]
    whole = names_of(experiment, "r3")
    assert whole[0] == ["RandomResizedCrop", "Rotate"]
    for label in R3[1:]:
        changed = names_of(experiment, label)
        assert sum(len(a) != len(b) for a, b in zip(whole, changed, strict=True)) == 1  # type: ignore[arg-type]


def test_the_probability_of_a_group_stays(load: Load) -> None:
    experiment = load("axes: {augment: {leave_one_out: r3}}\n")
    (cell,) = (c for c in experiment.cells if c.levels["augment"] == "without Rotate")
    assert cell.config.augment.knobs["steps"][0]["OneOf"]["p"] == 0.5


def test_an_axis_of_another_name_takes_further_levels(load: Load) -> None:
    text = "axes:\n  removed: {leave_one_out: {augment: r3}, levels: {no scaling: {input: raw}}}\n"
    experiment = load(text)
    (axis,) = experiment.axes
    assert list(axis.labels) == [*R3, "no scaling"]
    (cell,) = (c for c in experiment.cells if c.levels["removed"] == "no scaling")
    assert cell.config.input.name == "raw"
    assert names_of(experiment, "no scaling") == names_of(experiment, "r3")


def test_equal_steps_are_numbered_and_an_emptied_group_goes(load: Load) -> None:
    steps = "[Transpose, HorizontalFlip, {OneOf: {transforms: [HorizontalFlip]}}]"
    text = f"axes: {{augment: {{leave_one_out: {steps}, levels: {{r3: r3}}, baseline: r3}}}}\n"
    experiment = load(text)
    labels = ["all", "without Transpose", "without HorizontalFlip", "without HorizontalFlip 2", "r3"]
    assert list(experiment.axes[0].labels) == labels
    assert experiment.axes[0].baseline == "r3"
    assert names_of(experiment, "without HorizontalFlip 2") == ["Transpose", "HorizontalFlip"]


def test_what_has_no_steps(load: Load) -> None:
    assert problem_of(load, "axes: {augment: {leave_one_out: flips, baseline: flips}}\n").startswith(
        "experiments/x.yaml:6:33: only a recipe made of transforms has steps to leave out, got 'flips'."
    )


def test_an_unknown_recipe(load: Load) -> None:
    found = problem_of(load, "axes: {augment: {leave_one_out: r33}}\n")
    assert "experiments/x.yaml:6:33: there is no augment of this name, got 'r33'. Did you mean 'r3'?" in found


def test_another_axis_says_what_the_recipe_is(load: Load) -> None:
    found = problem_of(load, "axes: {removed: {leave_one_out: r3}}\n")
    assert (
        "experiments/x.yaml:6:33: steps can be left out of augment: write leave_one_out: {augment: RECIPE}, "
        "got 'r3'." in found
    )


def test_one_label_twice(load: Load) -> None:
    text = "axes: {augment: {leave_one_out: r3, levels: {without Rotate: flips}}}\n"
    assert "two levels have one label, got 'without Rotate'" in problem_of(load, text)


def test_a_recipe_of_one_step_without_it_is_none(load: Load) -> None:
    experiment = load("axes: {augment: {leave_one_out: r1}}\n")
    assert list(experiment.axes[0].labels) == ["r1", "without Affine"]
    (cell,) = (c for c in experiment.cells if c.levels["augment"] == "without Affine")
    assert cell.config.augment.name == "none"


def test_a_recipe_of_the_projects_own(load: Load, own: Own) -> None:
    own("mine", '["HorizontalFlip", {"OneOf": {"transforms": ["RandomGamma", "GaussNoise"], "p": 0.4}}]')
    experiment = load("axes: {augment: {leave_one_out: mine}}\n")
    labels = ["mine", "without HorizontalFlip", "without RandomGamma", "without GaussNoise"]
    assert list(experiment.axes[0].labels) == labels
    assert names_of(experiment, "without RandomGamma") == ["HorizontalFlip", ["GaussNoise"]]


def test_a_recipe_of_the_projects_own_with_an_unknown_argument(load: Load, own: Own) -> None:
    file = own("wrong", '[{"OneOf": {"transforms": [{"Rotate": {"limits": 3}}]}}]')
    found = problem_of(load, "axes: {augment: [r3, wrong]}\n")
    place = f"{file}:2.OneOf.transforms[0].Rotate: "
    assert f"{place}there is no argument of this name, got 'limits'. Did you mean 'limit'?" in found


def test_an_unknown_argument_under_set(load: Load) -> None:
    load("axes: {lr: {path: optimizer.lr, levels: [1e-3, 1e-4]}}\n")
    text = "augment=[{OneOf: {transforms: [{Rotate: {limits: 3}}]}}]"
    with pytest.raises(ExperimentError) as error:
        load_experiment("x", overrides=[text])
    assert str(error.value).startswith(
        f"--set {text}.OneOf.transforms[0].Rotate: there is no argument of this name, got 'limits'. "
        "Did you mean 'limit'?"
    )
