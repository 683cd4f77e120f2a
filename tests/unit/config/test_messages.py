"""Every mistake in a file, and the text a user sees for it."""

# ruff: noqa: E501  (texts are easier to compare unbroken)

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

HEAD: Final = "question: q\nbaseline: {dataset: {shapes: {size_px: 32}}, model: {unet: {width: 4}}}\n"
"""Two lines; what follows starts at line 3."""

Problems = Callable[..., list[str]]

STRUCTURE: Final = {
    "modle: 1": "3:1: there is no such key, got 'modle'.",
    "epochs: 1": "3:1: there is no such key, got 'epochs'. This field stands under `baseline:`.",
    "sedes: 1": "3:1: there is no such key, got 'sedes'. Did you mean 'seeds'?",
    "looks: 1": "3:1: there is no such key, got 'looks'. This key stands under `seeds:`.",
    "seeds: {start: 3, looks: [3]}": "3:8: the key `max` is missing. Seeds that a cell gets at most.",
    "seeds: {max: 3}": "3:8: the key `start` is missing. Seeds that every cell gets before the first look.",
    "seeds: {start: 3, max: 5, lok: 1}": "3:27: there is no such key, got 'lok'. Did you mean 'looks'?",
    "seeds: {start: 1, max: 4}": "3:16: start must be at least 2, got 1.",
    "seeds: {start: 2, max: 2}\naxes: {norm: [batch, none]}": "3:24: max must be larger than start (2): "
    "the first look is not the last, got 2.",
    "seeds: {start: 2, max: 9, looks: []}": "3:34: looks must not be empty, got [].",
    "seeds: {start: 2, max: 9, looks: [3, 9]}\naxes: {norm: [batch, none]}": "3:35: the first look is at start, "
    "which is 2, got 3.",
    "seeds: {start: 2, max: 9, looks: [2, 8]}\naxes: {norm: [batch, none]}": "3:38: the last look is at max, "
    "which is 9, got 8.",
    "seeds: {start: 2, max: 9, looks: [2, 5, 5, 9]}\naxes: {norm: [batch, none]}": "3:41: looks must rise, and 5 "
    "stands before, got 5.",
    "seeds: {start: 2, max: 4}": "3:1: looks need an axis with two levels or more: there is nothing to judge at "
    "them.",
    "seeds: {start: 2, max: 4}\nsearch: {space: {lr: {path: optimizer.lr, low: 1, high: 2}}, trials: 3}": "3:1: a "
    "search compares no arms, so it has no looks: give `seeds` as a count or a list.",
    "seeds: true": "3:8: seeds must be a count, a list of whole numbers or {start: ..., max: ...}, got True.",
    "seeds: 0": "3:8: seeds must be greater than 0, got 0.",
    "seeds: 1.5": "3:8: seeds must be a whole number, got 1.5.",
    "seeds: []": "3:8: seeds must not be empty, got [].",
    "seeds: [0, -1]": "3:12: seeds must be at least 0, got -1.",
    "seeds: [0, true]": "3:12: seeds must be a whole number, got True.",
    "seeds: [0, 1, 0]": "3:15: seeds must differ, got 0.",
    "design: factoral": "3:9: design must be one of the known words, got 'factoral'. "
    "Did you mean 'factorial'?",
    "design: 3": "3:9: design must be factorial, one_at_a_time, leave_one_out, fractional or a mapping such as "
    "{cells: [...]}, got 3.",
    "design: {cell: []}": "3:10: there is no such key, got 'cell'. Did you mean 'cells'?",
    "design: {fractional: {resolution: 2}}": "3:35: resolution must be at least 3, got 2.",
    "design: {fractional: {res: 4}}": "3:23: there is no such key, got 'res'.",
    "design: {union: [one_at_atime]}": "3:18: union must be one of the known words, got 'one_at_atime'. "
    "Did you mean 'one_at_a_time'?",
    "only: {norm: batch}": "3:7: only must be a list, got {'norm': 'batch'}.",
    "margin: -1": "3:9: margin must be greater than 0, got -1.",
    "margin: .nan": "3:9: margin must be a finite number, got nan.",
    "margin: true": "3:9: margin must be a number, got True.",
    "question: ''": "3:1: this key stands already in line 1, got 'question'.",
    "outcome: val_dice": "3:10: the outcome must be a test metric, got 'val_dice'. Did you mean 'test_dice'?",
    "objective: {metric: test_dice}": "3:21: weights and searches must not be selected by the images that judge "
    "them, got 'test_dice'. Select by val_dice; test images are looked at once (SB117).",
    "objective: {metric: test_hd95_px}": "3:21: weights and searches must not be selected by the images that judge "
    "them, got 'test_hd95_px'. Select by val_dice; test images are looked at once (SB117).",
    "objective: {metric: val_hd95_px}": "3:21: the objective must be a validation metric, got 'val_hd95_px'.",
    "objective: {metric: val_pooled_dice, direction: minimize}": "3:49: val_pooled_dice is to maximize, got 'minimize'.",
    "subgroups: [species]\noutcome: test_pooled_dice": "3:12: sub-groups need an outcome with values per test image, "
    "got 'test_pooled_dice'. Did you mean 'test_soft_dice'?",
    "objective: {metric: dice}": "3:21: the objective must be a validation metric, got 'dice'. "
    "Did you mean 'val_dice'?",
    "objective: {metric: val_loss, direction: maximize}": "3:42: val_loss is to minimize, got 'maximize'.",
    "objective: {direction: up}": "3:24: direction must be one of the known words, got 'up'.",
    "axes: [norm]": "3:7: axes must be a mapping, got ['norm'].",
    "axes: {norm: batch}": "3:14: norm must be a list of levels or a mapping with `levels`, got 'batch'.",
    "axes: {norm: []}": "3:14: norm must not be empty, got [].",
    "axes: {norm: {levels: {}}}": "3:23: levels must not be empty, got {}.",
    "axes: {norm: {levels: batch}}": "3:23: levels must be a list of values or a mapping of labels, got 'batch'.",
    "axes: {norm: {level: [batch]}}": "3:14: the key `levels` is missing.",
    "axes: {lr: {pth: optimizer.lr, levels: [1]}}": "3:13: there is no such key, got 'pth'. "
    "Did you mean 'path'?",
    "claims: {norm: a}": "3:9: claims must be a list, got {'norm': 'a'}.",
    "exclude: [norm]": "3:11: exclude must be a mapping, got 'norm'.",
    "scales: {small: {sedes: 3}}": "3:18: there is no such key, got 'sedes'. Did you mean 'seeds'?",
    "scales: {small: {baseline: {epoch: 3}}}": "3:29: there is no such key, got 'epoch'. "
    "Did you mean 'epochs'?",
    "scales: {small: {baseline: {norm: bach}}}": "3:35: there is no norm of this name, got 'bach'. "
    "Did you mean 'batch'? segbench list norm.",
}


