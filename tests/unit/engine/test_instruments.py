"""Memory, devices and precision switches."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from segbench.engine.heap import return_freed_memory
from segbench.engine.instruments import PeakMemory, Waits, name_device, parameters_without_gradient
from segbench.engine.numerics import Numerics, choose_device, seeded
from segbench.errors import ExperimentError

CPU = torch.device("cpu")


@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="this system cannot restart VmHWM"
)
def test_the_peak_is_that_since_the_restart() -> None:
    memory = PeakMemory(CPU)
    return_freed_memory()  # other tests may have had it held
    memory.restart()
    before = memory.read_mib()
    held = np.ones(128 * 2**20, dtype=np.uint8)
    assert memory.read_mib() == pytest.approx(before + 128, abs=16)
    del held
    return_freed_memory()
    memory.restart()
    assert memory.read_mib() == pytest.approx(before, abs=16)


def test_the_cpu_has_a_name() -> None:
    assert name_device(CPU).strip()


def test_devices_by_name() -> None:
    assert choose_device("cpu") == CPU
    assert choose_device(CPU) == CPU
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ExperimentError) as caught:
        choose_device("gpu")
    assert str(caught.value).startswith("device: there is no such device here, got 'gpu'.")
    assert "Known: auto, cpu" in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_missing_gpu_is_said(device) -> None:
    with pytest.raises(ExperimentError, match=r"device: there is no such device here, got 'cuda"):
        choose_device(device)


@pytest.mark.parametrize(("precision", "switch"), [("fp32", "ieee"), ("tf32", "tf32"), ("bf16", "ieee")])
def test_the_switches_hold_within_the_block_only(precision, switch) -> None:
    watched = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    before = [w.fp32_precision for w in watched]
    seen = []

    def fail() -> None:
        with Numerics(CPU, precision, 1).active():
            seen.extend([*(w.fp32_precision for w in watched), torch.get_num_threads()])
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert seen == [switch, switch, 1]
    assert [w.fp32_precision for w in watched] == before


def test_a_seeded_block_draws_the_same_whatever_came_before() -> None:
    draws = []
    for burned in (0, 5):
        torch.rand(burned)
        with seeded(11, CPU):
            draws.append(torch.rand(3).tolist())
    assert draws[0] == draws[1]


class _Idle(nn.Module):
    """A convolution, one that is multiplied by zero, one that is frozen, and one that nothing uses."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.silenced, self.frozen, self.unused = (nn.Conv2d(3, 1, 1) for _ in range(4))
        self.frozen.requires_grad_(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.used(images) + 0 * self.silenced(images) + self.frozen(images)


def test_parameters_that_no_gradient_reaches() -> None:
    network = _Idle().eval()
    names = parameters_without_gradient(network, torch.ones(2, 3, 4, 4))
    assert names == ("silenced.weight", "silenced.bias", "unused.weight", "unused.bias")
    assert not network.training
    assert all(parameter.grad is None for parameter in network.parameters())


def test_waits_are_of_the_things_waited_for_alone() -> None:
    def things() -> Iterator[int]:
        for number in range(3):
            time.sleep(0.05)
            yield number

    waits = Waits(things())
    found = []
    for thing in waits:
        found.append(thing)
        time.sleep(0.2)
    assert found == [0, 1, 2]
    assert 0.15 <= waits.seconds < 0.5
