"""What decides the arithmetic: device, precision, threads and the process's random state."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

import torch

from segbench.errors import ExperimentError, TrialError, message

_WITHOUT_KERNEL: Final = re.compile(r"(\S+) does not have a deterministic implementation")
_CUBLAS: Final = "CUBLAS_WORKSPACE_CONFIG"
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
    deterministic: bool = False
    """On CUDA: kernels that give the same sums each time; operations without one are refused. A CPU's are."""

    @property
    def memory_format(self) -> torch.memory_format:
        """Layout of images and weights: channels last for bf16, and on a CPU, where it is always faster."""
        if self.device.type == "cpu" or self.precision == "bf16":
            return torch.channels_last
        return torch.contiguous_format

    @contextmanager
    def active(self) -> Iterator[None]:
        """Set threads, TF32 and the choice of CUDA's kernels for the block, and put back what was there.

        With `deterministic` cuDNN times no algorithms, and PyTorch takes deterministic kernels alone; else
        cuDNN times its algorithms for every new shape and takes the fastest, whose sums may differ from run
        to run. Neither changes anything on a CPU.

        Raises:
            TrialError: `deterministic`, and an operation has no such kernel.
        """
        threads = torch.get_num_threads()
        switches = [switch.fp32_precision for switch in _FP32_SWITCHES]
        cudnn = torch.backends.cudnn
        chosen = cudnn.benchmark, cudnn.deterministic
        were_all = torch.are_deterministic_algorithms_enabled()
        only_warned = torch.is_deterministic_algorithms_warn_only_enabled()
        is_strict = self.deterministic and self.device.type == "cuda"
        try:
            if self.threads is not None and self.threads != threads:
                torch.set_num_threads(self.threads)
            for switch in _FP32_SWITCHES:
                switch.fp32_precision = "tf32" if self.precision == "tf32" else "ieee"
            cudnn.benchmark, cudnn.deterministic = not self.deterministic, self.deterministic
            if is_strict:
                torch.use_deterministic_algorithms(True)
            yield
        except RuntimeError as error:
            problem = _kernel_problem(error) if is_strict else None
            if problem is None:
                raise
            raise TrialError(problem) from error
        finally:
            if is_strict:
                torch.use_deterministic_algorithms(were_all, warn_only=only_warned)
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


def _kernel_problem(error: RuntimeError) -> str | None:
    """Say which operation has no deterministic kernel; None: the error is about something else."""
    if _CUBLAS in str(error):
        rule = f"matrix products need the environment variable {_CUBLAS} to be :4096:8 or :16:8"
        see = "Unset it: segbench sets it before CUDA starts, where it is not set"
        return message("deterministic", rule, got=os.environ.get(_CUBLAS), see=see)
    found = _WITHOUT_KERNEL.search(str(error))
    if found is None:
        return None
    rule = f"{found[1]} has no deterministic kernel on a GPU"
    see = "Take a layer or a loss that does without it, or leave `deterministic: true` out"
    return message("deterministic", rule, got=True, see=see)
