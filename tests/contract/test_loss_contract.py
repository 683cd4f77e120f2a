"""Losses: the contract, and values computed by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from segbench import registry
from segbench.contract import Broken, Check, Subject

AXIS = "loss"
SETTINGS = {
    "bce": [{"pos_weight": 2.0}, {"label_smoothing": 0.1}],
    "dice": [{"per_image": True}, {"smooth": 1.0}, {"smooth_in": "denominator", "smooth": 1e-8}],
    "focal": [{"gamma": 0.0, "alpha": 0.25}, {"gamma": 0.5}],
    "focal_tversky": [{"per_image": True}, {"gamma": 3.0}],
    "jaccard": [{"per_image": True}],
    "lovasz": [{"per_image": True}],
    "tversky": [{"per_image": True}, {"alpha": 1.0, "beta": 1.0}],
}
BREAKS = {
    "bce_logits_on_probs": {"costs_little_when_right": r"0\.7944 for zeros, and no less than 0\.5566 for"},
    "dice_on_logits": {
        "takes_logits": r"3\.86 for right logits",
        "takes_soft_targets": r"6\.929 for logits near them",
    },
    "hard_dice": {"takes_logits": r"1 for zeros, 1 for wrong ones", "has_a_gradient": "it has no gradient"},
}
"""What flawed variants break, and how."""

LN3 = math.log(3)
LOGITS = torch.tensor([[LN3, -LN3, 0.0, -LN3], [-LN3, -LN3, -LN3, -LN3]]).reshape(2, 1, 2, 2)
"""Probabilities 3/4, 1/4, 1/2, 1/4; then 1/4 four times."""
TARGET = torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]).reshape(2, 1, 2, 2)
# First image: TP 1.25, FP 0.5, FN 0.75. Second: TP 0, FP 1, FN 0.
VALID = torch.tensor([[True, True, False, True], [False, False, False, False]]).reshape(2, 1, 2, 2)
# Left of the first image: TP 0.75, FP 0.5, FN 0.25; of the second nothing.

SURE, HALF = math.log(4 / 3), math.log(2)
SMOOTHED = 0.9 * SURE + 0.1 * math.log(4)
FIRST_IMAGE = [
    ("bce", {}, (3 * SURE + HALF) / 4),
    ("bce", {"pos_weight": 2.0}, (2 * (SURE + HALF) + 2 * SURE) / 4),
    ("bce", {"label_smoothing": 0.2}, (3 * SMOOTHED + HALF) / 4),
    ("bce_on_probs", {}, (3 * SURE + HALF) / 4),
    (
        "bce_logits_on_probs",
        {},
        (math.log(1 + math.exp(-0.75)) + 2 * math.log(1 + math.exp(0.25)) + math.log(1 + math.exp(-0.5))) / 4,
    ),
    ("dice", {}, 1.25 / 3.75),
    ("dice", {"smooth": 1.0}, 1.25 / 4.75),
    ("dice", {"smooth": 1.0, "smooth_in": "denominator"}, 2.25 / 4.75),
    ("focal", {}, (3 * SURE / 16 + HALF / 4) / 4),
    ("focal", {"gamma": 1.0}, (3 * SURE / 4 + HALF / 2) / 4),
    ("focal", {"alpha": 0.25}, (0.25 * (SURE / 16 + HALF / 4) + 0.75 * 2 * SURE / 16) / 4),
    ("focal_tversky", {}, (0.675 / 1.925) ** 0.75),
    ("focal_tversky", {"alpha": 1.0, "beta": 1.0, "gamma": 2.0}, 0.5**0.5),
    ("hard_dice", {}, 1 / 3),
    ("jaccard", {}, 1.25 / 2.5),
    ("jaccard", {"smooth": 1.0}, 1.25 / 3.5),
    ("lovasz", {}, 0.5),
    ("tversky", {"alpha": 0.3, "beta": 0.7}, 0.675 / 1.925),
    ("tversky", {"alpha": 0.7, "beta": 0.3}, 0.575 / 1.825),
    ("tversky", {"alpha": 1.0, "beta": 1.0}, 1.25 / 2.5),
    ("tversky", {"alpha": 0.5, "beta": 0.5, "smooth": 1.0}, 0.625 / 2.875),
    ("dice_on_logits", {}, 1 - 2 * LN3 / (2 - LN3)),
]
BOTH_IMAGES = [
    ("bce", {}, (7 * SURE + HALF) / 8),
    ("bce_on_probs", {}, (7 * SURE + HALF) / 8),
    (
        "bce_logits_on_probs",
        {},
        (math.log(1 + math.exp(-0.75)) + 6 * math.log(1 + math.exp(0.25)) + math.log(1 + math.exp(-0.5))) / 8,
    ),
    ("dice", {}, 2.25 / 4.75),
    ("dice", {"per_image": True}, (1 / 3 + 1) / 2),
    ("focal", {}, (7 * SURE / 16 + HALF / 4) / 8),
    ("focal_tversky", {}, (0.975 / 2.225) ** 0.75),
    ("focal_tversky", {"per_image": True}, ((0.675 / 1.925) ** 0.75 + 1) / 2),
    ("hard_dice", {}, 1 / 6),
    ("jaccard", {}, 2.25 / 3.5),
    ("jaccard", {"per_image": True}, (1 / 2 + 1) / 2),
    ("lovasz", {}, 0.5),
    ("lovasz", {"per_image": True}, 0.25),
    ("tversky", {"alpha": 0.3, "beta": 0.7}, (0.45 + 0.525) / (1.25 + 0.45 + 0.525)),
    ("tversky", {"alpha": 0.3, "beta": 0.7, "per_image": True}, (0.675 / 1.925 + 1) / 2),
    ("dice_on_logits", {}, 1 - 2 * LN3 / (2 - 5 * LN3)),
]
VALID_PIXELS = [
    ("bce", {}, SURE / 2),
    ("bce_on_probs", {}, SURE / 2),
    ("bce_logits_on_probs", {}, (math.log(1 + math.exp(-0.75)) + 2 * math.log(1 + math.exp(0.25))) / 6),
    ("dice", {}, 0.75 / 2.25),
    ("dice", {"per_image": True}, (1 / 3 + 0) / 2),
    ("dice", {"per_image": True, "smooth_in": "denominator"}, (1 / 3 + 1) / 2),
    ("focal", {}, SURE / 16 / 2),
    ("focal_tversky", {}, (0.325 / 1.075) ** 0.75),
    ("focal_tversky", {"per_image": True}, (0.325 / 1.075) ** 0.75 / 2),
    ("hard_dice", {}, 0),
    ("jaccard", {"per_image": True}, 0.75 / 1.5 / 2),
    ("lovasz", {"per_image": True}, 0),
    ("tversky", {"alpha": 0.3, "beta": 0.7}, 0.325 / 1.075),
    ("dice_on_logits", {}, 1 - 2 * LN3 / (1 - LN3)),
]
EMPTY_MASKS = [
    ("bce", {}, 0, SURE),
    ("bce", {"label_smoothing": 0.2}, 10, SMOOTHED),  # 0.1 of logits of -100
    ("bce_on_probs", {}, 0, SURE),
    ("bce_logits_on_probs", {}, HALF, math.log(1 + math.exp(0.25))),
    ("dice", {}, 0, 1),
    ("dice", {"smooth": 1.0}, 0, 1 / 2),
    ("dice", {"smooth_in": "denominator"}, 1, 1),
    ("focal", {}, 0, SURE / 16),
    ("focal_tversky", {"smooth": 1.0}, 0, (0.3 / 1.3) ** 0.75),
    ("hard_dice", {}, 0, 0),
    ("jaccard", {"smooth": 1.0}, 0, 1 / 2),
    ("lovasz", {}, 0, 0),
    ("tversky", {"smooth": 1.0}, 0, 0.3 / 1.3),
    ("dice_on_logits", {}, 1, 1),
]
"""For logits of -100, and for probabilities of 1/4."""
FULL_MASKS = [
    ("bce", {}, 0, math.log(4)),
    ("bce_on_probs", {}, 0, math.log(4)),
    ("bce_logits_on_probs", {}, math.log(1 + math.exp(-1)), math.log(1 + math.exp(-0.25))),
    ("dice", {}, 0, 3 / 5),
    ("focal", {}, 0, 9 / 16 * math.log(4)),
    ("focal_tversky", {}, 0, (2.1 / 3.1) ** 0.75),
    ("hard_dice", {}, 0, 1),
    ("jaccard", {}, 0, 3 / 4),
    ("lovasz", {}, 0, 1 + LN3),
    ("tversky", {}, 0, 2.1 / 3.1),
    ("dice_on_logits", {"smooth": 10.0}, 1 - 800 / 414, 1 + 8 * LN3 / (14 - 4 * LN3)),
]
"""For logits of 100, and for probabilities of 1/4."""


def test_keeps_the_contract(subject: Subject, check: Check) -> None:
    how = BREAKS.get(subject.variant.name, {}).get(check.name)
    if how is None:
        check.function(subject)
    else:
        with pytest.raises(Broken, match=how):
            check.function(subject)


def test_flawed_variants_alone_break_it() -> None:
    assert set(BREAKS) == {v.name for v in registry.variants(AXIS).values() if v.flawed}


def test_every_loss_has_values() -> None:
    known = set(registry.variants(AXIS))
    for table in (FIRST_IMAGE, BOTH_IMAGES, VALID_PIXELS, EMPTY_MASKS, FULL_MASKS):
        assert {case[0] for case in table} == known


@pytest.mark.parametrize(("name", "knobs", "expected"), FIRST_IMAGE)
def test_value_of_one_image(name: str, knobs: dict[str, float], expected: float) -> None:
    assert value(name, LOGITS[:1], TARGET[:1], **knobs) == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize(("name", "knobs", "expected"), BOTH_IMAGES)
def test_value_of_a_batch(name: str, knobs: dict[str, float], expected: float) -> None:
    assert value(name, LOGITS, TARGET, **knobs) == pytest.approx(expected, abs=2e-6)


def test_tversky_at_one_half_is_dice() -> None:
    logits, target = (
        torch.randn(3, 1, 9, 9, generator=torch.Generator().manual_seed(0)),
        TARGET.new_zeros(3, 1, 9, 9),
    )
    target[:, :, 2:6, 3:7] = 1
    for smooth in (1e-6, 1.0):
        dice = value("dice", logits, target, smooth=smooth)
        assert value("tversky", logits, target, alpha=0.5, beta=0.5, smooth=smooth / 2) == pytest.approx(
            dice, rel=1e-6
        )


@pytest.mark.parametrize(("name", "knobs", "expected"), VALID_PIXELS)
def test_value_of_valid_pixels(name: str, knobs: dict[str, float], expected: float) -> None:
    found = registry.build(AXIS, name, **knobs)(LOGITS, TARGET, VALID)
    assert found.item() == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize(("name", "knobs", "right", "unsure"), EMPTY_MASKS)
def test_value_of_empty_masks(name: str, knobs: dict[str, float], right: float, unsure: float) -> None:
    empty = torch.zeros(1, 1, 2, 2)
    assert value(name, empty - 100, empty, **knobs) == pytest.approx(right, abs=2e-6)
    assert value(name, LOGITS[1:], empty, **knobs) == pytest.approx(unsure, abs=2e-6)


@pytest.mark.parametrize(("name", "knobs", "right", "unsure"), FULL_MASKS)
def test_value_of_full_masks(name: str, knobs: dict[str, float], right: float, unsure: float) -> None:
    full = torch.ones(1, 1, 2, 2)
    assert value(name, 100 * full, full, **knobs) == pytest.approx(right, abs=2e-6)
    assert value(name, LOGITS[1:], full, **knobs) == pytest.approx(unsure, abs=2e-6)


@pytest.mark.parametrize("name", ["dice", "tversky"])
def test_a_small_loss_keeps_its_digits(name: str) -> None:
    target = torch.ones(1, 1, 100, 100)
    expected = math.exp(-18) * {"dice": 0.5, "tversky": 0.7}[name]  # FN / (2 TP) and 0.7 FN / TP
    assert value(name, 18 * target, target) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("valid", [None, VALID])
@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        ("bce", {"label_smoothing": 0.1}),
        ("bce_on_probs", {}),
        ("bce_logits_on_probs", {}),
        ("dice", {}),
        ("dice", {"smooth_in": "denominator", "smooth": 0.5}),
        ("focal", {"alpha": 0.25}),
        ("focal_tversky", {"smooth": 0.5}),
        ("jaccard", {}),
        ("lovasz", {"per_image": True}),
        ("tversky", {"per_image": True}),
    ],
)
def test_gradient(name: str, knobs: dict[str, float], valid: Tensor | None) -> None:
    term = registry.build(AXIS, name, **knobs)
    # Apart from one another, so that no hinge errors change places when gradcheck steps.
    logits = (LOGITS + 0.01 * torch.arange(8).reshape(2, 1, 2, 2)).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: term(z, TARGET.double(), valid), (logits,))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", sorted(registry.variants(AXIS)))
@pytest.mark.parametrize("valid", [None, VALID])
def test_a_gpu_computes_as_the_cpu_does(name: str, valid: Tensor | None) -> None:
    term = registry.build(AXIS, name)
    expected = term(LOGITS, TARGET, valid)
    on_gpu = None if valid is None else valid.cuda()
    with torch.autocast("cuda", torch.bfloat16):
        found = term.cuda()(LOGITS.cuda(), TARGET.cuda(), on_gpu)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected.item(), rel=1e-6, abs=1e-7)


def value(name: str, logits: Tensor, target: Tensor, **knobs: float) -> float:
    return registry.build(AXIS, name, **knobs)(logits, target).item()
