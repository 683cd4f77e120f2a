"""Designs: which cells, in which order, and what the analysis learns of them."""

# ruff: noqa: E501  (texts are easier to compare unbroken)

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segbench.config.experiment import Design, Experiment
from segbench.config.load import load_experiment

Load = Callable[..., Experiment]
Problems = Callable[..., list[str]]

HEAD = "question: q\nbaseline: {dataset: {shapes: {size_px: 32}}, model: {unet: {width: 4}}}\n"
AXES = HEAD + (
    "axes: {norm: [batch, none, dyt], lr: {path: optimizer.lr, levels: [1e-3, 1e-2]}, epochs: [100, 2]}\n"
)
SWITCHES = HEAD + (
    "axes: {a: {levels: {on: {norm: batch}, off: {norm: none}}}, b: {path: optimizer.lr, levels: [1e-3, 1]},"
    " c: {path: epochs, levels: [100, 2]}, d: {path: batch_size, levels: [8, 4]}}\n"
)
TREE = HEAD + (
    "axes:\n"
    "  optimizer: {levels: [adam, sgd, rmsprop], baseline: adam}\n"
    "  momentum: {path: optimizer.momentum, levels: [0.9, 0], when: {optimizer: sgd}}\n"
    "  nesterov: {path: optimizer.nesterov, levels: [false, true], when: {optimizer: sgd, momentum: 0.9}}\n"
)


def labels(experiment: Experiment) -> list[str]:
    return [cell.label for cell in experiment.cells]


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        (
            "design: one_at_a_time",
            ["batch, 1e-3, 100", "none, 1e-3, 100", "dyt, 1e-3, 100", "batch, 1e-2, 100", "batch, 1e-3, 2"],
        ),
        (
            "design: {factorial: [lr, epochs]}",
            ["batch, 1e-3, 100", "batch, 1e-3, 2", "batch, 1e-2, 100", "batch, 1e-2, 2"],
        ),
        (
            "design: {union: [{cells: [{norm: dyt}]}, one_at_a_time, {factorial: [lr]}]}",
            ["dyt, 1e-3, 100", "batch, 1e-3, 100", "none, 1e-3, 100", "batch, 1e-2, 100", "batch, 1e-3, 2"],
        ),
        (
            "design: {zip: [epochs, lr]}",
            [f"{norm}, {pair}" for norm in ("batch", "none", "dyt") for pair in ("1e-3, 100", "1e-2, 2")],
        ),
        (
            "only: [{norm: [batch, none], epochs: 2}, {lr: 1e-2, norm: dyt, epochs: 100}]",
            ["batch, 1e-3, 2", "batch, 1e-2, 2", "none, 1e-3, 2", "none, 1e-2, 2", "dyt, 1e-2, 100"],
        ),
        ("only: [{norm: batch}]\nexclude: [{lr: 1e-2}]", ["batch, 1e-3, 100", "batch, 1e-3, 2"]),
        (
            "design: {zip: [[lr, epochs]]}\nonly: [{norm: batch}]",
            ["batch, 1e-3, 100", "batch, 1e-2, 2"],
        ),
    ],
)
def test_designs(load: Load, text: str, cells: list[str]) -> None:
    assert labels(load(AXES + text)) == cells


def test_leave_one_out_switches_each_axis_of_the_baseline(load: Load) -> None:
    found = load(SWITCHES + "design: leave_one_out")
    assert labels(found) == [
        "on, 1e-3, 100, 8",
        "off, 1e-3, 100, 8",
        "on, 1, 100, 8",
        "on, 1e-3, 2, 8",
        "on, 1e-3, 100, 4",
    ]
    assert found.design == Design(kind="leave_one_out")


def test_a_fraction_is_half_of_four_axes(load: Load) -> None:
    found = load(SWITCHES + "design: fractional")
    assert labels(found)[0] == "on, 1e-3, 100, 8"
    assert len(found.cells) == 8
    assert (found.design.kind, found.design.resolution) == ("fractional", 4)
    mains = {alias.effect: alias.others for alias in found.design.aliases if len(alias.effect) == 1}
    assert mains == {
        ("a",): (("b", "c", "d"),),
        ("b",): (("a", "c", "d"),),
        ("c",): (("a", "b", "d"),),
        ("d",): (("a", "b", "c"),),
    }
    assert found.design.confounders("ab") == (("c", "d"),)
    assert found.design.confounders("a") == ()
    assert labels(load(SWITCHES + "design: {fractional: {resolution: 4}}")) == labels(found)


