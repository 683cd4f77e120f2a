from __future__ import annotations

from collections.abc import Callable

import pytest
from messages import said

from segbench.config.axes import label_of
from segbench.config.document import Problems
from segbench.config.expand import apply_parameters, expand
from segbench.config.experiment import Cell, Claim, Experiment, SearchParameter
from segbench.errors import ExperimentError

Load = Callable[..., Experiment]

HEAD = "question: q\nbaseline: {dataset: {shapes: {size_px: 32}}, model: {unet: {width: 4}}}\n"


@pytest.mark.parametrize(
    ("level", "label"),
    [
        ("1e-4", "1e-4"),
        ("batch", "batch"),
        ("'a b'", "a b"),
        ("null", "null"),
        ("~", "~"),
        ("true", "true"),
        ("{unet: {width: 32}}", "unet(width=32)"),
        ("{unet: {width: 32, up: bilinear}}", "unet(width=32, up=bilinear)"),
        ("{unet: {}}", "unet"),
        ("{unet: }", "unet"),
        ("{adam: 1e-4}", "adam(1e-4)"),
        ("{bce: 1, dice: 1}", "bce+dice"),
        ("{bce: 0.5, tversky: {alpha: .3}}", "bce(0.5)+tversky(alpha=.3)"),
        ("{resnet34_unet: {blocks: [1, 1]}}", "resnet34_unet(blocks=[1, 1])"),
        ("[HorizontalFlip, {Rotate: {limit: 30}}]", "HorizontalFlip+Rotate(limit=30)"),
    ],
)
def test_labels_of_levels_in_a_list(level: str, label: str) -> None:
    from segbench.config.document import parse

    assert label_of(parse(level, "f", Problems())) == label


def test_an_axis_named_after_a_field_has_values(load: Load) -> None:
    found = load(HEAD + "axes: {norm: [batch, {group: {groups: 2}}]}")
    assert [(level.label, level.changes) for level in found.axes[0].levels] == [
        ("batch", {"norm": "batch"}),
        ("group(groups=2)", {"norm": {"group": {"groups": 2}}}),
    ]
    assert [cell.config.norm.name for cell in found.cells] == ["batch", "group"]
    assert found.cells[1].config.norm.knobs["groups"] == 2


def test_an_axis_with_a_path_has_values_of_the_path(load: Load) -> None:
    found = load(
        HEAD
        + "axes: {lr: {path: optimizer.lr, levels: [1e-4, 0.001]}, length: {path: epochs, levels: [100, 2]}}"
    )
    assert found.axis("lr").labels == ("1e-4", "0.001")
    assert found.axis("lr").baseline == "0.001"  # the level that changes nothing
    assert [(c.config.optimizer.knobs["lr"], c.config.epochs) for c in found.cells] == [
        (1e-4, 100),
        (1e-4, 2),
        (1e-3, 100),
        (1e-3, 2),
    ]


def test_any_other_axis_has_patches(load: Load) -> None:
    found = load(
        HEAD + "axes: {recipe: {levels: {off: {augment: none}, on: {augment: flips, optimizer.lr: 1e-2}}}}"
    )
    off, on = found.cells
    assert (off.config.augment.name, off.config.optimizer.knobs["lr"]) == ("none", 1e-3)
    assert (on.config.augment.name, on.config.optimizer.knobs["lr"]) == ("flips", 1e-2)
    assert found.axes[0].baseline == "off"


def test_whole_fields_replace_and_paths_apply_afterwards(load: Load) -> None:
    found = load(
        HEAD + "axes: {lr: {path: optimizer.lr, levels: [1e-3, 0.5]}, "
        "optimizer: [adam, {sgd: {lr: 0.1, momentum: 0.5}}]}"
    )
    sgd = found.cells[3].config.optimizer
    assert (sgd.name, sgd.knobs["lr"], sgd.knobs["momentum"]) == ("sgd", 0.5, 0.5)


def test_paths_reach_loss_terms_and_early_stopping(load: Load) -> None:
    found = load(
        "question: q\nbaseline: {dataset: shapes, loss: {bce: 1, tversky: {alpha: 0.5}}}\n"
        "axes:\n  alpha: {path: loss.tversky.alpha, levels: [0.5, 0.9]}\n"
        "  weight: {path: loss.bce.weight, levels: [1, 2]}\n"
        "  patience: {path: early_stopping.patience, levels: [3, 4], baseline: 3}\n"
    )
    last = found.cells[-1].config
    assert (last.loss[1].knobs["alpha"], last.loss[0].knobs["weight"]) == (0.9, 2.0)
    assert last.early_stopping is not None
    assert last.early_stopping.patience == 4