@pytest.mark.parametrize(("text", "problem"), STRUCTURE.items(), ids=STRUCTURE)
def test_mistakes_in_the_structure(problems_of: Problems, text: str, problem: str) -> None:
    assert problem in problems_of(HEAD + text)


FIELD_VALUES: Final = {
    "batch_size: true": "4:15: batch_size must be a whole number, got True.",
    "batch_size: 0": "4:15: batch_size must be greater than 0, got 0.",
    "epochs: 1.5": "4:11: epochs must be a whole number, got 1.5.",
    "epochs: '3'": "4:11: epochs must be a whole number, got '3'.",
    "grad_clip: -1": "4:14: grad_clip must be greater than 0, got -1.",
    "precision: fp16": "4:14: precision must be one of the known words, got 'fp16'. Did you mean 'bf16'?",
    "early_stopping: {}": "4:19: the key `patience` is missing.",
    "engine: my_missing_pkg:fit": "4:11: there is no Python module of this import path, got 'my_missing_pkg'. "
    "Write package.module:Name; the package must be installed or stand beside experiments/.",
    "max_images: 0": "4:15: max_images must be greater than 0, got 0.",
    "margin: 1": "4:3: there is no such key, got 'margin'. This key stands at the top of the file.",
    "modle: unet": "4:3: there is no such key, got 'modle'. Did you mean 'model'?",
    "norm: bach": "4:9: there is no norm of this name, got 'bach'. Did you mean 'batch'? segbench list norm.",
    "norm: 3": "4:9: norm must be a variant's name or {name: {knob: value}}, got 3. segbench list norm.",
    "norm: {batch: {}, group: {}}": "4:9: norm must be one variant; indent its knobs under its name, "
    "got 'batch, group'. segbench list norm.",
    "norm: {group: {grops: 4}}": "4:18: the norm group has no such knob, got 'grops'. Did you mean 'groups'? "
    "segbench list norm group.",
    "mix: {none: 3}": "4:15: the mix none has no knobs, got 3.",
    "norm: my_missing_pkg:Norm": "4:9: there is no Python module of this import path, got 'my_missing_pkg'. "
    "Write package.module:Name; the package must be installed or stand beside experiments/.",
    "model: {unet: {width: true}}": "4:25: width must be a whole number, got True.",
    "model: {unet: {width: 0}}": "4:25: width must be at least 1, got 0.",
    "model: {unet: {up: bilinea}}": "4:22: up must be one of the known words, got 'bilinea'. "
    "Did you mean 'bilinear'?",
    "model: {resnet34_unet: {blocks: 3}}": "4:35: blocks must be a list, got 3.",
    "optimizer: {adam: {lr: .inf}}": "4:26: lr must be finite, got inf.",
    "optimizer: {adam: {lr: 0}}": "4:26: lr must be greater than 0, got 0.",
    "optimizer: {adam: {lr: 1e-3x}}": "4:26: lr must be a number, got '1e-3x'.",
    "optimizer: {adam: {beta1: 1}}": "4:29: beta1 must be less than 1, got 1.",
    "loss: {}": "4:9: loss must be a term's name or a mapping of terms such as {bce: 1, dice: 1}, got {}.",
    "loss: [bce]": "4:9: loss must be a term's name or a mapping of terms such as {bce: 1, dice: 1}, "
    "got ['bce'].",
    "loss: {bce: 1, dise: 1}": "4:18: there is no loss of this name, got 'dise'. Did you mean 'dice'?"
    " segbench list loss.",
    "loss: {bce: 0}": "4:15: the weight of a loss term must not be zero, got 0.",
    "loss: {bce: {weight: 0.0}}": "4:24: the weight of a loss term must not be zero, got 0.0.",
    "loss: {bce: .nan}": "4:15: weight must be finite, got nan.",
    "loss: {bce: -.inf}": "4:15: weight must be finite, got -inf.",
    "loss: {bce: {weight: .inf}}": "4:24: weight must be finite, got inf.",
    "loss: {bce: {label_smoothing: 1}}": "4:33: label_smoothing must be less than 1, got 1.",
    "loss: {bce: {pos_weight: 0}}": "4:28: pos_weight must be greater than 0, got 0.",
    "loss: {dice: {smooth: 0}}": "4:25: smooth must be greater than 0, got 0.",
    "loss: {dice: {smooth_in: above}}": "4:28: smooth_in must be one of the known words, got 'above'.",
    "loss: {focal: {gamma: -1}}": "4:25: gamma must be at least 0, got -1.",
    "loss: {focal: {alpha: 1}}": "4:25: alpha must be less than 1, got 1.",
    "loss: {focal_tversky: {gamma: 0.75}}": "4:33: gamma must be at least 1, got 0.75.",
    "loss: {tversky: {alpha: -0.1}}": "4:27: alpha must be at least 0, got -0.1.",
    "loss: {bce: true}": "4:15: weight must be a number, got True.",
    "loss: {bce: big}": "4:15: the loss term bce must be a weight or a mapping of knobs, got 'big'.",
    "loss: {dice: {smoth: 1}}": "4:17: the loss term dice has no such knob, got 'smoth'. "
    "Did you mean 'smooth'? segbench list loss dice.",
    "augment: []": "4:12: a list of transforms must not be empty. Write `augment: none`.",
    "augment: {transforms: {steps: 3}}": "4:33: steps must be a list of transforms, got 3.",
    "model: {unet: {width: 4, depth: 6}}": "3:27: unet takes sizes that are multiples of 64, got 32. "
    "The nearest are 64 and 128 (SB109).",
}