def test_a_fraction_of_resolution_three_is_made_when_asked_for(load: Load) -> None:
    axes = SWITCHES.replace("}\n", "}\n", 1)
    found = load(axes + "design: {fractional: {resolution: 3}}")
    assert len(found.cells) == 8  # four axes in eight cells reach resolution IV
    assert found.design.resolution == 4
    three = SWITCHES.replace(", d: {path: batch_size, levels: [8, 4]}", "")
    found = load(three + "design: {fractional: {resolution: 3}}")
    assert (len(found.cells), found.design.resolution) == (4, 3)
    assert found.design.confounders("a") == (("b", "c"),)


def test_what_the_analysis_learns(load: Load) -> None:
    assert load(AXES).design == Design()
    assert load(AXES + "design: one_at_a_time").design == Design(kind="one_at_a_time")
    assert load(AXES + "design: {cells: [{norm: none}]}").design == Design(kind="cells")
    assert load(AXES + "design: {zip: [epochs, lr]}").design == Design(zipped=(("lr", "epochs"),))
    both = "design: {union: [{zip: [epochs, lr]}, {cells: [{norm: dyt, lr: 1e-2, epochs: 2}]}]}"
    assert load(AXES + both).design == Design(kind="union", zipped=(("lr", "epochs"),))
    apart = "design: {union: [{zip: [epochs, lr]}, {cells: [{norm: dyt, lr: 1e-2}]}]}"
    assert load(AXES + apart).design == Design(kind="union")


def test_a_conditional_axis_has_no_level_in_other_cells(load: Load) -> None:
    found = load(TREE)
    assert [dict(cell.levels) for cell in found.cells] == [
        {"optimizer": "adam"},
        {"optimizer": "sgd", "momentum": "0.9", "nesterov": "false"},
        {"optimizer": "sgd", "momentum": "0.9", "nesterov": "true"},
        {"optimizer": "sgd", "momentum": "0"},
        {"optimizer": "rmsprop"},
    ]
    assert found.axis("nesterov").when == {"optimizer": ("sgd",), "momentum": ("0.9",)}
    assert found.axis("nesterov").baseline == "false"
    assert "momentum" not in found.cells[0].config.optimizer.knobs
    assert found.cells[3].config.optimizer.knobs["momentum"] == 0


def test_one_at_a_time_varies_a_conditional_axis_where_its_condition_is_met(load: Load) -> None:
    found = load(TREE + "design: one_at_a_time")
    assert labels(found) == ["adam", "sgd, 0.9, false", "rmsprop", "sgd, 0", "sgd, 0.9, true"]


def test_axes_that_exclude_each_other_may_set_one_target(load: Load) -> None:
    found = load(
        HEAD + "axes:\n  optimizer: [adam, sgd]\n"
        "  adam_lr: {path: optimizer.lr, levels: [1e-3, 1e-4], when: {optimizer: adam}}\n"
        "  sgd_lr: {path: optimizer.lr, levels: [1e-2, 1e-1], when: {optimizer: sgd}}\n"
    )
    assert labels(found) == ["adam, 1e-3", "adam, 1e-4", "sgd, 1e-2", "sgd, 1e-1"]
    assert [cell.config.optimizer.knobs["lr"] for cell in found.cells] == [1e-3, 1e-4, 1e-2, 1e-1]


def test_what_is_recorded_loads_again(load: Load) -> None:
    """`results/NAME/experiment.yaml` serves where the file is gone."""
    for text in (
        TREE + "design: {union: [one_at_a_time, {cells: [{optimizer: sgd, momentum: 0}]}]}",
        SWITCHES + "design: {fractional: {resolution: 4}}",
        AXES + "design: {zip: [[lr, epochs]]}\nonly: [{lr: 1e-3}]",
    ):
        found = load(text)
        again = load_recorded(found)
        assert (again.cells, again.axes, again.design) == (found.cells, found.axes, found.design)


