"""Skipping the first draw of weights changes no weight."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from blobs import tiny_config
from torch import nn

from segbench.config.trial import Choice, TrialConfig
from segbench.engine import network
from segbench.engine.network import build_network
from segbench.engine.numerics import Numerics

NETWORKS = {
    "unet": {"width": 4},
    "resnet34_unet": {"width": 4},
    "encoder_unet": {"encoder": "resnet18", "weights": "none"},
    "deeplabv3": {"backbone": "mobilenet_v3_large", "weights": "none"},
    "fcn": {"weights": "none"},
}


def config_of(name: str, norm: str = "batch", init: str = "default", **knobs: object) -> TrialConfig:
    return tiny_config(
        model=Choice.of("model", name, **knobs), norm=Choice.of("norm", norm), init=Choice.of("init", init)
    )


def skips(config: TrialConfig) -> nn.Module | None:
    return network._build(config, 3, 7, skips=True)


def plain(config: TrialConfig) -> dict[str, torch.Tensor]:
    built = network._build(config, 3, 7, skips=False)
    assert built is not None
    return built.state_dict()


@pytest.mark.parametrize("init", ["default", "he", "orthogonal"])
@pytest.mark.parametrize("norm", ["batch", "dyt", "none"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_weights_are_those_of_a_plain_build(name: str, norm: str, init: str) -> None:
    config = config_of(name, norm, init, **NETWORKS[name])
    built = skips(config)
    assert built is not None, "nothing of it needs the first draw"
    expected = plain(config)
    state = built.state_dict()
    assert list(state) == list(expected)
    assert all(torch.equal(state[key], expected[key]) for key in expected)


class Drawn(nn.Module):
    """One parameter of its own, which no `reset_parameters` draws again."""

    def __init__(self, draw: Callable[[torch.Tensor], object]) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.zeros(3))
        draw(self.own)
        self.conv = nn.Conv2d(3, 1, 1)


def by_init(own: torch.Tensor) -> object:
    return nn.init.normal_(own)


def by_method(own: torch.Tensor) -> object:
    with torch.no_grad():
        return own.normal_()


def by_copy(own: torch.Tensor) -> object:
    with torch.no_grad():
        return own.copy_(torch.randn(3))


@pytest.mark.parametrize("draw", [by_init, by_method, by_copy])
def test_a_draw_that_counts_is_made(
    draw: Callable[[torch.Tensor], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "build", lambda *given: Drawn(draw))
    config = config_of("unet")
    assert skips(config) is None
    numerics = Numerics(torch.device("cpu"), "fp32", 1)
    state = build_network(config, in_channels=3, seed=7, numerics=numerics).state_dict()
    expected = plain(config)
    assert expected["own"].abs().min() > 0
    assert all(torch.equal(state[key], expected[key]) for key in expected)
