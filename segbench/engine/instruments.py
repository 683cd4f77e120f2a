"""What a run costs: parameters, operations, memory, waiting."""

from __future__ import annotations

import platform
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from segbench.engine.numerics import Numerics

_MIB = 2**20

T = TypeVar("T")


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """Return the numbers of all parameters and of those that are trained."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(n for n, _ in sizes), sum(n for n, is_trained in sizes if is_trained)


def parameters_without_gradient(model: nn.Module, images: torch.Tensor) -> tuple[str, ...]:
    """Return the names of trained parameters that the gradient of the logits does not reach.

    Neither does a gradient that is zero everywhere. The logits are weighted with noise that is the same each
    time. Gradients are neither left nor used.

    Args:
        model: The network, in any mode; it runs in training mode once, and is put back.
        images: (N,C,H,W), on the network's device.
    """
    was_training = model.training
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    try:
        logits = model.train()(images)
    finally:
        model.train(was_training)
    noise = torch.randn(logits.shape, generator=torch.Generator().manual_seed(0)).to(logits)
    if not trained or not logits.requires_grad:
        return tuple(trained)
    found = torch.autograd.grad((logits * noise).sum(), [*trained.values()], allow_unused=True)
    return tuple(
        name for name, gradient in zip(trained, found, strict=True) if gradient is None or not gradient.any()
    )


def count_flops(model: nn.Module, shape: tuple[int, int, int], numerics: Numerics) -> int:
    """Count the floating-point operations of one forward pass of one image in evaluation mode.

    Two a multiply-add, of convolutions and matrix products; normalisation, activations and resizing are not
    counted (`torch.utils.flop_counter`).

    Args:
        model: The network, on the device of `numerics`.
        shape: (C,H,W) of the image.
        numerics: Device and precision.
    """
    was_training = model.training
    image = numerics.images(torch.zeros((1, *shape)))
    model.eval()
    try:
        with (
            FlopCounterMode(display=False) as counter,
            torch.no_grad(),
            numerics.active(),
            numerics.autocast(),
        ):
            model(image)
    finally:
        model.train(was_training)
    return int(counter.get_total_flops())


def name_device(device: torch.device) -> str:
    """Return the name of a GPU, or of the CPU's model where the system tells it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


class Waits(Generic[T]):
    """Passes things on one by one, and adds up how long each was waited for."""

    def __init__(self, things: Iterable[T]) -> None:
        self._things = things
        self.seconds = 0.0

    def __iter__(self) -> Iterator[T]:
        things = iter(self._things)
        while True:
            began = time.perf_counter()
            try:
                thing = next(things)
            except StopIteration:
                return
            finally:
                self.seconds += time.perf_counter() - began
            yield thing


class PeakMemory:
    """The largest memory in use since `restart`.

    On CUDA: bytes allocated by PyTorch on the device. On a CPU: the process's largest resident set (`VmHWM`),
    with the freed memory that it holds on to (`segbench.engine.heap`); where the system cannot restart that
    mark, it counts from the start of the process.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def restart(self) -> None:
        """Count from now on."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            return
        try:
            Path("/proc/self/clear_refs").write_text("5")  # 5: set VmHWM to the present size; Linux only
        except OSError:
            return

    def read_mib(self, held_bytes: int = 0) -> float:
        """Return the peak in MiB (2**20 bytes).

        Args:
            held_bytes: What a recorded step keeps on a GPU, of which PyTorch counts nothing as allocated.
        """
        if self._device.type == "cuda":
            return (torch.cuda.max_memory_allocated(self._device) + held_bytes) / _MIB
        return _peak_resident_bytes() / _MIB


def _peak_resident_bytes() -> int:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage if sys.platform == "darwin" else usage * 1024