def load_recorded(experiment: Experiment) -> Experiment:
    from segbench.config.document import dump

    assert experiment.source is not None
    file = experiment.source.with_name("again.yaml")
    file.write_text(dump(experiment.document), encoding="utf-8")
    return load_experiment(file)


def test_a_remembered_experiment_is_the_same(load: Load) -> None:
    for text in (TREE, SWITCHES + "design: fractional", AXES + "design: {zip: [lr, epochs]}"):
        first = load(text)
        assert load_experiment("x") == first


DESIGNS = ("factorial", "one_at_a_time", "{zip: [lr, epochs]}", "{union: [one_at_a_time, {factorial: [lr]}]}")


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(DESIGNS),
    st.lists(st.sampled_from(("none", "dyt", "layer", "instance")), unique=True, max_size=3),
    st.sampled_from(("group", "{group: {groups: 2}}")),
)
def test_a_new_level_only_adds_cells(load: Load, design: str, norms: list[str], new: str) -> None:
    def cells(levels: list[str]) -> dict[str, str]:
        text = (
            f"axes: {{norm: [{', '.join(levels)}], lr: {{path: optimizer.lr, levels: [1e-3, 1e-2]}}, "
            f"epochs: [100, 2]}}\ndesign: {design}"
        )
        found = load(HEAD + text).cells
        return {cell.config_hash: cell.label for cell in found}

    before, after = cells(["batch", *norms]), cells(["batch", *norms, new])
    assert before.items() <= after.items()
    assert len(after) > len(before)
    kept = [label for hash, label in after.items() if hash in before]
    assert kept == list(before.values())  # and in their order
    assert after == cells(["batch", *norms, new])


def test_the_factorial_is_the_product_of_the_levels(load: Load) -> None:
    expected = itertools.product(("batch", "none", "dyt"), ("1e-3", "1e-2"), ("100", "2"))
    assert labels(load(AXES)) == [", ".join(each) for each in expected]


MISTAKES = {
    "design: leave_one_out": "4:9: leave_one_out needs axes of two levels, on and off; norm has 3. "
    "one_at_a_time takes any number of levels.",
    "design: fractional": "4:9: fractional needs axes of two levels; norm has 3. "
    "one_at_a_time takes any number of levels.",
    "design: {}": "4:9: a design is one of the known ones; several make a {union: [...]}, got '{}'.",
    "design: {zip: [lr, epochs], factorial: [norm]}": "4:9: a design is one of the known ones; several make a "
    "{union: [...]}, got 'zip, factorial'. Did you mean 'factorial'?",
    "design: {zip: [lr, norm]}": "4:9: zipped axes must have equally many levels, got 'norm 3, lr 2'.",
    "design: {zip: [lr]}": "4:9: zip takes two axes or more, got 'lr'. "
    "Write {zip: [a, b]}, or {zip: [[a, b], [c, d]]} for two groups.",
    "design: {zip: [lr, rate]}": "4:20: there is no such axis, got 'rate'.",
    "design: {zip: [lr, lr]}": "4:20: an axis is named twice, got 'lr'.",
    "design: {zip: [[lr, epochs], [lr, epochs]]}": "4:15: an axis can be zipped once, got 'lr'.",
    "design: {factorial: [nrm]}": "4:22: there is no such axis, got 'nrm'. Did you mean 'norm'?",
    "design: one_at_a_time\nexclude: [{norm: batch, lr: 1e-3}]": "5:11: the baseline cell (batch, 1e-3, 100) is "
    "excluded, which one_at_a_time compares with, got {'norm': 'batch', 'lr': 0.001}.",
    "design: one_at_a_time\nonly: [{norm: none}]": "5:1: the baseline cell is left out, which one_at_a_time "
    "compares with, got 'batch, 1e-3, 100'.",
    "only: [{norm: none}, {norm: batch, lr: 1}]": "4:40: lr has no level of this label, got '1'.",
    "design: one_at_a_time\nonly: [{norm: batch}, {norm: none, lr: 1e-2}]": "5:23: no cell of the design is like "
    "this, got {'norm': 'none', 'lr': 0.01}.",
    "exclude: [{norm: [batch, none, dyt]}]": "4:11: every cell is excluded, "
    "got {'norm': ['batch', 'none', 'dyt']}.",
}