@pytest.mark.parametrize(("text", "problem"), FIELD_VALUES.items(), ids=FIELD_VALUES)
def test_mistakes_in_the_baseline(problems_of: Problems, text: str, problem: str) -> None:
    assert problems_of(f"question: q\nbaseline:\n  dataset: {{shapes: {{size_px: 32}}}}\n  {text}\n") == [
        problem.replace("3:27:", "3:12:")
    ]


def test_a_baseline_needs_a_dataset(problems_of: Problems) -> None:
    assert problems_of("question: q\nbaseline:\n  epochs: 1\n") == [
        "3:3: the key `dataset` is missing. `segbench list dataset` shows the data sets."
    ]


def test_a_file_needs_a_question_and_a_baseline(problems_of: Problems) -> None:
    assert problems_of("seeds: 1\n") == [
        "1:1: the key `question` is missing. Say in one sentence what the experiment asks.",
        "1:1: the key `baseline` is missing. It needs at least a dataset.",
    ]


LEVELS: Final = {
    "axes: {nrom: [batch, none]}": "3:8: an axis that is no field and has no `path:` needs levels such as "
    "{label: {norm: none}}, got 'nrom'. Did you mean 'norm'?",
    "axes: {norm: [batch, bach]}": "3:22: there is no norm of this name, got 'bach'. Did you mean 'batch'?"
    " segbench list norm.",
    "axes: {norm: [batch, none, batch]}": "3:28: two levels have one label, got 'batch'. "
    "Give the levels as a mapping: {levels: {label: value}}.",
    "axes: {norm: {levels: {a: batch, b: none, a: dyt}}}": "3:43: this key stands already in line 3, got 'a'.",
    "axes: {norm: {levels: {'': batch}}}": "3:24: a level's label must not be empty, got ''.",
    "axes: {norm: {levels: {a: batch, b: {batch: {eps: 1e-5}}}}}": "3:34: the levels 'a' and 'b' of norm are "
    "one configuration. Take one of them out.",
    "axes: {optimizer: [adam, {adam: {lr: 0.001}}]}": "3:26: the levels 'adam' and 'adam(lr=0.001)' of "
    "optimizer are one configuration. Take one of them out.",
    "axes: {loss: {levels: {a: {bce: 1, dice: 1}, b: {dice: 1, bce: 1.0}}}}": "3:46: the levels 'a' and 'b' "
    "of loss are one configuration. Take one of them out.",
    "axes: {norm: [none, dyt]}": "3:8: no level of norm is what `baseline:` of the experiment holds."
    " Name the level to compare with: {levels: ..., baseline: none}.",
    "axes: {norm: {levels: [none, dyt], baseline: nnoe}}": "3:46: norm has no level of this label, "
    "got 'nnoe'. Did you mean 'none'?",
    "axes: {norm: [batch, none], m: {levels: {a: {norm: batch}, b: {norm: dyt}}}}": "3:64: the axis norm sets "
    "norm too; one axis may set it.",
    "axes: {lr: {path: optimiser.lr, levels: [1e-3]}}": "3:19: there is no such field, got 'optimiser'. "
    "Did you mean 'optimizer'?",
    "axes: {lr: {path: optimizer.rate, levels: [1e-3, 1]}}": "3:19: the optimizer adam has no such knob, "
    "got 'rate'. segbench list optimizer adam.",
    "axes: {lr: {path: optimizer., levels: [1e-3]}}": "3:19: a knob's path is FIELD.KNOB, got 'optimizer.'.",
    "axes: {lr: {path: optimizer.lr, levels: [1e-3, -1]}}": "3:48: lr must be greater than 0, got -1.",
    "axes: {b: {path: batch_size.x, levels: [1]}}": "3:18: batch_size has no knobs, got 'batch_size.x'.",
    "axes: {w: {path: loss.bce, levels: [1]}}": "3:18: write loss.TERM.KNOB, got 'loss.bce'.",
    "axes: {w: {path: loss.tversky.alpha, levels: [1]}}": "3:18: the loss has no term of this name, "
    "got 'tversky'.",
    "axes: {w: {path: loss.bce.weight, levels: [1, 0]}}": "3:47: the weight of a loss term must not be zero, "
    "got 0.",
    "axes: {w: {path: loss.bce.weight, levels: [1, .nan]}}": "3:47: weight must be finite, got nan.",
    "axes: {w: {path: loss.bce.weight, levels: [1, .inf]}}": "3:47: weight must be finite, got inf.",
    "axes: {p: {path: early_stopping.patence, levels: [1]}}": "3:18: early_stopping has no such key, "
    "got 'patence'. Did you mean 'patience'?",
    "axes: {a: {levels: {x: {nrm: batch}}}}": "3:25: there is no such field, got 'nrm'. Did you mean 'norm'?",
    "axes: {axis:seed: {path: epochs, levels: [100, 1]}}": "3:8: a name must not begin with this: files write `axis:NAME` where a name is taken, got 'axis:seed'.",
    "axes: {size: {path: dataset.size_px, levels: [32, 40]}}": "3:51: unet takes sizes that are multiples of "
    "16, got 40. The nearest are 32 and 48 (SB109).",
    "axes: {depth: {path: model.depth, levels: [4, 6]}}": "3:47: unet takes sizes that are multiples of 64, "
    "got 32. The nearest are 64 and 128 (SB109).",
    # a knob that only one of the networks has
    "axes: {model: [{unet: {width: 4}}, resnet34_unet], d: {path: model.depth, levels: [4, 3]}}": "3:62: "
    "the model resnet34_unet has no such knob, got 'depth'. Did you mean 'width'?"
    " segbench list model resnet34_unet.",
    # the text of two cells would be the same
    "axes: {a: {levels: {x: {norm: batch}, 'x, y': {norm: dyt}}}, b: {levels: {'y, z': {epochs: 100}, "
    "z: {epochs: 1}}}}": "3:1: two cells have one name, got 'x, y, z'. Change a label.",
}


