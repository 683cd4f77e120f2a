"""The contract of an initialisation."""

from __future__ import annotations

import torch
from torch import nn

from segbench.contract import Broken, Subject
from segbench.contract.tensors import expect_finite, expect_same, seeded


def draws_from_its_generator(subject: Subject) -> None:
    """Equal generators give equal weights, whatever was there before."""
    for first, second in zip(_leaves(0), _leaves(1), strict=True):
        _initialise(subject, first, 3)
        _initialise(subject, second, 3)
        for name, value in first.named_parameters():
            what = f"{name} of {type(first).__name__} from equal generators"
            expect_same(value, second.get_parameter(name), what)


def gives_finite_weights(subject: Subject) -> None:
    """Every parameter is finite afterwards and still needs its gradient."""
    for module in _leaves():
        _initialise(subject, module)
        for name, value in module.named_parameters():
            expect_finite(value, f"{name} of {type(module).__name__}")
            if not value.requires_grad:
                raise Broken(f"{name} of {type(module).__name__} needs no gradient any more")


def breaks_symmetry(subject: Subject) -> None:
    """The filters of a convolution start apart, and apart for another generator."""
    first, second = (nn.Conv2d(3, 8, 3) for _ in range(2))
    _initialise(subject, first, 0)
    _initialise(subject, second, 1)
    if torch.equal(first.weight, second.weight):
        raise Broken("two generators give a convolution the same weights")
    if torch.equal(first.weight[0], first.weight[1]):
        raise Broken("all filters of a convolution start equal, so they stay equal")


def leaves_the_global_generator(subject: Subject) -> None:
    """The global generator stands where it stood."""
    for module in _leaves():
        with seeded(20_260_101):  # a state that no variant leaves behind by chance
            before = torch.get_rng_state()
            _initialise(subject, module)
            after = torch.get_rng_state()
        if not torch.equal(before, after):
            raise Broken(f"{type(module).__name__}: numbers were drawn from the global generator")


def returns_nothing(subject: Subject) -> None:
    """It changes the module in place and returns None."""
    returned = subject.build(nn.Conv2d(3, 8, 3), torch.Generator().manual_seed(0))
    if returned is not None:
        raise Broken(f"it returned {type(returned).__name__}")


def _leaves(seed: int = 0) -> list[nn.Module]:
    with seeded(seed):
        return [
            nn.Conv2d(3, 8, 3),
            nn.Conv2d(3, 8, 3, bias=False),
            nn.ConvTranspose2d(8, 4, 2, stride=2),
            nn.Linear(8, 4),
            nn.BatchNorm2d(8),
            nn.GroupNorm(2, 8),
            nn.LayerNorm(8),
        ]


def _initialise(subject: Subject, module: nn.Module, seed: int = 0) -> None:
    subject.build(module, torch.Generator().manual_seed(seed))
