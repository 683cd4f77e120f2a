"""Nothing in a training step waits for the device: on tensors that say they are on a GPU, without one.

PyTorch's fake tensors have a shape and a device and no numbers, so the very code that trains runs here, and
every operation that a GPU would be waited for is seen: values read by the host, copies from memory that is
not pinned, shapes that depend on values. The backward pass alone needs a driver; it is watched on a CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pytest
import torch
from blobs import tiny_config
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils._device import _device_constructors
from torch.utils._python_dispatch import TorchDispatchMode

from segbench import registry
from segbench.axes import loss as losses
from segbench.axes.model import build
from segbench.config.trial import Choice, TrialConfig
from segbench.data import batches
from segbench.data.batched import BatchAugmentation, device_steps
from segbench.engine.counting import CHECK_EVERY, Tally
from segbench.engine.numerics import Numerics
from segbench.engine.rates import Rates, rates_on_device
from segbench.engine.state import WeightAverage
from segbench.engine.step import Step

CUDA = torch.device("cuda", 0)


class Waiting(TorchDispatchMode):
    """Notes the operations that make the host wait."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        if name in ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero"):
            self.found.append(name)
        if name.startswith("_fused_"):  # one kernel that changes its arguments; nothing stands for it here
            assert all(tensor.device.type == "cuda" for tensor in [*args[0], (kwargs or {})["lr"]])
            return None
        try:
            out = func(*args, **(kwargs or {}))
        except (DataDependentOutputException, DynamicOutputShapeException):
            self.found.append(name)
            raise
        if name in ("_to_copy", "copy_"):
            source = args[1] if name == "copy_" else args[0]
            is_async = (kwargs or {}).get("non_blocking", False) or (name == "copy_" and args[2:3] == (True,))
            if source.device.type != out.device.type and not is_async:
                self.found.append(f"{name} {source.device.type} to {out.device.type}")
        return out


@contextmanager
def on_fake_gpu() -> Iterator[Waiting]:
    """Within it tensors are fake, those made without a device are on a GPU."""
    batches.constants.cache_clear()
    with FakeTensorMode(), torch.device(CUDA), Waiting() as waiting:
        yield waiting
    batches.constants.cache_clear()


@contextmanager
def without_backward() -> Iterator[list[torch.Tensor]]:
    """Let `backward` fill the gradients of the tensors that are put in the list."""
    parameters: list[torch.Tensor] = []

    def fill(loss: torch.Tensor) -> None:
        assert loss.requires_grad
        for parameter in parameters:
            parameter.grad = torch.empty_like(parameter)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "backward", fill)
        yield parameters


def fake_step(config: TrialConfig) -> Step:
    model = build(config.model, config.norm, 3, 1)
    criterion = losses.build(config.loss)
    model.train()
    optimizer = registry.build(
        "optimizer", config.optimizer.name, [*model.parameters()], **config.optimizer.knobs
    )
    return Step(
        model=model,
        criterion=criterion,
        optimizer=optimizer,
        grad_clip=config.grad_clip,
        numerics=Numerics(CUDA, config.precision, None),
        forward=model,
    )


def waits_of_steps(config: TrialConfig, *, has_ignored: bool = True) -> list[str]:
    """Take three steps as an epoch does, and return what they waited for."""
    with on_fake_gpu() as waiting, without_backward() as gradients:
        step = fake_step(config)
        gradients.extend(step.parameters)
        base = rates_on_device(step.optimizer)
        schedule = registry.build("schedule", "one_cycle")
        rates = Rates(step.optimizer, base, schedule, epochs=3)
        average = WeightAverage(step.model, 0.9)
        tally = Tally(epoch=1, what="train_loss")
        images, target = torch.rand(2, 3, 64, 64), torch.ones(2, 1, 64, 64)
        valid = target > 0 if has_ignored else None
        waiting.found.clear()  # building may wait
        for number in range(3):
            rates.set(1, number + 1, 3, ())
            tally.add(step(images, target, valid))
            average.update()
        return list(waiting.found)


@pytest.mark.parametrize("optimizer", registry.variants("optimizer"))
def test_no_optimiser_waits(optimizer) -> None:
    assert waits_of_steps(tiny_config(optimizer=Choice.of("optimizer", optimizer))) == []


@pytest.mark.parametrize("model", ["unet", "resnet34_unet", "attention_unet", "deeplabv3", "fcn"])
def test_no_network_waits(model) -> None:
    assert waits_of_steps(tiny_config(model=Choice.of("model", model)), has_ignored=False) == []