@pytest.mark.parametrize(("text", "problem"), LEVELS.items(), ids=LEVELS)
def test_mistakes_in_axes(problems_of: Problems, text: str, problem: str) -> None:
    assert problems_of(HEAD + text) == [problem]


AXES: Final = HEAD + "axes: {norm: [batch, none], lr: {path: optimizer.lr, levels: [1e-3, 1e-2]}}\n"

DESIGNS: Final = {
    "exclude: [{nrm: none}]": "4:12: there is no such axis, got 'nrm'. Did you mean 'norm'?",
    "exclude: [{norm: dyt}]": "4:18: norm has no level of this label, got 'dyt'.",
    "exclude: [{norm: [none, non]}]": "4:25: norm has no level of this label, got 'non'. "
    "Did you mean 'none'?",
    "exclude: [{norm: none}, {norm: none, lr: 1e-2}]": "4:25: no cell is excluded by this, "
    "got {'norm': 'none', 'lr': 0.01}.",
    "exclude: [{norm: [batch, none]}]": "4:11: every cell is excluded, got {'norm': ['batch', 'none']}.",
    "exclude: [{norm: []}]": "4:18: norm must not be empty, got [].",
    "exclude: [{norm: {a: 1}}]": "4:18: norm must be a level's label, got {'a': 1}.",
    "design: {cells: []}": "4:17: cells must not be empty, got [].",
    "design: {cells: [{norm: dyt}]}": "4:25: norm has no level of this label, got 'dyt'.",
    "design: {cells: [{nrm: none}]}": "4:19: there is no such axis, got 'nrm'. Did you mean 'norm'?",
    "design: {cells: [{norm: none}, {norm: none, lr: 0.001}]}": "4:32: the design has this cell twice, "
    "got 'none, 1e-3'.",
}


