from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from messages import said

from segbench import registry
from segbench.config.experiment import Experiment
from segbench.config.resolve import canonical_default, resolve_choice, resolve_loss, type_of
from segbench.config.trial import (
    VARIANT_FIELDS,
    Choice,
    EarlyStopping,
    TrialConfig,
    config_hash,
    identity,
    variant_digests,
)
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
    assert tuple(map(said, caught.value.problems)) == (
        "my spec: the model unet has no such knob, got 'widht'. Did you mean 'width'? "
        "segbench list model unet.",
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


def test_a_preset_is_the_variant_it_stands_for() -> None:
    spelled_out = resolve_choice("model", {"unet": {"concat": "up_first", "dropout": 0.1}})
    assert resolve_choice("model", "unet_r1") == spelled_out == Choice.of("model", "unet_r1")
    assert (
        resolve_choice("model", {"unet_r1": {}}) == resolve_choice("model", {"unet_r1": None}) == spelled_out
    )
    assert spelled_out.name == "unet"


def test_knobs_over_a_preset() -> None:
    found = resolve_choice("model", {"unet_r1": {"width": 8, "dropout": 0}})
    assert found == resolve_choice("model", {"unet": {"concat": "up_first", "width": 8}})
    assert type(found.knobs["dropout"]) is float
    assert resolve_choice("model", {"unet_r1": 8}).knobs["width"] == 8
    with pytest.raises(ExperimentError) as caught:
        resolve_choice("model", {"unet_r1": {"widht": 3}})
    assert str(caught.value).startswith(
        "spec: the model unet_r1 has no such knob, got 'widht'. Did you mean 'width'?"
    )


def test_a_path_into_a_preset(load: Callable[..., Experiment]) -> None:
    head = "question: q\nbaseline: {dataset: shapes, model: unet_r1}\n"
    experiment = load(head + "axes: {width: {path: model.width, levels: [4, 64]}}")
    assert [cell.config.model.knobs["width"] for cell in experiment.cells] == [4, 64]
    assert {cell.config.model.knobs["dropout"] for cell in experiment.cells} == {0.1}
    assert load(head, overrides=["model.dropout=0.2"]).baseline.model.knobs["dropout"] == 0.2


def test_a_preset_and_its_base_spelled_out_are_one_trial(load: Callable[..., Experiment]) -> None:
    text = "question: q\nbaseline: {{dataset: shapes, model: {}}}"
    preset = load(text.format("{resnet34_unet_r3: {width: 8}}")).baseline
    base = load(
        text.format("{resnet34_unet: {width: 8, concat: up_first, bottleneck: residual, stem_skip: none}}")
    ).baseline
    assert preset == base
    assert config_hash(preset) == config_hash(base)
    digests = [identity(c, seed=1, fold=0, data_fingerprint="d") for c in (preset, base)]
    assert digests[0] == digests[1]
    defaults = load(text.format("unet_r0")).baseline
    assert config_hash(defaults) == config_hash(load(text.format("unet")).baseline)


def test_levels_that_are_a_preset_and_its_base(load: Callable[..., Experiment]) -> None:
    text = "question: q\nbaseline: {dataset: shapes, model: unet}\n"
    cells = load(text + "axes: {model: [unet, unet_r1, attention_unet]}").cells
    assert [cell.levels["model"] for cell in cells] == ["unet", "unet_r1", "attention_unet"]
    assert [cell.config.model.name for cell in cells] == ["unet"] * 3


OWN_PRESET = '"""Narrow."""\n\nPRESET = {"unet": {"width": 4, "dropout": 0}}\n'


def own_preset(project: Path, text: str, axis: str = "model") -> Path:
    folder = project / "axes" / axis
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "narrow.py").write_text(text)
    return folder / "narrow.py"


def test_a_preset_of_the_project(project: Path, load: Callable[..., Experiment]) -> None:
    text = "question: q\nbaseline: {dataset: shapes, model: narrow}"
    own_preset(project, OWN_PRESET)
    found = load(text).baseline
    assert found.model == Choice.of("model", "unet", width=4)
    assert type(found.model.knobs["dropout"]) is float
    assert variant_digests(found) == {}  # a preset changes no code
    own_preset(project, OWN_PRESET.replace("4", "5"))
    assert load(text).baseline.model.knobs["width"] == 5  # what is remembered knows the file


@pytest.mark.parametrize(
    ("preset", "problem"),
    [
        (
            "{'unte': {}}",
            "there is no model of this name to be a preset of, got 'unte'. Did you mean 'unet'?",
        ),
        (
            "{'unet': {'widht': 4}}",
            "the model unet has no such knob, got 'widht'. Did you mean 'width'?",
        ),
        ("{'unet': {'width': 0}}", "width must be at least 1, got 0."),
        ("{'unet': {'width': '4'}}", "width must be a whole number, got '4'."),
        ("{'unet': 4}", "PRESET must be {variant: {knob: value}}, got {'unet': 4}."),
        ("dict(unet={})", "PRESET must be a literal, got 'dict(unet={})'."),
    ],
)
def test_a_preset_that_is_wrong(
    project: Path, problems_of: Callable[..., list[str]], preset: str, problem: str
) -> None:
    file = own_preset(project, f"'Narrow.'\n\nPRESET = {preset}\n")
    (found,) = problems_of("question: q\nbaseline: {dataset: shapes, model: narrow}")
    assert f"{file}:3: {problem}" in found


def test_a_preset_of_a_loss_term(project: Path, load: Callable[..., Experiment]) -> None:
    own_preset(project, "'Lean.'\n\nPRESET = {'tversky': {'alpha': 0.7}}\n", axis="loss")
    text = "question: q\nbaseline: {dataset: shapes, loss: {bce: 1, narrow: {weight: 2}}}\n"
    experiment = load(text + "axes: {beta: {path: loss.tversky.beta, levels: [0.1, 0.5], baseline: 0.1}}")
    terms = experiment.cells[0].config.loss
    assert [term.name for term in terms] == ["bce", "tversky"]
    assert (terms[1].knobs["weight"], terms[1].knobs["alpha"], terms[1].knobs["beta"]) == (2.0, 0.7, 0.1)


def test_two_terms_of_one_loss(project: Path, problems_of: Callable[..., list[str]]) -> None:
    own_preset(project, "'Lean.'\n\nPRESET = {'tversky': {'alpha': 0.7}}\n", axis="loss")
    assert problems_of("question: q\nbaseline: {dataset: shapes, loss: {tversky: 1, narrow: 1}}") == [
        "2:48: the loss has another term tversky already, got 'narrow'."
    ]
