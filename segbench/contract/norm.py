"""The contract of a normalisation layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segbench.contract import Broken, Subject
from segbench.contract.tensors import (
    expect_close,
    expect_every_parameter_reached,
    expect_finite,
    expect_finite_gradients,
    expect_round_trip,
    expect_same,
    expect_shape,
    normal,
    seeded,
)

WIDTHS = (8, 64)


def keeps_shape_and_type(subject: Subject) -> None:
    """(N, C, H, W) features keep their shape and type, also at batch 1 and non-square."""
    for channels in WIDTHS:
        layer = _layer(subject, channels)
        for shape in ((1, channels, 4, 4), (2, channels, 4, 6), (2, channels, 6, 4)):
            out = layer(normal(*shape))
            expect_shape(out, shape, "the output")
            expect_finite(out, "the output")
            if out.dtype != torch.float32:
                raise Broken(f"float32 features became {out.dtype}")


def is_finite_on_constant_features(subject: Subject) -> None:
    """Constant and large features give finite output and gradient."""
    for value in (0.0, 1e4):
        features = torch.full((2, 8, 4, 4), value, requires_grad=True)
        out = _layer(subject)(features)
        expect_finite(out, f"the output for features of {value:g}")
        out.sum().backward()
        assert features.grad is not None
        expect_finite(features.grad, f"the gradient for features of {value:g}")


def reaches_every_parameter(subject: Subject) -> None:
    """The gradient reaches the features and every parameter."""
    layer, features = _layer(subject), normal(2, 8, 4, 4).requires_grad_()
    (layer(features) * normal(2, 8, 4, 4, seed=1)).sum().backward()
    expect_every_parameter_reached(layer, features.detach())
    expect_finite_gradients(layer)
    if features.grad is None or not features.grad.any():
        raise Broken("no gradient reaches the features")


def allows_relu_in_place(subject: Subject) -> None:
    """A ReLU in place may follow it, as many networks have it."""
    layer = _layer(subject)
    torch.relu_(layer(normal(2, 8, 4, 4).requires_grad_() * 1)).sum().backward()


def is_repeatable_in_evaluation(subject: Subject) -> None:
    """In evaluation equal features give equal output, an image alone the same as in a batch."""
    layer, features = _layer(subject).eval(), normal(2, 8, 4, 4)
    features[1] *= 5
    out = _output(layer, features)
    expect_same(out, _output(layer, features), "the same features twice")
    expect_close(out[:1], _output(layer, features[:1]), "an image alone and in a batch", atol=1e-5)


def saves_and_loads(subject: Subject) -> None:
    """The state can be saved and loaded into a fresh layer."""
    first, second, features = _layer(subject), _layer(subject, seed=1), normal(2, 8, 4, 4)
    first(features)
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.add_(0.25)
    expect_round_trip(first, second, "state")
    expect_same(_output(first.eval(), features), _output(second.eval(), features), "output after loading")


def runs_in_bf16(subject: Subject) -> None:
    """On bf16 features under autocast output and gradients are finite, and near those of float32."""
    layer, features = _layer(subject), normal(2, 8, 4, 4).bfloat16()
    exact = _output(_layer(subject), features.float())
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(features)
    expect_finite(out, "the output")
    expect_close(out.float(), exact, "bf16 and float32", rtol=2e-2, atol=2e-2)
    out.float().square().sum().backward() if out.requires_grad else None
    expect_finite_gradients(layer)


def runs_in_channels_last(subject: Subject) -> None:
    """The memory format channels_last changes nothing but rounding."""
    layer, features = _layer(subject).eval(), normal(2, 8, 4, 6)
    last = _output(layer, features.to(memory_format=torch.channels_last))
    expect_close(_output(layer, features), last, "channels_last", atol=1e-5)


def starts_the_same(subject: Subject) -> None:
    """reset_parameters() gives the starting values back, so every `init` keeps them."""
    layer, fresh = _layer(subject), _layer(subject)
    for module in layer.modules():
        if not list(module.parameters(recurse=False)):
            continue
        with torch.no_grad():
            for parameter in module.parameters(recurse=False):
                parameter.add_(0.25)
        reset_parameters = getattr(module, "reset_parameters", None)
        if reset_parameters is None:
            raise Broken(f"{type(module).__name__} has parameters but no reset_parameters()")
        with seeded():
            reset_parameters()
    for name, value in fresh.named_parameters():
        expect_same(value, layer.get_parameter(name), f"{name} after reset_parameters()")


def _layer(subject: Subject, channels: int = 8, *, seed: int = 0) -> nn.Module:
    with seeded(seed):
        layer = subject.build(channels)
    if not isinstance(layer, nn.Module):
        raise Broken(f"the factory must return an nn.Module, got {type(layer).__name__}")
    return layer


def _output(layer: nn.Module, features: Tensor) -> Tensor:
    with torch.no_grad():
        return layer(features)  # type: ignore[no-any-return]
