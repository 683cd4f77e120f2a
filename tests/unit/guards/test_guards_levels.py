"""Levels that build one function, and norms that an axis leaves in place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from segbench.config.trial import TrialConfig
from segbench.guards import levels
from segbench.guards.finding import Finding, Severity
from segbench.guards.probes import Probes

Probe = Callable[..., Probes]
Write = Callable[[str, str, str], None]

HARD = """
from torch import nn

class Loss(nn.Module):
    def forward(self, logits, target, valid=None):
        return 1 - ((logits > 0) == (target > 0.5)).float().mean()

@variant
def hard():
    \"\"\"A loss without gradient.\"\"\"
    return Loss()
"""

MIXED_NORMS = """
from torch import nn

@variant
def net(in_channels, out_channels, norm):
    \"\"\"A stem with a norm of its own.\"\"\"
    stem = [nn.Conv2d(in_channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()]
    head = [nn.Conv2d(8, 8, 3, padding=1), norm(8), nn.ReLU(), nn.Conv2d(8, out_channels, 1)]
    return nn.Sequential(*stem, *head)
"""

BYTES = """
from segbench.axes.input import Scaling

@variant
def bytes(train_stats, max_value):
    \"\"\"What `unit` does, by other means.\"\"\"
    return Scaling(mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0))