@pytest.mark.parametrize(("text", "problem"), MISTAKES.items(), ids=MISTAKES)
def test_mistakes_in_designs(problems_of: Problems, text: str, problem: str) -> None:
    found = problems_of(AXES + text)
    assert found[0] == problem
    assert len(found) == 2 if "got 'lr'" in problem and "once" in problem else len(found) == 1


def test_zipped_baselines_must_meet(problems_of: Problems) -> None:
    text = HEAD + "axes: {norm: [none, batch], epochs: [100, 2]}\ndesign: {zip: [norm, epochs]}"
    assert problems_of(text) == [
        "4:9: zipped axes must have their baselines together, or no cell is the baseline, "
        "got 'norm at its level 2, epochs at its level 1'. Order the levels of each axis alike."
    ]


FRACTIONS = {
    "design: fractional\nexclude: [{a: off}]": "5:1: `exclude` would take cells out of a fraction, whose effects "
    "are told apart by its balance. Take an axis out, or list {cells: [...]}.",
    "design: {union: [one_at_a_time, fractional]}": "4:33: a fraction stands alone: more cells would unbalance "
    "it, got 'fractional in a union'.",
    "design: {fractional: {resolution: 5}}": "4:9: 4 axes have no fraction of resolution 5. "
    "Only the whole has it: `design: factorial`.",
}


@pytest.mark.parametrize(("text", "problem"), FRACTIONS.items(), ids=FRACTIONS)
def test_mistakes_in_fractions(problems_of: Problems, text: str, problem: str) -> None:
    assert problems_of(SWITCHES + text) == [problem]


def test_a_design_has_a_largest_size(problems_of: Problems) -> None:
    axes = ", ".join(
        f"a{k}: {{path: {path}, levels: [{', '.join(str(2**-i) for i in range(20))}], baseline: 1}}"
        for k, path in enumerate(("optimizer.lr", "optimizer.weight_decay", "ema", "grad_clip"))
    )
    found = problems_of(f"{HEAD}axes: {{{axes}}}")
    assert "3:1: a design must not have more than 100,000 cells, got '160,000'. " in "".join(found)


CONDITIONS = {
    "{optimzer: sgd}": "5:65: there is no such axis, got 'optimzer'. Did you mean 'optimizer'?",
    "{optimizer: sdg}": "5:76: optimizer has no level of this label, got 'sdg'. Did you mean 'sgd'?",
    "{momentum: 0}": "5:65: an axis must not depend on itself, got 'momentum'.",
    "{}": "5:64: when must not be empty, got {}.",
    "sgd": "5:64: when must be a mapping, got 'sgd'.",
}


@pytest.mark.parametrize(("when", "problem"), CONDITIONS.items(), ids=CONDITIONS)
def test_mistakes_in_conditions(problems_of: Problems, when: str, problem: str) -> None:
    text = f"axes:\n  optimizer: [adam, sgd]\n  momentum: {{path: optimizer.momentum, levels: [0.9, 0], when: {when}}}"
    assert problems_of(HEAD + text) == [problem]


def test_conditions_do_not_go_round_in_circles(problems_of: Problems) -> None:
    text = "axes: {norm: {levels: [batch, none], when: {epochs: 2}}, epochs: {levels: [100, 2], when: {norm: none}}}"
    assert problems_of(HEAD + text) == [
        "3:44: conditions must not go round in a circle, got 'norm and epochs'."
    ]


def test_a_listed_cell_must_not_name_an_axis_that_it_lacks(problems_of: Problems) -> None:
    text = TREE + "design: {cells: [{optimizer: sgd}, {momentum: 0}]}"
    assert problems_of(text) == ["7:37: momentum has no level in this cell. It is there when optimizer: sgd."]