@pytest.mark.parametrize(("text", "problem"), DESIGNS.items(), ids=DESIGNS)
def test_mistakes_in_designs(problems_of: Problems, text: str, problem: str) -> None:
    assert problems_of(AXES + text) == [problem]


CLAIMS: Final = {
    "{nrm: batch > none}": "4:11: there is no such axis, got 'nrm'. Did you mean 'norm'?",
    "{norm: batch > non}": "4:17: norm has no level of this label, got 'non'. Did you mean 'none'?",
    "{norm: bach>none}": "4:17: norm has no level of this label, got 'bach'. Did you mean 'batch'?",
    "{norm: batch}": "4:17: a claim compares two levels of norm: A > B, A < B, A == B or A / B, got 'batch'. "
    "Did you mean 'batch'?",
    "{norm: batch > batch}": "4:17: a claim compares two levels, got 'batch > batch'.",
    "{lr: 1e-3 > 0.001}": "4:15: a claim compares two levels, got '1e-3 > 0.001'.",
    "{norm: batch == none}": "4:17: == needs a margin, got 'batch == none'. "
    "Add `margin:`, the difference below which levels count as equal.",
    "{norm: batch == none, metric: epoch_time_s}": "4:17: == compares scores within the margin; write A / B "
    "with between: for epoch_time_s, got 'batch == none'.",
    "{norm: batch > none, metric: test_dise}": "4:39: there is no such metric, got 'test_dise'. "
    "Did you mean 'test_dice'?",
    "{norm: batch > none, on: new_image}": "4:35: on must be one of the known words, got 'new_image'. "
    "Did you mean 'new_images'?",
    "{norm: batch > none, on: new_images, metric: val_dice}": "4:35: new_images needs a metric of test "
    "images, got 'val_dice'. Did you mean 'test_dice'?",
    "{norm: batch > none, on: new_images, metric: test_pooled_dice}": "4:35: new_images needs values per test image, "
    "and pooled_dice is one number of the whole set, got 'test_pooled_dice'. Did you mean 'test_soft_dice'?",
    "{norm: batch > none, at: {norm: none}}": "4:36: the claim is about this axis already, got 'norm'.",
    "{norm: batch > none, at: {rl: 1e-3}}": "4:36: there is no such axis, got 'rl'.",
    "{norm: batch > none, at: {lr: 1e-4}}": "4:40: lr has no level of this label, got '1e-4'. "
    "Did you mean '1e-3'?",
    "{norm: batch > none, at: lr}": "4:35: at must be a mapping of levels such as {model: unet}, got 'lr'.",
    "{norm: batch > none, between: [1, 2]}": "4:40: between: goes with A / B, got [1, 2].",
    "{norm: batch / none}": "4:10: A / B needs between: [low, high], got 'norm: batch / none'.",
    "{norm: batch / none, between: [2, 1]}": "4:40: between must be [low, high] with low < high, got [2, 1].",
    "{norm: batch / none, between: [1, true]}": "4:40: between must be [low, high] with low < high, "
    "got [1, True].",
    "{norm: batch > none, lr: 1e-3 > 1e-2}": "4:10: a claim is about one axis: {AXIS: A > B}, "
    "got 'norm, lr'. Did you mean 'norm'? Quote a comparison whose labels hold commas.",
    "{metric: test_dice}": "4:10: a claim is about one axis: {AXIS: A > B}, got 'metric: test_dice'.",
    "{norm: batch > none, among: cat}": "4:38: among must be a mapping such as {species: cat} or "
    "{tone_likeness: high}, got 'cat'.",
    "{norm: batch > none, among: {species: cat}}": "4:39: a claim's sub-group must be listed under "
    "`subgroups:`, got 'species'.",
    "{text: ''}": "4:17: text must be text that is not empty, got ''.",
    "{text: words, norm: batch > none}": "4:24: a claim of `text` has no other key, got 'norm'.",
}