def test_the_named_baseline_level_counts(load: Load) -> None:
    found = load(HEAD + "axes: {lr: {path: optimizer.lr, levels: [1e-5, 1e-4], baseline: 0.0001}}")
    assert found.axes[0].baseline == "1e-4"


def test_cells_come_in_a_fixed_order_and_seeds_vary_slowest(load: Load) -> None:
    found = load(
        HEAD
        + "axes: {norm: [batch, none], flips: {levels: {off: {augment: none}, on: {augment: flips}}}}\n"
        + "seeds: [3, 1]"
    )
    assert [cell.label for cell in found.cells] == ["batch, off", "batch, on", "none, off", "none, on"]
    assert [(r.cell.label, r.seed, r.fold) for r in expand(found)][3:5] == [
        ("none, on", 3, 0),
        ("batch, off", 1, 0),
    ]
    assert len(expand(found)) == 8


def test_folds_stand_between_seeds_and_cells(load: Load) -> None:
    text = HEAD.replace("{dataset", "{split: {folds: 3}, dataset")
    found = load(text + "axes: {split: [{folds: 3}, course]}\nseeds: 2")
    assert found.num_folds == 3
    assert [(r.seed, r.fold, r.cell.label) for r in expand(found)] == [
        (seed, fold, label)
        for seed in (0, 1)
        for fold in range(3)
        for label in ("folds(3)", "course")
        if fold == 0 or label != "course"
    ]


def test_an_experiment_without_axes_has_its_baseline(load: Load) -> None:
    found = load(HEAD)
    assert [(cell.label, cell.levels, cell.config) for cell in found.cells] == [
        ("baseline", {}, found.baseline)
    ]
    assert found.seeds == (0, 1, 2)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("exclude: [{norm: none, lr: 0.01}]", ["batch, 1e-3", "batch, 1e-2", "none, 1e-3"]),
        ("exclude: [{norm: [none, dyt], lr: 1e-2}]", ["batch, 1e-3", "batch, 1e-2", "none, 1e-3"]),
        ("exclude: [{norm: none}, {lr: 1e-2}]", ["batch, 1e-3"]),
        ("design: factorial", ["batch, 1e-3", "batch, 1e-2", "none, 1e-3", "none, 1e-2"]),
        ("design: {cells: [{norm: none}, {lr: 1e-2}]}", ["none, 1e-3", "batch, 1e-2"]),
    ],
)
def test_designs(load: Load, text: str, labels: list[str]) -> None:
    axes = "axes: {norm: [batch, none], lr: {path: optimizer.lr, levels: [1e-3, 1e-2]}}\n"
    if "dyt" in text:
        axes = axes.replace("none]", "none, dyt]")
        labels = [*labels, "dyt, 1e-3"]
    assert [cell.label for cell in load(HEAD + axes + text).cells] == labels


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        (
            "norm: a b > none",
            Claim(source="norm: a b > none", axis="norm", left="a b", op=">", right="none"),
        ),
        (
            "norm: none<a b",
            Claim(source="norm: none<a b", axis="norm", left="none", op="<", right="a b"),
        ),
        (
            "norm: x > y / none, between: [0.5, 2]",
            Claim(
                source="norm: x > y / none, between: [0.5, 2]",
                axis="norm",
                left="x > y",
                op="/",
                right="none",
                between=(0.5, 2.0),
            ),
        ),
        (
            "norm: none == x > y, at: {lr: 0.001}, on: new_images, metric: test_iou_last",
            Claim(
                source="norm: none == x > y, at: {lr: 0.001}, on: new_images, metric: test_iou_last",
                axis="norm",
                left="none",
                op="==",
                right="x > y",
                at={"lr": "1e-3"},
                on="new_images",
                metric="test_iou_last",
            ),
        ),
        (
            "norm: none > x, metric: instability",
            Claim(
                source="norm: none > x, metric: instability",
                axis="norm",
                left="none",
                op=">",
                right="x",
                metric="instability",
            ),
        ),
        ("lr: 0.001 > 1e-2", Claim(source="lr: 0.001 > 1e-2", axis="lr", left="1e-3", op=">", right="1e-2")),
        (
            "text: 'It over-fits: soon'",
            Claim(source="text: It over-fits: soon", text="It over-fits: soon"),
        ),
    ],
)
def test_claims(load: Load, text: str, claim: Claim) -> None:
    axes = (
        "axes:\n  norm: {levels: {a b: batch, none: none, x > y: dyt, x: group}}\n"
        "  lr: {path: optimizer.lr, levels: [1e-3, 1e-2]}\n"
    )
    assert load(f"{HEAD}{axes}margin: 0.01\nclaims: [{{{text}}}]").claims == (claim,)


