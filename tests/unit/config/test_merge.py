# ruff: noqa: E501  (texts are easier to compare unbroken)

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from messages import said

from segbench.config.document import dump
from segbench.config.experiment import Experiment
from segbench.config.load import SMOKE_IMAGES, load_experiment
from segbench.config.trial import Choice
from segbench.errors import ExperimentError

Write = Callable[..., Path]

PARENT = """\
question: q
baseline: {dataset: {shapes: {size_px: 32}}, model: {unet: {width: 4}}, epochs: 5}
axes:
  norm: [batch, none]
  lr: {path: optimizer.lr, levels: [1e-3, 1e-2]}
seeds: 4
claims: [{norm: batch > none}]
"""

SCALED = (
    PARENT
    + """\
scales:
  small:
    baseline: {epochs: 2, batch_size: 2}
    axes: {lr: {path: optimizer.lr, levels: [1e-3, 1e-4, 1e-5]}}
    seeds: [7]
"""
)


def problems_of(call: Callable[[], Experiment]) -> tuple[str, ...]:
    with pytest.raises(ExperimentError) as caught:
        call()
    return tuple(map(said, caught.value.problems))


def test_extending_adds_levels_and_axes_and_replaces_the_rest(write: Write) -> None:
    write(PARENT, "base")
    write(
        """\
        extends: base.yaml
        question: and with group?
        baseline: {epochs: 6}
        axes:
          norm: [group]
          flips: {levels: {off: {augment: none}, on: {augment: flips}}}
        seeds: 1
        """,
        "more",
    )
    found = load_experiment("more")
    assert {axis.name: axis.labels for axis in found.axes} == {
        "norm": ("batch", "none", "group"),
        "lr": ("1e-3", "1e-2"),
        "flips": ("off", "on"),
    }
    assert (found.question, found.baseline.epochs, found.seeds) == ("and with group?", 6, (0,))
    assert found.baseline.model.knobs["width"] == 4
    assert [claim.source for claim in found.claims] == ["norm: batch > none"]
    assert "extends" not in found.document


def test_the_extension_leaves_the_cells_of_its_parent_as_they_are(write: Write) -> None:
    write(PARENT, "base")
    write("extends: base\naxes: {norm: [group]}\n", "more")
    parent = {cell.label: cell.config_hash for cell in load_experiment("base").cells}
    child = {cell.label: cell.config_hash for cell in load_experiment("more").cells}
    assert parent.items() <= child.items()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "extends: bse.yaml",
            "experiments/more.yaml:1:10: there is no file to extend, got 'bse.yaml'. "
            "Did you mean 'base.yaml'?",
        ),
        ("extends: more.yaml", "experiments/more.yaml:1:10: a file must not extend itself, got 'more.yaml'."),
        (
            "extends: [base]",
            "experiments/more.yaml:1:10: extends must be the path of an experiment file, got ['base'].",
        ),
        (
            "extends: base\naxes: {norm: [none]}",
            "experiments/more.yaml:2:15: the extended file has this level of norm already, got 'none'.",
        ),
        (
            "extends: base\naxes: {lr: {path: optimizer.eps, levels: [1]}}",
            "experiments/more.yaml:2:19: the extended file gives lr the path optimizer.lr, got 'optimizer.eps'.",
        ),
        (
            "extends: base\nbaseline: {norm: bach}",
            "experiments/more.yaml:2:18: there is no norm of this name, got 'bach'. Did you mean 'batch'?"
            " segbench list norm.",
        ),
    ],
)
def test_mistakes_in_extensions(write: Write, text: str, problem: str) -> None:
    write(PARENT, "base")
    write(text, "more")
    assert problem in problems_of(lambda: load_experiment("more"))


def test_a_search_may_replace_the_axes_it_extends(write: Write) -> None:
    write(PARENT.replace("claims: [{norm: batch > none}]\n", ""), "base")
    write("extends: base\nsearch: {space: {epochs: [5, 6]}, trials: 2}", "more")
    found = load_experiment("more")
    assert (found.axes, found.cells) == ((), ())
    assert found.search is not None


