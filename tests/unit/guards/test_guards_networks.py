"""Networks that are no function of their images and saved state, and users' code that fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from segbench.guards import networks
from segbench.guards.finding import Finding, Severity
from segbench.guards.levels import check_levels
from segbench.guards.probes import Probes

Probe = Callable[..., Probes]
Write = Callable[[str, str, str], None]

NORMS = "axes: {norm: [batch, none]}\n"

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, in_channels, out_channels, norm):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 6, 3, padding=1)
        self.norm = norm(6)
        {init}
        self.head = nn.Conv2d(6, out_channels, 1)

    def forward(self, images):
        features = self.norm(self.conv(images)).relu()
        {forward}
        return self.head(features)

@variant
def net(in_channels, out_channels, norm):
    \"\"\"Two convolutions.\"\"\"
    return Net(in_channels, out_channels, norm)
"""


@pytest.fixture
def probe_net(probe: Probe, write_variant: Write) -> Callable[..., Probes]:
    def probe_net(init: str = "pass", forward: str = "pass", more: str = NORMS, **changes: str) -> Probes:
        write_variant("model", "net", NET.format(init=init, forward=forward))
        return probe(more, model="net", **changes)

    return probe_net


def texts(found: list[Finding]) -> list[str]:
    return [finding.text for finding in found]


@pytest.mark.parametrize("norm", ["batch", "none", "group", "instance", "layer", "dyt"])
@pytest.mark.parametrize("model", ["{unet: {depth: 2}}", "{resnet34_unet: {blocks: [1, 1]}}"])
def test_the_networks_of_segbench_pass(probe: Probe, model: str, norm: str) -> None:
    probes = probe("axes: {loss: [{bce: 1}, {dice: 1}]}\n", model=model, dataset="{shapes: {size_px: 32}}")
    assert texts(networks.levels_can_be_built(probes)) == []
    for guard in (
        networks.is_deterministic_in_evaluation,
        networks.is_saved_whole,
        networks.trains_every_parameter,
    ):
        assert guard(probes) == []


def test_a_plain_network_passes(probe_net: Callable[..., Probes]) -> None:
    probes = probe_net()
    assert networks.is_deterministic_in_evaluation(probes) == []
    assert networks.is_saved_whole(probes) == []
    assert networks.trains_every_parameter(probes) == []


def test_dropout_in_training_is_no_matter(probe_net: Callable[..., Probes]) -> None:
    probes = probe_net("self.drop = nn.Dropout2d(0.5)", "features = self.drop(features)")
    assert networks.is_deterministic_in_evaluation(probes) == []
    assert networks.is_saved_whole(probes) == []


def test_dropout_in_evaluation(probe_net: Callable[..., Probes]) -> None:
    probes = probe_net(forward="features = nn.functional.dropout(features, 0.5, True)")
    found = networks.is_deterministic_in_evaluation(probes)
    assert texts(found)[0] == (
        "exp: model: net gives other logits for the same images in evaluation; they differ from head "
        "(Conv2d) on. Draw only where `self.training` is True, and make parameters in __init__."
    )
    assert found[0].severity is Severity.WARNING


def test_a_state_that_moves_in_evaluation(probe_net: Callable[..., Probes]) -> None:
    probes = probe_net(
        "self.register_buffer('mean', torch.zeros(6))", "self.mean += features.detach().mean((0, 2, 3))"
    )
    found = networks.is_deterministic_in_evaluation(probes)
    assert texts(found)[0] == (
        "exp: model: net changes its state in evaluation (mean). "
        "Move running values only where `self.training` is True."
    )


def test_parameters_made_inside_forward(probe_net: Callable[..., Probes]) -> None:
    probes = probe_net(forward="features = nn.Conv2d(6, 6, 1)(features)")
    found = networks.is_saved_whole(probes)
    assert texts(found)[0] == (
        "exp: model: net makes parameters in forward (Conv2d.weight, Conv2d.bias): random at each call, "
        "never trained and never saved. Make every weight in __init__ as an nn.Parameter, a module or a "
        "buffer."
    )
    assert found[0].severity is Severity.ERROR


def test_a_tensor_that_is_no_buffer(probe_net: Callable[..., Probes]) -> None:
    probes = probe_net("self.scale = torch.rand(6, 1, 1)", "features = features * self.scale")
    assert texts(networks.is_saved_whole(probes))[0] == (
        "exp: model: net gives other logits once its state is loaded into a second network: the state misses "
        "scale. Make every weight in __init__ as an nn.Parameter, a module or a buffer."
    )


def test_a_constant_that_is_no_buffer_is_no_matter(probe_net: Callable[..., Probes]) -> None:
    probes = probe_net("self.scale = torch.full((6, 1, 1), 2.0)", "features = features * self.scale")
    assert networks.is_saved_whole(probes) == []


def test_parameters_that_nothing_uses(probe_net: Callable[..., Probes]) -> None:
    found = networks.trains_every_parameter(probe_net("self.classifier = nn.Linear(6, 2)"))
    assert texts(found)[0] == (
        "exp: model: net has 2 parameters without gradient (classifier.weight, classifier.bias). "
        "They stay as they were drawn: use them in forward, or take them out."
    )


def test_frozen_parameters_are_no_matter(probe_net: Callable[..., Probes]) -> None:
    probes = probe_net("self.conv.requires_grad_(False)")
    assert networks.trains_every_parameter(probes) == []


@pytest.mark.parametrize(
    ("forward", "error"),
    [
        ("raise RuntimeError('no' + chr(10) + 'never')", "RuntimeError: no (net.py:17)"),
        ("features = features[..., ::2]", "ValueError: logits must have the shape (3, 1, 16, 16), got "),
    ],
)
def test_code_that_fails_is_one_line(probe_net: Callable[..., Probes], forward: str, error: str) -> None:
    probes = probe_net(forward=forward)
    (found, *_) = texts(networks.levels_can_be_built(probes))
    assert found.startswith(f"exp: model: net cannot be used: {error}")
    assert "\n" not in found


def test_what_cannot_be_built_is_said_once(probe_net: Callable[..., Probes]) -> None:
    probes = probe_net(forward="raise RuntimeError('no')", more="axes: {loss: [{bce: 1}, {dice: 1}]}\n")
    found = check_levels(probes.experiment, probes.cells)
    assert [finding.code for finding in found] == ["SB124"]


def test_a_guard_that_cannot_look_says_so(probe_net: Callable[..., Probes]) -> None:
    fails = "if not self.training and torch.rand(()) < 2: raise RuntimeError('no')"
    probes = probe_net(forward=fails, more="axes: {loss: [{bce: 1}, {dice: 1}]}\n")
    found = {finding.code: finding for finding in check_levels(probes.experiment, probes.cells)}
    assert found["SB107"].text.startswith("exp: model: net fails on a single image in evaluation: RuntimeErr")
    assert {finding.severity for finding in found.values()} <= {Severity.ERROR, Severity.WARNING}


def test_progress_is_told(probe: Probe) -> None:
    told: list[Any] = []
    probes = probe(NORMS)
    check_levels(probes.experiment, probes.cells, on_progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] == len(told)
