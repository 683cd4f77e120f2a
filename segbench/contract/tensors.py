"""Tensors that checks compare and draw."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from segbench.contract import Broken
from segbench.engine.instruments import parameters_without_gradient


@contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    """Run a block under a seeded global generator, and leave the generator as it was."""
    before = torch.get_rng_state()
    try:
        torch.default_generator.manual_seed(seed)
        yield
    finally:
        torch.set_rng_state(before)


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Return standard normal numbers of a shape."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def mask(*shape: int, seed: int = 0) -> Tensor:
    """Return zeros and ones of a shape, 30 % ones."""
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.3).float()


def expect_shape(tensor: Any, shape: tuple[int, ...], what: str) -> None:
    if not isinstance(tensor, Tensor):
        raise Broken(f"{what} must be a tensor, got {type(tensor).__name__}")
    if tuple(tensor.shape) != shape:
        raise Broken(f"{what} must have the shape {shape}, got {tuple(tensor.shape)}")


def expect_finite(tensor: Tensor, what: str) -> None:
    if not torch.isfinite(tensor).all():
        raise Broken(f"{what} must be finite, got NaN or infinity")


def expect_same(first: Tensor, second: Tensor, what: str) -> None:
    """Demand bit-identical tensors."""
    if not torch.equal(first, second):
        raise Broken(f"{what}: differs by up to {_difference(first, second)}")


def expect_close(first: Tensor, second: Tensor, what: str, *, rtol: float = 1e-3, atol: float = 1e-4) -> None:
    """Demand equal tensors up to rounding: `atol` is of the largest value, where that is above 1."""
    atol *= max(1.0, first.detach().abs().max().item())
    if not torch.allclose(first, second, rtol=rtol, atol=atol):
        raise Broken(f"{what}: differs by up to {_difference(first, second)}")


def expect_round_trip(first: nn.Module, second: nn.Module, what: str) -> None:
    """Write the state of `first` as weights are written, read it into `second`, demand equal states."""
    buffer = io.BytesIO()
    torch.save(first.state_dict(), buffer)
    buffer.seek(0)
    second.load_state_dict(torch.load(buffer, weights_only=True))
    state = second.state_dict()
    for name, value in first.state_dict().items():
        expect_same(value, state[name], f"{what}: {name} after saving and loading")


def expect_every_parameter_reached(module: nn.Module, inputs: Tensor) -> None:
    """Demand a gradient that is not zero everywhere for every parameter that is trained."""
    names = parameters_without_gradient(module, inputs)
    if names:
        more = f", nor have {len(names) - 1} more" if len(names) > 1 else ""
        raise Broken(f"{names[0]} has no gradient, or one that is zero everywhere{more}: is it used?")


def expect_finite_gradients(module: nn.Module) -> None:
    """Demand that the gradients of a backward pass are finite."""
    for name, parameter in module.named_parameters():
        if parameter.grad is not None:
            expect_finite(parameter.grad, f"the gradient of {name}")


def _difference(first: Tensor, second: Tensor) -> str:
    return f"{(first.double() - second.double()).abs().max().item():.3g}"