def test_a_conditional_axis_is_not_zipped(problems_of: Problems) -> None:
    text = TREE + "design: {zip: [momentum, nesterov]}"
    assert problems_of(text) == [
        "7:9: an axis with `when` cannot be zipped: some cells do not have it, got 'momentum'."
    ]


CLAIMS = {
    "design: one_at_a_time\nclaims: [{norm: none > batch, at: {lr: 1e-2}}]": "5:35: no two cells of the design "
    "differ in norm alone, none against batch at lr: 1e-2, got 'norm: none > batch, at: {lr: 1e-2}'. "
    "Add such cells to `design:`, or leave the claim out.",
    "design: one_at_a_time\nclaims: [{norm: none > batch, at: {lr: 1e-2, epochs: 2}}]": "5:35: the design has no "
    "cell of these levels, got 'lr: 1e-2, epochs: 2'. Add such cells to `design:`, or leave the claim out.",
    "design: {cells: [{norm: none, lr: 1e-2}, {norm: batch}]}\nclaims: [{norm: none > batch}]": "5:17: no two "
    "cells of the design differ in norm alone, none against batch, got 'norm: none > batch'. "
    "Add such cells to `design:`, or leave the claim out.",
    "exclude: [{norm: batch}]\nclaims: [{norm: none > batch}]": "5:17: no two cells of the design differ in norm "
    "alone, none against batch, got 'norm: none > batch'. Add such cells to `design:`, or leave the claim out.",
    "design: {zip: [lr, epochs]}\nclaims: [{lr: 1e-2 > 1e-3, at: {epochs: 2}}]": "5:32: no two cells of the "
    "design differ in lr and epochs alone, 1e-2 against 1e-3 at epochs: 2, "
    "got 'lr: 1e-2 > 1e-3, at: {epochs: 2}'. Add such cells to `design:`, or leave the claim out.",
}


@pytest.mark.parametrize(("text", "problem"), CLAIMS.items(), ids=CLAIMS)
def test_claims_that_the_design_cannot_judge(problems_of: Problems, text: str, problem: str) -> None:
    assert problems_of(AXES + text) == [problem]


def test_claims_that_the_design_can_judge(load: Load) -> None:
    for text in (
        "design: one_at_a_time\nclaims: [{norm: none > dyt}, {lr: 1e-2 < 1e-3, at: {norm: batch}}]",
        "design: {zip: [lr, epochs]}\nclaims: [{lr: 1e-2 > 1e-3}, {epochs: 2 < 100, at: {norm: dyt}}]",
        "exclude: [{norm: batch, lr: 1e-3}]\nclaims: [{norm: none > batch}, {text: words}]",
    ):
        assert load(AXES + text).claims
    conditional = "claims: [{optimizer: sgd > adam}, {momentum: 0 < 0.9}, {nesterov: true > false}]"
    assert len(load(TREE + conditional).claims) == 3


def test_claims_about_aliased_effects_are_refused(load: Load, problems_of: Problems) -> None:
    held = "claims: [{a: on > off, at: {b: 1}}]"
    cure = "Ask for a higher {fractional: {resolution: ...}}, or take `design: factorial`."
    assert problems_of(SWITCHES + "design: fractional\n" + held) == [
        "5:28: in this fraction the interaction of a x b cannot be told from that of c x d, "
        f"got 'a: on > off, at: {{b: 1}}'. {cure}"
    ]
    assert problems_of(SWITCHES + "design: fractional\nclaims: [{a: on > off, at: {b: 1, c: 2}}]") == [
        "5:28: a fraction tells what a level does at a level of one other axis, not of several, "
        f"got 'a: on > off, at: {{b: 1, c: 2}}'. {cure}"
    ]
    assert load(SWITCHES + "design: fractional\nclaims: [{a: on > off}]").claims
    three = SWITCHES.replace(", d: {path: batch_size, levels: [8, 4]}", "")
    assert problems_of(three + "design: {fractional: {resolution: 3}}\nclaims: [{a: on > off}]") == [
        f"5:14: in this fraction the effect of a cannot be told from that of b x c, got 'a: on > off'. {cure}"
    ]
