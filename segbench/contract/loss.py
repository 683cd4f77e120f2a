"""The contract of a loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segbench.axes.loss.weighted import takes_valid
from segbench.contract import Broken, Subject
from segbench.contract.tensors import expect_close, expect_finite, expect_same, expect_shape, mask, normal

SHAPES = ((1, 1, 8, 8), (2, 1, 8, 12), (5, 1, 4, 4))


def gives_a_scalar(subject: Subject) -> None:
    """Logits and target of (N, 1, H, W) give a finite scalar, the same each time."""
    loss = _loss(subject)
    for shape in SHAPES:
        value = loss(normal(*shape), mask(*shape))
        expect_shape(value, (), "the loss")
        expect_finite(value, "the loss")
        expect_same(value, loss(normal(*shape), mask(*shape)), "the same batch twice")


def takes_logits(subject: Subject) -> None:
    """Right logits cost less than zeros, zeros less than wrong logits."""
    loss, target = _loss(subject), mask(2, 1, 8, 8)
    right, unsure, wrong = (float(loss(scale * (2 * target - 1), target)) for scale in (12.0, 0.0, -12.0))
    if not right < unsure < wrong:
        raise Broken(
            f"got {right:.4g} for right logits (+-12), {unsure:.4g} for zeros, {wrong:.4g} for wrong ones: "
            "does it take probabilities?"
        )


def costs_little_when_right(subject: Subject) -> None:
    """Right logits, as sure as suits the loss, cost less than half of what zeros cost."""
    loss, target = _loss(subject), mask(2, 1, 8, 8)
    unsure = float(loss(0 * target, target))
    least = min(float(loss(scale * (2 * target - 1), target)) for scale in (1, 2, 4, 8, 16))
    if not least < unsure / 2:
        raise Broken(
            f"got {unsure:.4g} for zeros, and no less than {least:.4g} for right logits: "
            "does it squash them twice?"
        )


def takes_soft_targets(subject: Subject) -> None:
    """Targets between 0 and 1, such as MixUp makes, are taken for what they are near."""
    loss, target = _loss(subject), mask(2, 1, 8, 8)
    soft = 0.1 + 0.8 * target
    right, unsure, wrong = (float(loss(scale * (2 * target - 1), soft)) for scale in (2.0, 0.0, -2.0))
    if not right < min(unsure, wrong):
        raise Broken(
            f"for targets of 0.1 and 0.9 it gives {right:.4g} for logits near them, {unsure:.4g} for zeros, "
            f"{wrong:.4g} for opposite ones"
        )
    logits = normal(2, 1, 8, 8).requires_grad_()
    value = loss(logits, torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    expect_finite(value, "the loss for soft targets")
    if value.requires_grad:
        value.backward()
        expect_finite(_gradient(logits), "the gradient for soft targets")


def has_a_gradient(subject: Subject) -> None:
    """The gradient reaches every pixel's logit, and a step against it lowers the loss."""
    loss, target = _loss(subject), mask(2, 1, 8, 8)
    logits = normal(2, 1, 8, 8).requires_grad_()
    before = loss(logits, target)
    if not before.requires_grad:
        raise Broken("it has no gradient: is something rounded or thresholded?")
    before.backward()
    gradient = _gradient(logits)
    if not gradient.any():
        raise Broken("the gradient is zero everywhere")
    with torch.no_grad():
        after = loss(logits - 0.1 * gradient / gradient.abs().max(), target)
    if not after < before:
        raise Broken(f"a step against the gradient raised the loss from {before:.6g} to {after:.6g}")


def is_finite_at_the_edges(subject: Subject) -> None:
    """Empty and full masks, and logits up to +-100, give a finite loss and gradient."""
    loss = _loss(subject)
    for fill in (0.0, 1.0):
        for scale in (0.0, 1.0, 100.0, -100.0):
            logits = torch.full((2, 1, 8, 8), scale) if abs(scale) > 1 else scale * normal(2, 1, 8, 8)
            logits.requires_grad_()
            value = loss(logits, torch.full((2, 1, 8, 8), fill))
            what = f"{'full' if fill else 'empty'} masks and logits of about {scale:g}"
            expect_finite(value, f"the loss for {what}")
            if value.requires_grad:
                value.backward()
                expect_finite(_gradient(logits), f"the gradient for {what}")


