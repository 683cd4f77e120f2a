"""Terms without gradient, and logits that are squashed twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from segbench import registry
from segbench.guards import networks
from segbench.guards.finding import Finding, Severity
from segbench.guards.probes import Probes

Probe = Callable[..., Probes]
Write = Callable[[str, str, str], None]

NORMS = "axes: {norm: [batch, none]}\n"

LOSS = """
import torch
from torch import nn

class Loss(nn.Module):
    def forward(self, logits, target, valid=None):
        {value}

@variant
def mine():
    \"\"\"A loss.\"\"\"
    return Loss()
"""

NET = """
from torch import nn

@variant
def net(in_channels, out_channels, norm):
    \"\"\"Two convolutions.\"\"\"
    return nn.Sequential(
        nn.Conv2d(in_channels, 4, 3, padding=1), norm(4), nn.ReLU(), nn.Conv2d(4, out_channels, 1){end}
    )
"""


def texts(found: list[Finding]) -> list[str]:
    return [finding.text for finding in found]


@pytest.fixture
def probe_loss(probe: Probe, write_variant: Write) -> Callable[..., Probes]:
    def probe_loss(value: str, terms: str = "{mine: 1}", more: str = NORMS) -> Probes:
        write_variant("loss", "mine", LOSS.format(value=value))
        return probe(more, loss=terms)

    return probe_loss


@pytest.mark.parametrize(
    "terms",
    [
        *(f"{{{name}: 1}}" for name, variant in registry.variants("loss").items() if not variant.flawed),
        "{bce: 1, dice: 1}",
        "{bce: {pos_weight: 3, label_smoothing: 0.1}}",
        "{dice: {smooth: 1e-8, smooth_in: denominator}}",
    ],
)
def test_the_losses_of_segbench_pass(probe: Probe, terms: str) -> None:
    probes = probe(NORMS, loss=terms)
    assert networks.terms_have_gradients(probes) == []
    assert networks.losses_get_what_they_take(probes) == []


def test_the_flawed_losses_of_segbench_are_found(probe: Probe) -> None:
    flawed = "{bce: 1, bce_logits_on_probs: 1, dice_on_logits: 1, hard_dice: 1}"
    probes = probe(f"{NORMS}allow_flawed: true\n", loss=flawed)
    (found,) = networks.terms_have_gradients(probes)
    assert "the term hard_dice (weight 1) has no gradient" in found.text
    twice, unsquashed = networks.losses_get_what_they_take(probes)
    assert "the term bce_logits_on_probs squashes logits twice" in twice.text
    assert "the term dice_on_logits takes no logits: right ones cost" in unsquashed.text


@pytest.mark.parametrize(
    "value",
    [
        "return 1 - ((logits > 0) == (target > 0.5)).float().mean()",
        "return (logits.sigmoid().round() - target).abs().mean()",
        "return logits.detach().abs().mean()",
    ],
)
def test_a_term_without_gradient(probe_loss: Callable[..., Probes], value: str) -> None:
    (found,) = networks.terms_have_gradients(probe_loss(value, "{bce: 1, mine: 0.5}"))
    assert found.severity is Severity.ERROR
    assert found.text == (
        "exp: loss: the term mine (weight 0.5) has no gradient, so nothing learns from it. "
        "Take it out, or a soft version of it: nothing may be rounded or thresholded."
    )


def test_consent_makes_a_warning_of_it(probe_loss: Callable[..., Probes]) -> None:
    probes = probe_loss("return logits.detach().mean()", more=f"{NORMS}allow_flawed: true\n")
    (found,) = networks.terms_have_gradients(probes)
    assert found.severity is Severity.WARNING


TWICE = "return nn.functional.binary_cross_entropy_with_logits(logits.sigmoid(), target)"


def test_logits_squashed_twice_by_the_loss(probe_loss: Callable[..., Probes]) -> None:
    (found,) = networks.losses_get_what_they_take(probe_loss(TWICE, "{mine: 2}"))
    assert found.severity is Severity.ERROR
    assert found.text == (
        "exp: loss: the term mine squashes logits twice: a perfect answer still costs 1.27. "
        "Feed it what it takes: logits to `bce`."
    )


def test_consent_to_squashing_twice(probe_loss: Callable[..., Probes]) -> None:
    probes = probe_loss(TWICE, more=f"{NORMS}allow_flawed: true\n")
    (found,) = networks.losses_get_what_they_take(probes)
    assert found.severity is Severity.WARNING


@pytest.mark.parametrize(
    "value",
    [
        "return nn.functional.binary_cross_entropy(logits.sigmoid(), target)",
        "return nn.functional.binary_cross_entropy_with_logits(logits, 0.9 * target + 0.05)",
        "return (logits - (2 * target - 1)).square().mean()",
    ],
)
def test_a_sigmoid_smoothed_labels_and_a_regression_are_no_matter(
    probe_loss: Callable[..., Probes], value: str
) -> None:
    assert networks.losses_get_what_they_take(probe_loss(value)) == []


@pytest.mark.parametrize("end", [", nn.Sigmoid()", ", nn.Softmax(1)"])
def test_probabilities_into_a_loss_on_logits(probe: Probe, write_variant: Write, end: str) -> None:
    write_variant("model", "net", NET.format(end=end))
    (found,) = networks.losses_get_what_they_take(probe(NORMS, model="net", loss="{bce: 1, dice: 1}"))
    assert found.text == (
        "exp: model: net emits probabilities, but bce + dice takes logits and squashes them again. "
        "Take the sigmoid or softmax out of the network."
    )


def test_probabilities_into_a_loss_on_probabilities(probe: Probe, write_variant: Write) -> None:
    write_variant("model", "net", NET.format(end=", nn.Sigmoid()"))
    write_variant(
        "loss",
        "mine",
        LOSS.format(value="return nn.functional.binary_cross_entropy(logits.clamp(0, 1), target)"),
    )
    assert networks.losses_get_what_they_take(probe(NORMS, model="net", loss="{mine: 1}")) == []


@pytest.mark.parametrize("end", ["", ", nn.Tanh()", ", nn.ReLU()", ", nn.LeakyReLU()"])
def test_outputs_that_leave_the_unit_interval(probe: Probe, write_variant: Write, end: str) -> None:
    write_variant("model", "net", NET.format(end=end))
    assert networks.losses_get_what_they_take(probe(NORMS, model="net")) == []
