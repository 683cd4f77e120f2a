"""Losses: the contract, and values computed by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from segbench import registry
from segbench.axes import loss
from segbench.config.trial import Choice
from segbench.contract import Check, Subject

AXIS = "loss"
SETTINGS = {
    "bce": [{"pos_weight": 2.0}],
    "dice": [{"per_image": True}, {"smooth": 1.0}],
    "tversky": [{"per_image": True}, {"alpha": 1.0, "beta": 1.0}],
}

LN3 = math.log(3)
LOGITS = torch.tensor([[LN3, -LN3, 0.0, -LN3], [-LN3, -LN3, -LN3, -LN3]]).reshape(2, 1, 2, 2)
"""Probabilities 3/4, 1/4, 1/2, 1/4; then 1/4 four times."""
TARGET = torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]).reshape(2, 1, 2, 2)
# First image: TP 1.25, FP 0.5, FN 0.75. Second: TP 0, FP 1, FN 0.

SURE, HALF = math.log(4 / 3), math.log(2)
FIRST_IMAGE = [
    ("bce", {}, (3 * SURE + HALF) / 4),
    ("bce", {"pos_weight": 2.0}, (2 * (SURE + HALF) + 2 * SURE) / 4),
    ("dice", {}, 1.25 / 3.75),
    ("dice", {"smooth": 1.0}, 1.25 / 4.75),
    ("tversky", {"alpha": 0.3, "beta": 0.7}, 0.675 / 1.925),
    ("tversky", {"alpha": 0.7, "beta": 0.3}, 0.575 / 1.825),
    ("tversky", {"alpha": 1.0, "beta": 1.0}, 1.25 / 2.5),
    ("tversky", {"alpha": 0.5, "beta": 0.5, "smooth": 1.0}, 0.625 / 2.875),
]
BOTH_IMAGES = [
    ("bce", {}, (7 * SURE + HALF) / 8),
    ("dice", {}, 2.25 / 4.75),
    ("dice", {"per_image": True}, (1 / 3 + 1) / 2),
    ("tversky", {"alpha": 0.3, "beta": 0.7}, (0.45 + 0.525) / (1.25 + 0.45 + 0.525)),
    ("tversky", {"alpha": 0.3, "beta": 0.7, "per_image": True}, (0.675 / 1.925 + 1) / 2),
]


def test_keeps_the_contract(subject: Subject, check: Check) -> None:
    check.function(subject)


def test_every_loss_has_values() -> None:
    known = set(registry.variants(AXIS))
    assert {name for name, _, _ in FIRST_IMAGE} == known
    assert {name for name, _, _ in BOTH_IMAGES} == known


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


@pytest.mark.parametrize("name", ["dice", "tversky"])
def test_an_empty_prediction_on_an_empty_mask_costs_nothing(name: str) -> None:
    empty = torch.zeros(1, 1, 4, 4)
    assert value(name, empty - 100, empty) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", ["dice", "tversky"])
def test_a_small_loss_keeps_its_digits(name: str) -> None:
    target = torch.ones(1, 1, 100, 100)
    expected = math.exp(-18) * {"dice": 0.5, "tversky": 0.7}[name]  # FN / (2 TP) and 0.7 FN / TP
    assert value(name, 18 * target, target) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("name", "knobs"), [("bce", {}), ("dice", {}), ("tversky", {"per_image": True})])
def test_gradient(name: str, knobs: dict[str, float]) -> None:
    term = registry.build(AXIS, name, **knobs)
    logits = LOGITS.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: term(z, TARGET.double()), (logits,))


def test_whether_a_batch_may_be_split() -> None:
    assert loss.build([Choice.of(AXIS, "bce")]).is_mean_over_images is True
    assert loss.build([Choice.of(AXIS, "bce"), Choice.of(AXIS, "dice")]).is_mean_over_images is False
    assert loss.build([Choice.of(AXIS, "dice", per_image=True)]).is_mean_over_images is True


def test_a_sum_weighs_its_terms() -> None:
    both = loss.build([Choice.of(AXIS, "bce", weight=2), Choice.of(AXIS, "dice", weight=0.5)])
    expected = 2 * value("bce", LOGITS, TARGET) + 0.5 * value("dice", LOGITS, TARGET)
    assert both(LOGITS, TARGET).item() == pytest.approx(expected)


def test_a_term_without_a_weight_counts_once() -> None:
    assert loss.build([Choice.of(AXIS, "bce")])(LOGITS, TARGET).item() == pytest.approx(
        value("bce", LOGITS, TARGET)
    )


def test_shapes_that_would_broadcast_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must have one shape, got \(2, 1, 2, 2\) and \(2, 2, 2\)\."):
        loss.build([Choice.of(AXIS, "bce")])(LOGITS, TARGET[:, 0])


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