def test_a_scale_replaces_fields_axes_and_keys(write: Write) -> None:
    write(SCALED)
    found = load_experiment("x", scale="small")
    assert found.name == "x_small"
    assert found.axis("lr").labels == ("1e-3", "1e-4", "1e-5")
    assert found.axis("norm").labels == ("batch", "none")
    assert (found.baseline.epochs, found.baseline.batch_size, found.seeds) == (2, 2, (7,))
    assert found.baseline.model.knobs["width"] == 4
    assert "scales" not in found.document
    assert load_experiment("x").baseline.epochs == 5


def test_the_name_of_a_scale_asks_for_it(write: Write) -> None:
    write(SCALED, "a_b")
    assert load_experiment("a_b_small") == load_experiment("a_b", scale="small")
    assert load_experiment("experiments/a_b.yaml", scale="small").name == "a_b_small"


def test_a_scale_of_the_extended_file_is_inherited(write: Write) -> None:
    write(SCALED, "base")
    write("extends: base\naxes: {norm: [group]}", "more")
    found = load_experiment("more_small")
    assert (found.name, found.baseline.epochs) == ("more_small", 2)
    assert found.axis("norm").labels == ("batch", "none", "group")


@pytest.mark.parametrize(
    ("text", "scale", "problem"),
    [
        (PARENT, "small", "experiments/x.yaml: there is no such scale, got 'small'."),
        (
            SCALED,
            "smal",
            "experiments/x.yaml:8:1: there is no such scale, got 'smal'. Did you mean 'small'?",
        ),
    ],
)
def test_scales_that_are_not_there(write: Write, text: str, scale: str, problem: str) -> None:
    write(text)
    assert problems_of(lambda: load_experiment("x", scale=scale)) == (problem,)


@pytest.mark.parametrize("asked", ["x_small", "x", "experiments/x.yaml"])
def test_a_file_and_a_scale_of_one_name(write: Write, asked: str) -> None:
    write(SCALED)
    write(PARENT, "x_small")
    problem = (
        "experiments/x_small.yaml: the scale small of x.yaml and this file would both be the experiment "
        "x_small. Rename the scale or the file."
    )
    scale = None if asked == "x_small" else "small"
    assert problems_of(lambda: load_experiment(asked, scale=scale)) == (problem,)


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("epochs=3", lambda e: e.baseline.epochs == 3),
        ("seeds=[4, 5]", lambda e: e.seeds == (4, 5)),
        ("seeds=1", lambda e: e.seeds == (0,)),
        ("model={unet: {width: 2}}", lambda e: e.baseline.model.knobs["width"] == 2),
        ("model.width=2", lambda e: e.baseline.model.knobs["width"] == 2),
        (
            "model.up=bilinear",
            lambda e: e.baseline.model == Choice.of("model", "unet", width=4, up="bilinear"),
        ),
        ("optimizer.beta1=0.5", lambda e: e.baseline.optimizer.knobs["beta1"] == 0.5),
        ("loss.dice.smooth=1e-3", lambda e: e.baseline.loss[1].knobs["smooth"] == 1e-3),
        ("loss.bce.weight=2", lambda e: e.baseline.loss[0].knobs["weight"] == 2.0),
        ("early_stopping.patience=3", lambda e: e.baseline.early_stopping.patience == 3),
        ("grad_clip=null", lambda e: e.baseline.grad_clip is None),
    ],
)
def test_set_changes_fields_and_knobs(
    write: Write, override: str, value: Callable[[Experiment], bool]
) -> None:
    write(PARENT)
    found = load_experiment("x", overrides=[override])
    assert value(found)
    assert list(found.overrides) == [override.partition("=")[0]]
    assert load_experiment("x").overrides == {}