@pytest.mark.parametrize(("claim", "problem"), CLAIMS.items(), ids=CLAIMS)
def test_mistakes_in_claims(problems_of: Problems, claim: str, problem: str) -> None:
    assert problems_of(f"{AXES}claims: [{claim}]") == [problem]


@pytest.mark.parametrize(
    ("claim", "problem"),
    {
        "{norm: batch > none, among: {irregularity: large}}": "5:53: irregularity is divided into thirds, "
        "got 'large'.",
        "{norm: batch > none, among: {irregularity: [low]}}": "5:53: among takes one label, got ['low'].",
        "{norm: batch > none, among: {species: cat}, metric: val_dice}": "5:38: among needs a metric of test "
        "images, got 'val_dice'. Did you mean 'test_dice'?",
        "{norm: batch > none, among: {}}": "5:38: among must be a mapping such as {species: cat} or "
        "{tone_likeness: high}, got {}.",
    }.items(),
)
def test_mistakes_in_the_sub_group_of_a_claim(problems_of: Problems, claim: str, problem: str) -> None:
    assert problems_of(f"{AXES}subgroups: [species, irregularity]\nclaims: [{claim}]") == [problem]


def test_a_sub_group_listed_twice(problems_of: Problems) -> None:
    problem = "4:22: a sub-group is listed twice, got 'species'."
    assert problems_of(f"{AXES}subgroups: [species, species]") == [problem]


