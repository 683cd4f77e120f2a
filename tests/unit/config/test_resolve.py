from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from segbench import registry
from segbench.config.experiment import Experiment
from segbench.config.knobs import canonical_default, type_of
from segbench.config.resolve import resolve_choice, resolve_loss
from segbench.config.trial import VARIANT_FIELDS, Choice, EarlyStopping, TrialConfig
from segbench.errors import ExperimentError
from segbench.signature import REQUIRED

ADAM = {"lr": 1e-3, "weight_decay": 0.0, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}


@pytest.mark.parametrize(
    ("spec", "knobs"),
    [
        ("adam", ADAM),
        ({"adam": {}}, ADAM),
        ({"adam": None}, ADAM),
        ({"adam": 3e-4}, {**ADAM, "lr": 3e-4}),
        ({"adam": {"weight_decay": 1}}, {**ADAM, "weight_decay": 1.0}),
        ({"adam": {"weight_decay": -0.0}}, ADAM),
    ],
)
def test_a_spec_becomes_a_choice_with_every_knob(spec: object, knobs: dict[str, float]) -> None:
    found = resolve_choice("optimizer", spec)
    assert found == Choice("adam", knobs)
    assert list(found.knobs) == list(knobs)
    assert [type(value) for value in found.knobs.values()] == [float] * 5
    assert str(found.knobs["weight_decay"])[0] != "-"


def test_loss_terms_have_a_weight_first_and_are_sorted() -> None:
    found = resolve_loss({"tversky": {"alpha": 1, "weight": 2}, "bce": 0.5})
    assert [term.name for term in found] == ["bce", "tversky"]
    assert next(iter(found[1].knobs)) == "weight"
    assert (found[0].knobs["weight"], found[1].knobs["weight"], found[1].knobs["alpha"]) == (0.5, 2.0, 1.0)
    assert resolve_loss("dice") == resolve_loss({"dice": 1.0})


def test_a_list_of_transforms_has_every_argument() -> None:
    found = resolve_choice(
        "augment", {"transforms": {"steps": ["HorizontalFlip", {"Rotate": {"limit": 30}}]}}
    )
    steps = found.knobs["steps"]
    assert found.name == "transforms"
    assert steps[0] == {"HorizontalFlip": {"p": 0.5}}
    assert steps[1]["Rotate"]["limit"] == [-30.0, 30.0]
    assert resolve_choice("augment", {"transforms": {"steps": steps}}) == found


def test_the_place_of_a_spec_from_python_is_named() -> None:
    with pytest.raises(ExperimentError) as caught:
        resolve_choice("model", {"unet": {"widht": 3, "depth": 0}}, "my spec")
    assert caught.value.problems == (
        "my spec: the model unet has no such knob, got 'widht'. Did you mean 'width'? "
        "Known: width, depth, up.",
        "my spec: depth must be at least 1, got 0.",
    )


@pytest.mark.parametrize("axis", VARIANT_FIELDS)
def test_every_built_in_knob_has_a_type_that_its_default_fits_and_a_help(axis: str) -> None:
    for variant in registry.variants(axis).values():
        for knob in variant.knobs.values():
            where = f"{variant.file}: {knob.name}"
            type_of(knob.annotation)
            assert knob.help, where
            if knob.default is not REQUIRED:
                found = canonical_default(knob)
                assert (found, type(found)) == (knob.default, type(knob.default)), where


OWN_NORM = '''
from segbench.axes.norm import variant

@variant
def mine(channels: int, *, width: "int" = 4, shape: tuple[int, int] = (1, 2), other: Missing = None):
    """Do nothing.

    Args:
        width: Unused.
    """
'''


def test_a_variant_of_the_project_is_found_and_marked(project: Path, load: Callable[..., Experiment]) -> None:
    (project / "axes" / "norm").mkdir(parents=True)
    (project / "axes" / "norm" / "mine.py").write_text(OWN_NORM)
    text = (
        "question: q\nbaseline: {dataset: shapes, norm: {mine: {width: 2, shape: [3, 4], other: {a: [1]}}}}"
    )
    found = load(text).baseline.norm
    assert found == Choice("mine", {"width": 2, "shape": [3, 4], "other": {"a": [1]}})
    first = load(text).cells[0].config_hash
    (project / "axes" / "norm" / "mine.py").write_text(OWN_NORM + "\n# changed\n")
    assert (
        load(text).cells[0].config_hash == first
    )  # the source is part of the identity, not of the configuration


def test_an_import_path_is_a_name(project: Path, load: Callable[..., Experiment]) -> None:
    (project / "my_nets.py").write_text(
        "class Net:\n    '''A net.'''\n    def __init__(self, i, o, norm, *, width: int = 3): ...\n"
    )
    text = "question: q\nbaseline: {dataset: shapes, model: {'my_nets:Net': {width: 5}}}"
    assert load(text).baseline.model == Choice("my_nets:Net", {"width": 5})
    assert load(text.replace("{'my_nets:Net': {width: 5}}", "my_nets:Net")).baseline.model.knobs == {
        "width": 3
    }
    # its source belongs to what is remembered
    (project / "my_nets.py").write_text(
        "class Net:\n    '''A net.'''\n    def __init__(self, i, o, norm, *, width: int = 9): ...\n"
    )
    assert load(text.replace("{'my_nets:Net': {width: 5}}", "my_nets:Net")).baseline.model.knobs == {
        "width": 9
    }


def test_plain_fields_are_canonical(load: Callable[..., Experiment]) -> None:
    config = load(
        "question: q\nbaseline: {dataset: shapes, grad_clip: 1, early_stopping: {patience: 3, min_delta: 0}}"
    ).baseline
    assert (config.grad_clip, type(config.grad_clip)) == (1.0, float)
    assert config.early_stopping == EarlyStopping(3, 0.0)
    assert type(config.early_stopping.min_delta) is float


def test_defaults_of_the_baseline(load: Callable[..., Experiment]) -> None:
    config = load("question: q\nbaseline: {dataset: shapes}").baseline
    assert {axis: choice.name for axis, choice in config.choices() if axis != "loss"} == {
        "dataset": "shapes",
        "split": "course",
        "input": "imagenet",
        "model": "unet",
        "norm": "batch",
        "init": "default",
        "augment": "none",
        "mix": "none",
        "optimizer": "adam",
        "schedule": "constant",
    }
    assert [(term.name, term.knobs["weight"]) for term in config.loss] == [("bce", 1.0), ("dice", 1.0)]
    assert (config.grad_clip, config.batch_size, config.epochs, config.precision) == (None, 8, 100, "fp32")
    assert (config.early_stopping, config.engine, config.max_images) == (None, "segbench", None)
    assert config.objective.metric == "val_dice"


def test_a_configuration_survives_json(load: Callable[..., Experiment]) -> None:
    config = load(
        "question: q\nbaseline: {dataset: shapes, augment: [HorizontalFlip], early_stopping: {patience: 2}}"
    ).baseline
    assert TrialConfig.from_json(config.to_json()) == config
