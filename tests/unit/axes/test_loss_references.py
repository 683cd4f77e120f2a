"""Losses against independent implementations: value and gradient to 1e-6."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from segbench import registry

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what their own imports warn of is not what is tested
    monai = pytest.importorskip("monai.losses", reason="MONAI is a reference: the extra `dev` has it")
    smp = pytest.importorskip(
        "segmentation_models_pytorch.losses",
        reason="segmentation_models.pytorch is a reference: the extra `dev` has it",
    )
    torchmetrics = pytest.importorskip(
        "torchmetrics.functional.classification",
        reason="torchmetrics is a reference: the extra `dev` has it",
    )

Reference = Callable[[Tensor, Tensor], Tensor]
IGNORED = 255

CASES: dict[str, tuple[str, dict[str, float | str | bool], Reference]] = {
    "bce": ("bce", {}, nn.BCEWithLogitsLoss()),
    "bce-pos_weight": ("bce", {"pos_weight": 2.5}, nn.BCEWithLogitsLoss(pos_weight=torch.tensor(2.5))),
    "bce-label_smoothing": (
        "bce",
        {"label_smoothing": 0.2},
        lambda z, t: nn.CrossEntropyLoss(label_smoothing=0.2)(torch.cat([0 * z, z], 1), t[:, 0].long()),
    ),
    "bce_on_probs": ("bce_on_probs", {}, lambda z, t: nn.BCELoss()(z.sigmoid(), t)),
    "bce_logits_on_probs": (
        "bce_logits_on_probs",
        {},
        lambda z, t: nn.BCEWithLogitsLoss()(z.sigmoid(), t),
    ),
    "dice": ("dice", {}, monai.DiceLoss(sigmoid=True, batch=True, smooth_nr=1e-6, smooth_dr=1e-6)),
    "dice-per_image": (
        "dice",
        {"per_image": True, "smooth": 1.0},
        monai.DiceLoss(sigmoid=True, smooth_nr=1.0, smooth_dr=1.0),
    ),
    "dice-denominator": (
        "dice",
        {"smooth": 1e-8, "smooth_in": "denominator"},
        monai.DiceLoss(sigmoid=True, batch=True, smooth_nr=0.0, smooth_dr=1e-8),
    ),
    "dice-denominator-1": (
        "dice",
        {"smooth": 1.0, "smooth_in": "denominator", "per_image": True},
        monai.DiceLoss(sigmoid=True, smooth_nr=0.0, smooth_dr=1.0),
    ),
    "dice-smp": ("dice", {"smooth": 2.0}, smp.DiceLoss("binary", smooth=1.0)),
    "tversky": (
        "tversky",
        {"alpha": 0.3, "beta": 0.7},
        monai.TverskyLoss(sigmoid=True, alpha=0.3, beta=0.7, batch=True, smooth_nr=1e-6, smooth_dr=1e-6),
    ),
    "tversky-per_image": (
        "tversky",
        {"alpha": 0.6, "beta": 0.1, "per_image": True, "smooth": 1.0},
        monai.TverskyLoss(sigmoid=True, alpha=0.6, beta=0.1, smooth_nr=1.0, smooth_dr=1.0),
    ),
    "tversky-smp": (
        "tversky",
        {"alpha": 0.6, "beta": 0.1},
        smp.TverskyLoss("binary", alpha=0.6, beta=0.1, smooth=1e-6),
    ),
    "focal_tversky": (
        "focal_tversky",
        {},
        smp.TverskyLoss("binary", alpha=0.3, beta=0.7, gamma=0.75, smooth=1e-6),
    ),
    "focal_tversky-2": (
        "focal_tversky",
        {"alpha": 0.5, "beta": 0.5, "gamma": 2.0, "smooth": 1.0},
        smp.TverskyLoss("binary", alpha=0.5, beta=0.5, gamma=0.5, smooth=1.0),
    ),
    "jaccard": ("jaccard", {}, smp.JaccardLoss("binary", smooth=1e-6)),
    "jaccard-smooth": ("jaccard", {"smooth": 1.0}, smp.JaccardLoss("binary", smooth=1.0)),
    "jaccard-per_image": (
        "jaccard",
        {"per_image": True, "smooth": 0.5},
        monai.DiceLoss(sigmoid=True, jaccard=True, smooth_nr=1.0, smooth_dr=1.0),
    ),
    "focal": ("focal", {}, monai.FocalLoss()),
    "focal-alpha": (
        "focal",
        {"gamma": 1.5, "alpha": 0.25},
        monai.FocalLoss(gamma=1.5, alpha=0.25),
    ),
    "focal-smp": ("focal", {"gamma": 3.0, "alpha": 0.6}, smp.FocalLoss("binary", gamma=3.0, alpha=0.6)),
    "focal-bce": ("focal", {"gamma": 0.0}, nn.BCEWithLogitsLoss()),
}

TAKE_SOFT_TARGETS = [
    "bce",
    "bce-pos_weight",
    "bce_on_probs",
    "bce_logits_on_probs",
    "dice",
    "dice-per_image",
    "dice-denominator",
    "tversky",
    "tversky-per_image",
    "focal-bce",
]
"""References whose formula is ours for soft targets too; segmentation_models.pytorch counts by |p - t|."""

WITH_IGNORED = {
    "dice": ({}, smp.DiceLoss("binary", smooth=5e-7, ignore_index=IGNORED)),
    "tversky": ({}, smp.TverskyLoss("binary", alpha=0.3, beta=0.7, smooth=1e-6, ignore_index=IGNORED)),
    "focal_tversky": (
        {},
        smp.TverskyLoss("binary", alpha=0.3, beta=0.7, gamma=0.75, smooth=1e-6, ignore_index=IGNORED),
    ),
    "jaccard": ({}, smp.JaccardLoss("binary", smooth=1e-6, ignore_index=IGNORED)),
}


def batch(seed: int, *, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    """Draw logits and masks of three images, 40 % foreground in the first, 4 % in the last."""
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(3, 1, 24, 20, generator=generator)
    share = torch.tensor([0.4, 0.1, 0.04]).view(3, 1, 1, 1)
    return logits, (torch.rand(3, 1, 24, 20, generator=generator) < share).float()


def value_and_gradient(loss: Reference, logits: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
    logits = logits.clone().requires_grad_()
    value = loss(logits, *others)
    return value.detach(), torch.autograd.grad(value, logits)[0]


def expect_equal(ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> None:
    """Values to 1e-6; gradients to 1e-6 of the largest."""
    assert ours[0].item() == pytest.approx(theirs[0].item(), abs=1e-6)
    largest = theirs[1].abs().max().item()
    assert largest > 1e-5
    assert torch.allclose(ours[1], theirs[1], rtol=0, atol=1e-6 * largest)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("scale", [0.5, 3.0, 8.0])
def test_value_and_gradient(case: str, scale: float) -> None:
    name, knobs, reference = CASES[case]
    logits, target = (each.double() for each in batch(0, scale=scale))
    ours = value_and_gradient(registry.build("loss", name, **knobs), logits, target)
    expect_equal(ours, value_and_gradient(reference, logits, target))


@pytest.mark.parametrize("case", CASES)
def test_float32_is_as_near(case: str) -> None:
    name, knobs, reference = CASES[case]
    logits, target = batch(1)
    found = registry.build("loss", name, **knobs)(logits, target)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(reference(logits.double(), target.double()).item(), rel=1e-6)


@pytest.mark.parametrize("case", TAKE_SOFT_TARGETS)
def test_soft_targets(case: str) -> None:
    name, knobs, reference = CASES[case]
    logits, target = (each.double() for each in batch(2))
    soft = 0.3 * target + 0.7 * target.flip(0)
    ours = value_and_gradient(registry.build("loss", name, **knobs), logits, soft)
    expect_equal(ours, value_and_gradient(reference, logits, soft))


@pytest.mark.parametrize("name", ["bce", "focal", "bce_on_probs", "bce_logits_on_probs"])
def test_a_mixed_target_mixes_the_losses(name: str) -> None:
    loss = registry.build("loss", name)
    logits, target = (each.double() for each in batch(2))
    mixed = loss(logits, 0.3 * target + 0.7 * target.flip(0))
    assert mixed.item() == pytest.approx(
        0.3 * loss(logits, target).item() + 0.7 * loss(logits, target.flip(0)).item(), abs=1e-12
    )


@pytest.mark.parametrize("name", ["lovasz", "hard_dice"])
def test_a_soft_target_is_thresholded(name: str) -> None:
    loss = registry.build("loss", name)
    logits, target = batch(2)
    assert torch.equal(loss(logits, 0.3 + 0.3 * target), loss(logits, target))
    assert torch.equal(loss(logits, 0.5 * target), loss(logits, 0 * target))


@pytest.mark.parametrize("name", WITH_IGNORED)
def test_ignored_pixels(name: str) -> None:
    knobs, reference = WITH_IGNORED[name]
    logits, target = (each.double() for each in batch(3))
    valid = torch.rand(target.shape, generator=torch.Generator().manual_seed(4)) < 0.8
    ours = value_and_gradient(registry.build("loss", name, **knobs), logits, target * valid, valid)
    marked = target.masked_fill(~valid, IGNORED)
    expect_equal(ours, value_and_gradient(reference, logits, marked))


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("bce", nn.BCEWithLogitsLoss()),
        ("focal", smp.FocalLoss("binary", gamma=2.0)),
        ("bce_on_probs", lambda z, t: nn.BCELoss()(z.sigmoid(), t)),
        ("bce_logits_on_probs", lambda z, t: nn.BCEWithLogitsLoss()(z.sigmoid(), t)),
    ],
)
def test_losses_of_pixels_are_means_over_the_valid_ones(name: str, reference: Reference) -> None:
    """The images have 1/2, 3/4 and none of their pixels left, and weigh alike."""
    logits, target = (each.double() for each in batch(3))
    valid = torch.ones_like(target, dtype=torch.bool)
    valid[0, :, :12], valid[1, :, :6], valid[2] = False, False, False

    def alone(z: Tensor, t: Tensor) -> Tensor:
        return (reference(z[0, :, 12:], t[0, :, 12:]) + reference(z[1, :, 6:], t[1, :, 6:])) / 3

    ours = value_and_gradient(registry.build("loss", name), logits, target, valid)
    expect_equal(ours, value_and_gradient(alone, logits, target))


def test_hard_dice_is_one_minus_the_f1_score() -> None:
    logits, target = batch(5)
    scores = torchmetrics.binary_f1_score(logits, target.long(), multidim_average="samplewise")
    found = registry.build("loss", "hard_dice")(logits, target)
    assert found.item() == pytest.approx(1 - scores.mean().item(), abs=1e-6)


def lovasz_by_definition(logits: Tensor, target: Tensor) -> Tensor:
    """Interpolate between Jaccard losses of sets of wrong pixels, counted one set after another."""
    errors = (1 - logits * (2 * target - 1)).flatten().clamp(min=0)
    truth = target.flatten().bool()
    loss, is_wrong, before = torch.zeros((), dtype=torch.float64), torch.zeros_like(truth), 0.0
    for pixel in errors.argsort(descending=True):
        is_wrong[pixel] = True
        predicted = truth ^ is_wrong
        union = (predicted | truth).sum().item()
        after = 1 - (predicted & truth).sum().item() / union if union else 0.0
        loss, before = loss + errors[pixel] * (after - before), after
    return loss


@pytest.mark.parametrize("num_foreground", [0, 1, 20, 59, 60])
def test_lovasz_is_what_its_definition_says(num_foreground: int) -> None:
    generator = torch.Generator().manual_seed(num_foreground)
    logits = torch.randn(1, 1, 6, 10, generator=generator).double()
    target = (torch.randperm(60, generator=generator) < num_foreground).double().view(1, 1, 6, 10)
    ours = value_and_gradient(registry.build("loss", "lovasz"), logits, target)
    expect_equal(ours, value_and_gradient(lovasz_by_definition, logits, target))


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("has_ignored", [False, True])
def test_lovasz_is_the_authors(per_image: bool, has_ignored: bool) -> None:
    """Their steps are differences of float32 numbers near 1, so gradients agree to 1e-6 of those."""
    logits, target = batch(3)
    valid = torch.rand(target.shape, generator=torch.Generator().manual_seed(4)) < (0.8 if has_ignored else 2)
    reference = smp.LovaszLoss("binary", per_image=per_image, ignore_index=IGNORED)
    loss = registry.build("loss", "lovasz", per_image=per_image)
    value, gradient = value_and_gradient(loss, logits, target * valid, valid)
    expected, expected_gradient = value_and_gradient(reference, logits, target.masked_fill(~valid, IGNORED))
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)
    assert torch.allclose(gradient, expected_gradient, rtol=0, atol=1e-6)


def test_lovasz_is_the_jaccard_loss_where_errors_are_zero_or_one() -> None:
    """It extends the Jaccard loss of sets: logits of 0 err by 1, those at the margin by 0."""
    _, target = batch(6)
    is_wrong = torch.rand(target.shape, generator=torch.Generator().manual_seed(7)) < 0.2
    sides = 2 * target - 1
    predicted = torch.where(is_wrong, 1 - target, target)
    iou = torchmetrics.binary_jaccard_index(predicted, target.long())
    found = registry.build("loss", "lovasz")(torch.where(is_wrong, 0.0, sides), target)
    assert found.item() == pytest.approx(1 - iou.item(), abs=1e-6)


def test_lovasz_by_hand() -> None:
    """Errors 3/2 (foreground), 5/4, 1/2 (foreground), -1 step by 1/2, 1/6, 1/3, 0."""
    logits = torch.tensor([0.5, 0.25, -0.5, -2.0]).view(1, 1, 2, 2)
    target = torch.tensor([1.0, 0.0, 1.0, 0.0]).view(1, 1, 2, 2)
    value, gradient = value_and_gradient(registry.build("loss", "lovasz"), logits, target)
    assert value.item() == pytest.approx(3 / 2 / 2 + 5 / 4 / 6 + 1 / 2 / 3)
    assert gradient.flatten().tolist() == pytest.approx([-1 / 3, 1 / 6, -1 / 2, 0])


def test_lovasz_keeps_the_digits_of_a_large_image() -> None:
    """A million wrong background pixels around one of the foreground: J rises from 0 as k / (k + 1)."""
    logits, target = torch.zeros(1, 1, 1000, 1000), torch.zeros(1, 1, 1000, 1000)
    logits += torch.linspace(0, 1, 10**6).view_as(logits)
    target[0, 0, 0, 0] = 1
    _, gradient = value_and_gradient(registry.build("loss", "lovasz"), logits, target)
    k = torch.arange(1, 10**6, dtype=torch.float64)
    assert torch.allclose(gradient.flatten()[1:].flip(0).double(), 1 / (k * (k + 1)), rtol=1e-6, atol=0)


def test_where_probabilities_saturate_a_wrong_pixel_has_no_gradient() -> None:
    logits, target = torch.tensor([20.0, -40.0]).view(1, 1, 1, 2), torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    value, gradient = value_and_gradient(registry.build("loss", "bce_on_probs"), logits, target)
    assert value.item() == pytest.approx((100 + 40) / 2)
    faded = float(torch.sigmoid(torch.tensor(-40.0))) / 1e-12
    assert gradient.flatten().tolist() == pytest.approx([0, -faded / 2], rel=1e-5)
    value, gradient = value_and_gradient(registry.build("loss", "bce"), logits, target)
    assert value.item() == pytest.approx((20 + 40) / 2)
    assert gradient.flatten().tolist() == pytest.approx([1 / 2, -1 / 2])
    sure = torch.full((1, 1, 1, 1), -200.0)
    assert registry.build("loss", "bce_on_probs")(sure, torch.ones(1, 1, 1, 1)).item() == 100


def test_focal_tversky_has_no_gradient_where_nothing_is_wrong() -> None:
    empty = torch.zeros(2, 1, 4, 4)
    empty_prediction = empty - 200  # probabilities of exactly 0
    value, gradient = value_and_gradient(registry.build("loss", "focal_tversky"), empty_prediction, empty)
    assert value.item() == 0
    assert not gradient.any()


def test_empty_masks_have_no_gradient_with_smooth_in_the_denominator() -> None:
    logits, target = batch(8)
    loss = registry.build("loss", "dice", smooth_in="denominator", smooth=1e-8)
    value, gradient = value_and_gradient(loss, logits, 0 * target)
    assert value.item() == 1
    assert not gradient.any()
