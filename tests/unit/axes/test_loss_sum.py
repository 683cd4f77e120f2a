"""The weighted sum of loss terms, and what terms do to training together."""

from __future__ import annotations

import pytest
import torch
from blobs import blob_data, tiny_config
from torch import Tensor, nn
from torch.nn import functional

from segbench import registry
from segbench.axes import loss
from segbench.axes.loss.weighted import WeightedSum
from segbench.config.trial import Choice
from segbench.engine import Run
from segbench.errors import ExperimentError

AXIS = "loss"
GENERATOR = torch.Generator().manual_seed(0)
LOGITS = 2 * torch.randn(3, 1, 15, 11, generator=GENERATOR)
TARGET = (torch.rand(3, 1, 15, 11, generator=GENERATOR) < 0.3).float()
VALID = torch.rand(3, 1, 15, 11, generator=GENERATOR) < 0.8


class Squares(nn.Module):
    """A user's loss, which knows nothing of ignored pixels."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return (logits.sigmoid() - target).square().mean()


def value(name: str, logits: Tensor, target: Tensor, **knobs: float) -> float:
    return registry.build(AXIS, name, **knobs)(logits, target).item()


def value_and_gradient(*terms: Choice) -> tuple[Tensor, Tensor]:
    logits = LOGITS.clone().requires_grad_()
    found = loss.build(terms)(logits, TARGET)
    found.backward()
    return found.detach(), logits.grad


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
    with pytest.raises(ValueError, match=r"must have one shape, got \(3, 1, 15, 11\) and \(3, 15, 11\)\."):
        loss.build([Choice.of(AXIS, "bce")])(LOGITS, TARGET[:, 0])


def test_valid_of_another_shape_is_refused() -> None:
    rule = r"logits and target and valid must have one shape, got .* and \(3, 15, 11\)\."
    with pytest.raises(ValueError, match=rule):
        loss.build([Choice.of(AXIS, "bce")])(LOGITS, TARGET, VALID[:, 0])


def test_every_term_leaves_out_ignored_pixels() -> None:
    both = loss.build([Choice.of(AXIS, "bce", weight=2), Choice.of(AXIS, "dice")])
    terms = registry.build(AXIS, "bce"), registry.build(AXIS, "dice")
    expected = 2 * terms[0](LOGITS, TARGET, VALID) + terms[1](LOGITS, TARGET, VALID)
    assert torch.equal(both(LOGITS, TARGET, VALID), expected)
    assert both(LOGITS, TARGET, VALID) != both(LOGITS, TARGET)


def test_a_term_that_knows_no_ignored_pixels() -> None:
    both = WeightedSum({"bce": registry.build(AXIS, "bce"), "squares": Squares()}, {"bce": 1, "squares": 1})
    assert both(LOGITS, TARGET).item() == pytest.approx(
        value("bce", LOGITS, TARGET) + Squares()(LOGITS, TARGET).item()
    )
    with pytest.raises(ExperimentError) as error:
        both(LOGITS, TARGET, VALID)
    assert str(error.value) == (
        "loss: the loss squares takes no `valid`, so it cannot leave out ignored pixels. Give its forward a "
        "third argument `valid`, or let the data set ignore none."
    )


@pytest.mark.parametrize("name", ["tversky", "focal_tversky"])
def test_errors_that_cost_nothing_are_refused(name: str) -> None:
    with pytest.raises(ExperimentError) as error:
        loss.build([Choice.of(AXIS, name, alpha=0.0, beta=0.0)])
    assert str(error.value) == (
        f"loss {name}: alpha and beta are both 0, so that no error costs anything and nothing has a "
        "gradient. Let at least one be above 0, such as alpha: 0.3, beta: 0.7."
    )
    for one in ({"alpha": 0.0}, {"beta": 0.0}):
        assert value(name, LOGITS, TARGET, **one) > 0


def test_bce_and_dice_have_the_bits_they_always_had() -> None:
    """What is on disk was trained so; another order of operations would be another number."""
    logits = LOGITS.clone().requires_grad_()
    functional.binary_cross_entropy_with_logits(logits, TARGET).backward()
    assert torch.equal(value_and_gradient(Choice.of(AXIS, "bce"))[1], logits.grad)
    logits.grad = None
    p = torch.sigmoid(logits)
    tp, fp, fn = (p * TARGET).sum(), (p * (1 - TARGET)).sum(), (torch.sigmoid(-logits) * TARGET).sum()
    expected = (fp + fn) / (2 * tp + fp + fn + 1e-6)
    expected.backward()
    found, gradient = value_and_gradient(Choice.of(AXIS, "dice"))
    assert torch.equal(found, expected)
    assert torch.equal(gradient, logits.grad)


def test_hard_dice_adds_a_constant() -> None:
    """H13: beside bce it has the gradients of bce alone, bit by bit."""
    alone, gradient = value_and_gradient(Choice.of(AXIS, "bce"))
    both, gradient_of_both = value_and_gradient(Choice.of(AXIS, "bce"), Choice.of(AXIS, "hard_dice"))
    assert torch.equal(gradient, gradient_of_both)
    assert (both - alone).item() == pytest.approx(value("hard_dice", LOGITS, TARGET), abs=1e-6)


def test_hard_dice_trains_nothing() -> None:
    """H13 over whole epochs: equal weights, equal metrics, another curve of the loss."""
    alone, both = (
        Run(
            tiny_config(epochs=2, loss=tuple(Choice.of(AXIS, n) for n in names)),
            blob_data(),
            seed=0,
            threads=1,
        )
        for names in (["bce"], ["bce", "hard_dice"])
    )
    for one, other in zip(alone, both, strict=True):
        assert one.train_loss < other.train_loss
    for name, weights in alone.weights("last").items():
        assert torch.equal(weights, both.weights("last")[name]), name


def test_a_loss_without_gradient_is_refused() -> None:
    run = Run(tiny_config(loss=(Choice.of(AXIS, "hard_dice"),)), blob_data(), seed=0, threads=1)
    with pytest.raises(ExperimentError) as error:
        next(iter(run))
    assert str(error.value) == (
        "loss: no term has a gradient, so nothing can be learned from it. Add a term that has one, such as "
        "`bce`."
    )


@pytest.mark.parametrize("per_image", [False, True])
def test_tversky_at_one_half_is_dice(per_image: bool) -> None:
    """H5: the arms bce + dice and bce + tversky(.5, .5) are one function."""
    knobs = {"alpha": 0.5, "beta": 0.5, "smooth": 5e-7, "per_image": per_image}
    bce = Choice.of(AXIS, "bce")
    dice = value_and_gradient(bce, Choice.of(AXIS, "dice", per_image=per_image))
    tversky = value_and_gradient(bce, Choice.of(AXIS, "tversky", **knobs))
    assert tversky[0].item() == pytest.approx(dice[0].item(), abs=1e-6)
    assert torch.allclose(tversky[1], dice[1], rtol=0, atol=1e-6 * dice[1].abs().max().item())


def test_jaccard_is_a_function_of_dice() -> None:
    dice = value("dice", LOGITS, TARGET, smooth=2.0)
    assert value("jaccard", LOGITS, TARGET, smooth=1.0) == pytest.approx(2 * dice / (1 + dice), abs=1e-6)
