"""What decides the arithmetic: device, precision, threads and the process's random state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from segbench.errors import ExperimentError, message

_FP32_SWITCHES = (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn)


@dataclass(frozen=True)
class Numerics:
    """How one run computes; nothing of it outlives the `active` block."""

    device: torch.device
    precision: str
    """`fp32` (TF32 off), `tf32` (as fp32 on a CPU) or `bf16` (autocast; loss and weights stay
    float32)."""
    threads: int | None
    """Threads of one operation on the CPU; None: what the process has. Other numbers of threads give other
    sums."""

    @property
    def memory_format(self) -> torch.memory_format:
        """Layout of images and weights: channels last for bf16, and on a CPU, where it is always faster."""
        if self.device.type == "cpu" or self.precision == "bf16":
            return torch.channels_last
        return torch.contiguous_format

    @contextmanager
    def active(self) -> Iterator[None]:
        """Set threads, TF32 and cuDNN's choices for the block, and put back what was there.

        cuDNN's timing of algorithms is off and its deterministic kernels on, so that a run repeats.
        """
        threads = torch.get_num_threads()
        switches = [switch.fp32_precision for switch in _FP32_SWITCHES]
        cudnn = torch.backends.cudnn
        chosen = cudnn.benchmark, cudnn.deterministic
        try:
            if self.threads is not None and self.threads != threads:
                torch.set_num_threads(self.threads)
            for switch in _FP32_SWITCHES:
                switch.fp32_precision = "tf32" if self.precision == "tf32" else "ieee"
            cudnn.benchmark, cudnn.deterministic = False, True
            yield
        finally:
            cudnn.benchmark, cudnn.deterministic = chosen
            for switch, value in zip(_FP32_SWITCHES, switches, strict=True):
                switch.fp32_precision = value
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)

    def autocast(self) -> Any:
        """Return the context of a forward pass."""
        if self.precision != "bf16":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def images(self, images: torch.Tensor) -> torch.Tensor:
        """Bring a batch of images (N,C,H,W) to the device, in the layout of the network."""
        return images.to(self.device, non_blocking=True).contiguous(memory_format=self.memory_format)


def choose_device(device: str | torch.device) -> torch.device:
    """Return the device of a name: `auto` (CUDA where there is a GPU), `cpu`, `cuda` or `cuda:N`.

    Raises:
        ExperimentError: There is no such device.
    """
    if isinstance(device, torch.device) and (device.type == "cpu" or device.index is not None):
        return device
    kind, _, number = str(device).partition(":")
    num_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    known = ("auto", "cpu", *(("cuda", *(f"cuda:{n}" for n in range(num_gpus))) if num_gpus else ()))
    if str(device) not in known:
        raise ExperimentError(message("device", "there is no such device here", got=str(device), known=known))
    if kind == "cpu" or (kind == "auto" and not num_gpus):
        return torch.device("cpu")
    return torch.device("cuda", int(number) if number else torch.cuda.current_device())


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw from the generators of the CPU and of `device` as if freshly seeded; the process's state is put
    back."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