def test_a_claim_is_about_the_outcome_unless_it_says_otherwise(load: Load) -> None:
    text = (
        HEAD
        + "axes: {norm: [batch, none]}\noutcome: test_iou\n"
        + "claims:\n  - norm: batch > none\n    on: new_images"
    )
    assert load(text).claims == (
        Claim(
            source="norm: batch > none, on: new_images",
            axis="norm",
            left="batch",
            op=">",
            right="none",
            metric="test_iou",
            on="new_images",
        ),
    )


SEARCH = HEAD + (
    "search:\n  space:\n    lr: {path: optimizer.lr, low: 1e-5, high: 1, log: true}\n"
    "    width: {path: model.width, low: 4, high: 8, step: 2}\n    norm: [batch, {group: {groups: 2}}]\n"
    "    recipe: {levels: {off: {augment: none}, on: {augment: flips, epochs: 3}}}\n"
    "  sampler: {tpe: {seed: 7}}\n  pruner: {median: {warmup_epochs: 5}}\n  trials: 20\nseeds: 1\n"
)


def test_a_search_space(load: Load) -> None:
    found = load(SEARCH)
    assert found.cells == ()
    assert found.search is not None
    lr, width, norm, recipe = found.search.parameters
    assert lr == SearchParameter(name="lr", path="optimizer.lr", low=1e-5, high=1.0, log=True)
    assert width == SearchParameter(
        name="width", path="model.width", low=4.0, high=8.0, step=2.0, is_integer=True
    )
    assert (norm.path, [level.label for level in norm.levels]) == ("norm", ["batch", "group(groups=2)"])
    assert recipe.levels[1].changes == {"augment": "flips", "epochs": 3}
    assert (found.search.sampler, found.search.sampler_seed, found.search.num_trials) == ("tpe", 7, 20)
    assert (found.search.pruner, found.search.pruner_warmup_epochs) == ("median", 5)


def test_names_alone_choose_sampler_and_pruner(load: Load) -> None:
    found = load(
        HEAD + "search: {space: {epochs: {low: 1, high: 3}}, sampler: random, pruner: hyperband, trials: 2}"
    )
    assert found.search is not None
    assert (found.search.sampler, found.search.sampler_seed) == ("random", 0)
    assert (found.search.pruner, found.search.pruner_warmup_epochs) == ("hyperband", 0)


def test_a_proposal_becomes_a_cell(load: Load) -> None:
    found = load(SEARCH)
    cell = apply_parameters(found, {"lr": 0.25, "width": 6.0, "norm": "group(groups=2)", "recipe": "on"})
    assert isinstance(cell, Cell)
    assert cell.levels == {"lr": "0.25", "width": "6", "norm": "group(groups=2)", "recipe": "on"}
    config = cell.config
    assert (config.optimizer.knobs["lr"], config.model.knobs["width"], config.epochs) == (0.25, 6, 3)
    assert (config.norm.name, config.norm.knobs["groups"], config.augment.name) == ("group", 2, "flips")
    assert found.baseline.epochs == 100


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"lr": 0.1}, "x: search: the proposal lacks the parameter norm."),
        (
            {"lr": 0.1, "norm": "dyt"},
            "x: search: norm has no level of this label, got 'dyt'.",
        ),
        ({"lr": -1.0, "norm": "none"}, "x: search: lr must be greater than 0, got -1.0."),
        (
            {"lr": 0.1, "norm": "none", "momentum": 1},
            "x: search: the space has no such parameter, got 'momentum'.",
        ),
    ],
)
def test_a_proposal_outside_the_space(load: Load, parameters: dict[str, object], problem: str) -> None:
    text = "search: {space: {lr: {path: optimizer.lr, low: 1e-5, high: 1}, norm: [batch, none]}, trials: 2}"
    with pytest.raises(ExperimentError) as caught:
        apply_parameters(load(HEAD + text), parameters)
    assert tuple(map(said, caught.value.problems)) == (problem,)