@pytest.mark.parametrize("norm", [n for n in registry.variants("norm") if n != "batch"])
def test_no_norm_waits(norm) -> None:
    config = tiny_config(model=Choice.of("model", "unet", width=8, depth=2), norm=Choice.of("norm", norm))
    assert waits_of_steps(config) == []


@pytest.mark.parametrize("has_ignored", [False, True])
@pytest.mark.parametrize("loss", registry.variants("loss"))
def test_no_loss_waits(loss, has_ignored) -> None:
    if loss == "hard_dice":  # has no gradient by itself
        terms = (Choice.of("loss", "bce"), Choice.of("loss", loss))
    else:
        terms = (Choice.of("loss", loss),)
    assert waits_of_steps(tiny_config(loss=terms), has_ignored=has_ignored) == []


@pytest.mark.parametrize("mix", registry.variants("mix"))
def test_no_mixing_waits(mix, monkeypatch) -> None:
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)  # there is no driver to pin with
    draws = {seed: np.random.PCG64(seed) for seed in range(3)}
    monkeypatch.setattr(np.random, "PCG64", draws.__getitem__)
    with on_fake_gpu() as waiting:
        mixing = registry.build("mix", mix)
        images, target = torch.rand(4, 3, 16, 16), torch.ones(4, 1, 16, 16)
        for seed in range(3):
            mixing(images, target, target > 0, seed)
        assert waiting.found == []


_NOT_BATCHED = ("transforms", "none", "flips_unsynchronised")
RECIPES = [name for name in registry.variants("augment") if name not in _NOT_BATCHED]


@pytest.mark.parametrize("recipe", RECIPES)
def test_no_batched_augmentation_waits(recipe, monkeypatch) -> None:
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    steps = device_steps(tiny_config(augment=Choice.of("augment", recipe)))
    with on_fake_gpu() as waiting:
        changing = BatchAugmentation(steps)
        drawn = changing.draw(0, 1, np.arange(64), size_px=(32, 32), device=CUDA)
        images, masks = torch.rand(64, 3, 32, 32), torch.ones(64, 1, 32, 32, dtype=torch.uint8)
        with drawing_without_generators():
            changing(images, masks, drawn, 0, FakeGenerator())
        assert waiting.found == []


@contextmanager
def drawing_without_generators() -> Iterator[None]:
    """A GPU's generator needs a driver."""
    _device_constructors()  # remembers what draws before it is replaced
    with pytest.MonkeyPatch.context() as patch:
        for name in ("rand", "randn"):
            draw = getattr(torch, name)
            patch.setattr(torch, name, lambda shape, draw=draw, generator=None, **more: draw(shape, **more))
        yield


class FakeGenerator:
    """Stands for a GPU's generator, which needs a driver."""

    device = CUDA


@pytest.mark.parametrize(
    "work",
    [
        lambda on_gpu: on_gpu.sum().item(),
        lambda on_gpu: float(on_gpu.mean()),
        lambda on_gpu: on_gpu[on_gpu > 0.5],
        lambda on_gpu: bool((on_gpu > 2).any()),
        lambda on_gpu: on_gpu.new_tensor([1.0, 2.0]),
        lambda on_gpu: on_gpu.cpu(),
        lambda on_gpu: torch.tensor([1.0, 2.0], device=CUDA),
    ],
)
def test_what_waits_is_found(work) -> None:
    with on_fake_gpu() as waiting:
        with suppress(DataDependentOutputException, DynamicOutputShapeException):
            work(torch.rand(4))
        assert waiting.found != []


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model": Choice.of("model", "attention_unet", width=4)},
        {
            "model": Choice.of("model", "resnet34_unet", width=16),
            "norm": Choice.of("norm", "group", groups=2),
        },
        *({"loss": (Choice.of("loss", "bce"), Choice.of("loss", n))} for n in registry.variants("loss")),
    ],
    ids=lambda changes: ",".join(str(value) for value in changes),
)
def test_neither_does_the_backward_pass(changes) -> None:
    """On a CPU, where values are read alike; the looks at the losses are there to be waited for."""
    config = tiny_config(**changes)
    model = build(config.model, config.norm, 3, 1)
    step = Step(
        model=model,
        criterion=losses.build({t.name: t for t in config.loss}.values()),
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        grad_clip=1.0,
        numerics=Numerics(torch.device("cpu"), "fp32", None),
        forward=model,
    )
    tally = Tally(epoch=1, what="train_loss")
    images, target = torch.rand(2, 3, 64, 64), torch.ones(2, 1, 64, 64)
    step(images, target, target > 0)
    with Waiting() as waiting:
        measured = step(images, target, target > 0)
        for _ in range(CHECK_EVERY - 1):
            tally.add(measured)
    assert waiting.found == []