SPACES: Final = {
    "space: {}": "4:10: space must not be empty, got {}.",
    "space: {lr: {path: optimizer.lr, low: 1e-3}}": "4:11: a parameter needs `low` and `high`, or `levels`, "
    "got 'lr'.",
    "space: {lr: {low: 1, high: 2}}": "4:11: a parameter that is no field needs `path:`, got 'lr'.",
    "space: {lr: {path: optimizer.rl, low: 1, high: 2}}": "4:22: the optimizer adam has no such knob, "
    "got 'rl'. segbench list optimizer adam.",
    "space: {lr: {path: optimizer.lr, low: 2, high: 1}}": "4:50: high must be greater than low, got 1.",
    "space: {lr: {path: optimizer.lr, low: 0, high: 1}}": "4:41: lr must be greater than 0, got 0.",
    "space: {wd: {path: optimizer.weight_decay, low: 0, high: 1, log: true}}": "4:51: log: true needs "
    "low > 0, got 0.",
    "space: {lr: {path: optimizer.lr, low: 1, high: 2, log: true, step: 1}}": "4:70: step: goes without "
    "log: true, got 1.",
    "space: {w: {path: model.width, low: 1, high: 8, step: 1.5}}": "4:57: model.width takes whole numbers, "
    "and so must step, got 1.5.",
    "space: {norm: [batch, bach]}": "4:25: there is no norm of this name, got 'bach'. Did you mean 'batch'?"
    " segbench list norm.",
    "space: {norm: {levels: [batch, none], low: 1}}": "4:41: a parameter has levels or bounds, not both, "
    "got 'norm'.",
    "space: {a: {path: epochs, low: 1, high: 3}, epochs: [1, 2]}": "4:47: the parameter a sets epochs too; "
    "one may set it.",
    "space: {search:n: {path: epochs, low: 1, high: 3}}": "4:11: a name must not begin with this: files write `axis:NAME` where a name is taken, got 'search:n'.",
    "space: {epochs: [1, 2]}\n  sampler: tp": "5:12: Optuna has no such sampler that a file can name, got 'tp'. "
    "Did you mean 'tpe'?",
    "space: {epochs: [1, 2]}\n  sampler: {tpe: {}, random: {}}": "5:12: must name one, got 'tpe, random'.",
    "space: {epochs: [1, 2]}\n  pruner: {median: {warmup: 1}}": "5:21: there is no such key, got 'warmup'. "
    "Did you mean 'warmup_epochs'?",
}