"""


def alike(probe: Probe, axis: str, **changes: str) -> list[str]:
    found: list[Finding] = levels.levels_are_different_functions(probe(f"axes: {{{axis}}}\n", **changes))
    assert all(finding.severity is Severity.WARNING for finding in found)
    return [finding.text for finding in found]


def test_tversky_with_equal_weights_is_dice(probe: Probe) -> None:
    axis = "loss: {levels: {Dice: {bce: 1, dice: 1}, Tversky: {bce: 1, tversky: {alpha: 0.5, beta: 0.5}}}}"
    (found,) = alike(probe, axis, loss="{bce: 1, dice: 1}")
    assert found.startswith(
        "exp: loss: the levels 'Dice' and 'Tversky' build numerically the same function: outputs, losses "
        "and gradients differ by at most "
    )
    assert found.endswith(
        " of the largest. What differs between them is the seed's noise: take one of them out."
    )


def test_a_term_without_gradient_trains_alike(probe: Probe, write_variant: Write) -> None:
    write_variant("loss", "hard", HARD)
    (found,) = alike(probe, "loss: {levels: {bce: {bce: 1}, both: {bce: 1, hard: 1}}}")
    assert found.startswith(
        "exp: loss: the levels 'bce' and 'both' train identically: their losses differ in value (by up to 0."
    )
    assert "their gradients by at most 0 of the largest" in found


@pytest.mark.parametrize(
    ("axis", "changes"),
    [
        ("optimizer: [{adam: {lr: 1e-3}}, {adamw: {lr: 1e-3, weight_decay: 0}}]", {}),
        ("augment: [none, {flips: {horizontal: 0, vertical: 0}}]", {"augment": "none"}),
        ("input: [unit, bytes]", {"input": "unit"}),
        ("norm: [group, {group: {eps: 1.00000001e-5}}]", {"norm": "group"}),
        ("clip: {path: grad_clip, levels: [null, 1e12]}", {}),
        ("loss: [{bce: 1}, {bce: {pos_weight: 1.0000001}}]", {}),
    ],
)
def test_levels_that_are_one_function(
    probe: Probe, write_variant: Write, axis: str, changes: dict[str, str]
) -> None:
    write_variant("input", "bytes", BYTES)
    model = "{unet: {width: 8, depth: 2}}"
    (found,) = alike(probe, axis, **{"model": model, **changes})
    assert "build numerically the same function" in found


@pytest.mark.parametrize(
    ("axis", "changes"),
    [
        ("loss: [{bce: 1}, {dice: 1}]", {}),
        ("loss: [{dice: 1}, {tversky: {alpha: 0.45, beta: 0.55}}]", {"loss": "{dice: 1}"}),
        ("loss: [{dice: 1}, {dice: {smooth: 1}}]", {"loss": "{dice: 1}"}),
        ("loss: [{dice: 1}, {dice: {per_image: true}}]", {"loss": "{dice: 1}"}),
        ("loss: [{bce: 1}, {bce: {weight: 2}}]", {}),
        ("norm: [batch, none, instance, layer, group, dyt]", {"model": "{unet: {width: 8, depth: 2}}"}),
        ("norm: [none, {none: {conv_bias: true}}]", {"norm": "none"}),
        ("init: [default, he, {he: {mode: fan_in}}, {he: {transposed: false}}, xavier]", {}),
        ("optimizer: [{adam: {lr: 1e-3}}, {adamw: {lr: 1e-3}}]", {}),
        ("optimizer: [{adam: {lr: 1e-3}}, {adam: {lr: 1e-3, weight_decay: 1e-6}}]", {}),
        ("optimizer: [{adam: {lr: 1e-3}}, {sgd: {lr: 1e-3}}]", {}),
        ("lr: {path: optimizer.lr, levels: [1e-3, 1e-4]}", {}),
        ("clip: {path: grad_clip, levels: [null, 1.0]}", {}),
        ("schedule: [constant, cosine]", {"schedule": "constant"}),
        ("input: [unit, imagenet, dataset]", {"input": "unit"}),
        ("augment: [none, flips, [{HorizontalFlip: {p: 0.02}}]]", {"augment": "none"}),
        ("width: {path: model.width, levels: [8, 16]}", {"model": "{unet: {width: 8, depth: 2}}"}),
        ("batch_size: [2, 4]", {}),
        ("precision: [fp32, bf16]", {"precision": "fp32"}),
        ("epochs: [10, 20]", {}),
    ],
)
def test_levels_that_are_several_functions(probe: Probe, axis: str, changes: dict[str, str]) -> None:
    assert alike(probe, axis, **changes) == []


def test_levels_that_are_one_function_at_some_others(probe: Probe) -> None:
    axes = (
        "optimizer: [{adam: {lr: 1e-3}}, {adamw: {lr: 1e-3}}], "
        "decay: {path: optimizer.weight_decay, levels: [0.0, 0.1], baseline: 0.0}"
    )
    (found,) = alike(probe, axes)
    assert found.startswith(
        "exp: optimizer: the levels 'adam(lr=1e-3)' and 'adamw(lr=1e-3)' at decay=0.0 build numerically"
    )


@pytest.mark.parametrize("norm", ["none", "dyt", "batch"])
def test_dropout_at_the_bottleneck_is_another_function(probe: Probe, norm: str) -> None:
    axis = "dropout: {path: model.dropout, levels: [0.0, 0.1]}"
    shapes = "{shapes: {size_px: 64, num_train: 8}}"
    assert alike(probe, axis, model="{unet: {dropout: 0.0}}", norm=norm, dataset=shapes) == []


def test_a_norm_that_an_axis_leaves_in_place(probe: Probe, write_variant: Write) -> None:
    write_variant("model", "net", MIXED_NORMS)
    (found,) = levels.norms_are_swapped_everywhere(probe("axes: {norm: [batch, none]}\n", model="net"))
    assert found.severity is Severity.WARNING
    assert found.text == (
        "exp: norm: batch, none take turns, but 1 of the network's norms (1: BatchNorm2d) are the same in "
        "all levels. Say so in the text, or use a network that takes its norms from the axis."
    )


def test_norms_that_are_said_to_stay(probe: Probe) -> None:
    probes = probe(
        "axes: {norm: [batch, none]}\n",
        model="{resnet34_unet_r0: {width: 8}}",
        dataset="{shapes: {size_px: 32}}",
    )
    assert levels.norms_are_swapped_everywhere(probes) == []
    (found,) = levels.declared_norms_stay(probes)
    assert found.severity is Severity.NOTE
    assert found.text == (
        "exp: norm: batch, none take turns, but 5 of the network's norms (stem.norm: BatchNorm2d, "
        "stages.1.0.shortcut.norm: BatchNorm2d, stages.2.0.shortcut.norm: BatchNorm2d, "
        "stages.3.0.shortcut.norm: BatchNorm2d, bottleneck.norm: BatchNorm2d) are the same in all levels. "
        "That is what `norm_scope: double_convs` says."
    )


@pytest.mark.parametrize("norms", ["[batch, none]", "[batch, group, layer, instance, dyt]"])
@pytest.mark.parametrize(
    "model", ["{unet: {width: 8, depth: 2}}", "{resnet34_unet: {width: 8, blocks: [1, 1]}}"]
)
def test_norms_swapped_everywhere(probe: Probe, norms: str, model: str) -> None:
    probes = probe(f"axes: {{norm: {norms}}}\n", model=model)
    assert levels.norms_are_swapped_everywhere(probes) == []
    assert levels.declared_norms_stay(probes) == []


def test_of_large_designs_pairs_are_taken_evenly(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    def likeness(probes: Probes, one: TrialConfig, other: TrialConfig) -> None:
        seen.append((one.epochs, other.epochs))

    monkeypatch.setattr(levels, "likeness", likeness)
    monkeypatch.setattr(levels, "_MOST_PAIRS", 12)
    axes = "norm: [batch, none], epochs: {levels: [1, 2, 3, 4, 5, 6, 7, 8], baseline: 1}"
    assert alike(probe, axes) == []
    # 1 + 28 pairs of levels: norm at one of its eight places; epochs that differ need no look.
    assert seen == [(1, 1)]
    monkeypatch.setattr(levels, "_MOST_PAIRS", 4 * 29)
    seen.clear()
    assert alike(probe, axes) == []
    assert seen == [(1, 1), (3, 3), (5, 5), (7, 7)]


def test_a_large_grid_is_compared_by_what_its_levels_do(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 30 x 30 levels of an optimiser nothing is built; steps are taken once per level at most."""
    compared, stepped = [], []
    step = levels.Steps.of
    monkeypatch.setattr(levels, "likeness", lambda *pair: compared.append(pair))
    monkeypatch.setattr(levels.Steps, "of", lambda config: stepped.append(config) or step(config))
    rates, decays = ([k / 1000 for k in range(1, 31)] for _ in range(2))
    axes = f"lr: {{path: optimizer.lr, levels: {rates}}}, "
    axes += f"decay: {{path: optimizer.weight_decay, levels: {decays}}}"
    assert alike(probe, axes, optimizer="{adam: {lr: 0.001, weight_decay: 0.001}}", epochs="1") == []
    assert compared == []
    assert len(stepped) <= 30


def test_levels_that_step_alike_are_told_from_a_few_numbers(probe: Probe) -> None:
    clip = "clip: {path: grad_clip, levels: {never: null, seldom: 1e9, often: 0.1}, baseline: never}"
    (found,) = alike(probe, clip, grad_clip="null")
    assert "the levels 'never' and 'seldom'" in found