def computes_in_float32(subject: Subject) -> None:
    """Under bf16 autocast the loss is computed from the bf16 logits in float32."""
    loss, target = _loss(subject), mask(2, 1, 32, 32)
    logits = normal(2, 1, 32, 32).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(logits, target)
    if value.dtype != torch.float32:
        raise Broken(f"it is computed in {value.dtype}")
    expect_close(value, loss(logits.float(), target), "bf16 and float32 logits of equal value", rtol=1e-5)


def ignores_the_order_of_images(subject: Subject) -> None:
    """The images of a batch may come in any order."""
    loss, logits, target = _loss(subject), normal(5, 1, 8, 8), mask(5, 1, 8, 8)
    expect_close(loss(logits, target), loss(logits.flip(0), target.flip(0)), "a batch reversed", rtol=1e-5)


def says_truly_whether_it_is_a_mean(subject: Subject) -> None:
    """Where `is_mean_over_images` is True, a batch's loss is the mean of its images' losses."""
    loss, logits, target = _loss(subject), normal(5, 1, 8, 8), mask(5, 1, 8, 8)
    target[0] = 0
    if not getattr(loss, "is_mean_over_images", False):
        return
    alone = torch.stack([loss(logits[i : i + 1], target[i : i + 1]) for i in range(5)]).mean()
    expect_close(loss(logits, target), alone, "a batch and the mean over its images", rtol=1e-5)
    if takes_valid(loss):
        valid = torch.arange(320).view(5, 1, 8, 8) > 100  # none of the first image, part of the second
        images = (slice(i, i + 1) for i in range(5))
        alone = torch.stack([loss(logits[i], target[i], valid=valid[i]) for i in images]).mean()
        batch = loss(logits, target, valid=valid)
        expect_close(batch, alone, "a batch with ignored pixels and the mean over its images", rtol=1e-5)


def leaves_out_ignored_pixels(subject: Subject) -> None:
    """Where it takes `valid`, loss and gradient are as if the pixels where it is False were cropped away."""
    loss, logits, target = _loss(subject), normal(2, 1, 8, 12), mask(2, 1, 8, 12)
    if not takes_valid(loss):
        return
    valid = torch.ones_like(target, dtype=torch.bool)
    expect_close(
        loss(logits, target, valid=valid), loss(logits, target), "all valid and no `valid`", rtol=1e-5
    )
    valid[..., 8:] = False
    value, gradient = _value_and_gradient(loss, logits, target, valid=valid)
    alone, alone_gradient = _value_and_gradient(loss, logits[..., :8], target[..., :8])
    expect_close(value, alone, "pixels ignored and cropped away", rtol=1e-5)
    expect_close(
        gradient[..., :8], alone_gradient, "the gradient beside pixels ignored and cropped away", atol=1e-6
    )
    other = loss(torch.where(valid, logits, 50.0), torch.where(valid, target, 1 - target), valid=valid)
    expect_same(value, other, "other logits and target at ignored pixels")
    for ignored in (valid, valid & (torch.arange(2) == 1).view(2, 1, 1, 1), torch.zeros_like(valid)):
        value, gradient = _value_and_gradient(loss, logits, target, valid=ignored)
        expect_finite(value, "the loss where an image has no valid pixel")
        expect_finite(gradient, "the gradient where an image has no valid pixel")
        expect_same(gradient * ~ignored, 0 * gradient, "the gradient of ignored pixels and none")


def changes_nothing(subject: Subject) -> None:
    """Logits and target are left as they are."""
    logits, target = normal(2, 1, 8, 8), mask(2, 1, 8, 8)
    _loss(subject)(logits, target)
    expect_same(logits, normal(2, 1, 8, 8), "the logits after the call")
    expect_same(target, mask(2, 1, 8, 8), "the target after the call")


def _loss(subject: Subject) -> nn.Module:
    loss = subject.build()
    if not isinstance(loss, nn.Module):
        raise Broken(f"the factory must return an nn.Module, got {type(loss).__name__}")
    return loss


def _value_and_gradient(
    loss: nn.Module, logits: Tensor, target: Tensor, **valid: Tensor
) -> tuple[Tensor, Tensor]:
    logits = logits.detach().clone().requires_grad_()
    value = loss(logits, target, **valid)
    if not value.requires_grad:
        return value, torch.zeros_like(logits)
    value.backward()
    return value.detach(), _gradient(logits)


def _gradient(logits: Tensor) -> Tensor:
    if logits.grad is None:
        raise Broken("no gradient reaches the logits")
    return logits.grad