@pytest.mark.parametrize(("text", "problem"), SPACES.items(), ids=SPACES)
def test_mistakes_in_search_spaces(problems_of: Problems, text: str, problem: str) -> None:
    assert problems_of(f"{HEAD}search:\n  {text}\n  trials: 5") == [problem]


def test_a_search_stands_alone(problems_of: Problems) -> None:
    text = AXES + "search: {space: {epochs: [1, 2]}, trials: 2}"
    assert problems_of(text) == ["3:1: `axes` and `search` exclude each other."]


def test_all_problems_come_at_once_in_the_order_of_the_file(problems_of: Problems) -> None:
    text = """\
    question: q
    modle: unet
    baseline:
      dataset: {shape: {size_px: 32}}
      batch_size: true
      norm: bach
      model: {unet: {widht: 3, up: x}}
      loss: {bce: {weight: 0}, dise: 1}
    axes:
      init: [default, hee]
      lr: {path: optimizer.lx, levels: [1e-3]}
    seeds: [0, 0]
    claims:
      - {init: default > he}
      - {inti: default > he}
    margin: x
    """
    assert [problem.split(",")[0] for problem in problems_of(text)] == [
        "2:1: there is no such key",
        "4:13: there is no dataset of this name",
        "5:15: batch_size must be a whole number",
        "6:9: there is no norm of this name",
        "7:18: the model unet has no such knob",
        "7:32: up must be one of the known words",
        "8:24: the weight of a loss term must not be zero",
        "8:28: there is no loss of this name",
        "10:19: there is no init of this name",
        "11:14: the optimizer adam has no such knob",
        "12:12: seeds must differ",
        "14:12: init has no level of this label",
        "15:6: there is no such axis",
        "16:9: margin must be a number",
    ]


def test_a_bound_is_tried_on_the_baseline(problems_of: Problems) -> None:
    text = HEAD + "search:\n  space: {up: {path: model.up, low: 1, high: 8}}\n  trials: 5"
    assert problems_of(text) == [
        "4:37: up must be one of the known words, got 1.",
        "4:46: up must be one of the known words, got 8.",
    ]


def test_a_misspelt_key_and_the_missing_one_are_both_named(problems_of: Problems) -> None:
    text = "question: q\nbaseline: {dataset: shapes, early_stopping: {patienc: 3}}\n"
    assert problems_of(text) == [
        "2:45: the key `patience` is missing.",
        "2:46: there is no such key, got 'patienc'. Did you mean 'patience'?",
    ]


def test_steps_of_an_augmentation_have_their_own_place(problems_of: Problems) -> None:
    text = """\
    question: q
    baseline:
      dataset: {shapes: {size_px: 32}}
      augment:
        - HorizontalFlip
        - HorizontalFlop
        - {Rotate: {limt: 30}}
    """
    found = problems_of(text)
    assert [problem.split(", got")[0] for problem in found] == [
        "6:7: there is no transform of this name",
        "7:7.Rotate: there is no argument of this name",
    ]
    assert "Did you mean 'HorizontalFlip'?" in found[0]
    assert "Did you mean 'limit'?" in found[1]