def test_set_spells_out_the_first_knob(write: Write) -> None:
    write("question: q\nbaseline: {dataset: shapes, optimizer: {adam: 0.5}}")
    knobs = load_experiment("x", overrides=["optimizer.beta1=0.25"]).baseline.optimizer.knobs
    assert (knobs["lr"], knobs["beta1"]) == (0.5, 0.25)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("epochs", "--set epochs: write --set KEY=VALUE, such as --set epochs=10."),
        ("epochs=x", "--set epochs=x: epochs must be a whole number, got 'x'."),
        (
            "epoch=3",
            "--set epoch=3: there is no such field, got 'epoch'. Did you mean 'epochs'? "
            "`--set` takes a field of the baseline, a knob such as optimizer.lr, or seeds.",
        ),
        (
            "model.widht=3",
            "--set model.widht=3: the model unet has no such knob, got 'widht'. Did you mean 'width'? segbench list model unet.",
        ),
        ("model.width=true", "--set model.width=true: width must be a whole number, got True."),
        ("batch_size.x=3", "--set batch_size.x=3: batch_size has no knobs, got 'batch_size.x'."),
        (
            "loss.tversky.alpha=1",
            "--set loss.tversky.alpha=1: the loss has no term of this name, got 'tversky'.",
        ),
        (
            "loss.bce.weight=0",
            "--set loss.bce.weight=0: the weight of a loss term must not be zero, got 0.",
        ),
        ("loss.bce.weight=.nan", "--set loss.bce.weight=.nan: weight must be finite, got nan."),
        ("loss.bce.weight=-.inf", "--set loss.bce.weight=-.inf: weight must be finite, got -inf."),
        ("loss={bce: .inf}", "--set loss={bce: .inf}: weight must be finite, got inf."),
        ("loss.bce=1", "--set loss.bce=1: write loss.TERM.KNOB, got 'loss.bce'."),
        ("epochs=[1", "--set epochs=[1: not valid YAML: expected ',' or ']', but got '<stream end>'."),
        (
            "norm=none",
            "experiments/x.yaml:4:3: the axis norm varies this, so `--set` must not set it, got 'norm'.",
        ),
        (
            "optimizer.lr=1",
            "experiments/x.yaml:5:3: the axis lr varies this, so `--set` must not set it, got 'optimizer.lr'.",
        ),
    ],
)
def test_mistakes_in_set(write: Write, override: str, problem: str) -> None:
    write(PARENT)
    assert problem in problems_of(lambda: load_experiment("x", overrides=[override]))


def test_a_smoke_test_is_another_tiny_experiment(write: Write) -> None:
    write(PARENT.replace("epochs: 5}", "epochs: 5, early_stopping: {patience: 2}}"))
    found = load_experiment("x", smoke=True)
    assert found.name == "x_smoke"
    assert found.seeds == (0,)
    assert [cell.label for cell in found.cells] == [cell.label for cell in load_experiment("x").cells]
    for cell in found.cells:
        assert (cell.config.epochs, cell.config.max_images) == (1, SMOKE_IMAGES)
        assert cell.config.early_stopping is None
    assert len({cell.config_hash for cell in found.cells}) == 4


def test_a_smoke_test_of_a_search_has_two_proposals(write: Write) -> None:
    write("question: q\nbaseline: {dataset: shapes}\nsearch: {space: {batch_size: [8, 2]}, trials: 20}")
    found = load_experiment("x", smoke=True)
    assert found.search is not None
    assert (found.search.num_trials, found.document["search"]["trials"]) == (2, 2)


@pytest.mark.parametrize("options", [{}, {"scale": "small"}, {"overrides": ["epochs=3"]}, {"smoke": True}])
def test_the_record_beside_results_is_the_same_experiment(
    write: Write, project: Path, options: dict[str, object]
) -> None:
    file = write(
        SCALED.replace("{norm: batch > none}", "{norm: batch > none, at: {lr: 1e-3}}")
        + "    exclude: [{norm: none, lr: 1e-5}]\n"
    )
    found = load_experiment("x", **options)  # type: ignore[arg-type]
    record = project / "results" / found.name / "experiment.yaml"
    record.parent.mkdir(parents=True)
    record.write_text(dump(found.document), encoding="utf-8")
    file.unlink()
    again = load_experiment(found.name)
    for name in ("name", "question", "baseline", "axes", "cells", "seeds", "margin", "claims", "document"):
        assert getattr(again, name) == getattr(found, name)
    assert load_experiment(record).cells == found.cells
    assert load_experiment(record.parent).cells == found.cells
