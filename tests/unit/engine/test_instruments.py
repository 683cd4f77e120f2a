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
from segbench.errors import ExperimentError, TrialError

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


@pytest.mark.parametrize("deterministic", [False, True])
def test_cuda_computes_fast_or_alike_and_a_cpu_is_left_alone(deterministic) -> None:
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic
    for device in ("cuda:0", "cpu"):
        with Numerics(torch.device(device), "fp32", 1, deterministic).active():
            assert (cudnn.benchmark, cudnn.deterministic) == (not deterministic, deterministic)
            is_strict = torch.are_deterministic_algorithms_enabled()
        assert is_strict == (deterministic and device == "cuda:0")
        assert not torch.are_deterministic_algorithms_enabled()
    assert (cudnn.benchmark, cudnn.deterministic) == before


def test_an_operation_without_a_deterministic_kernel_is_named() -> None:
    """The error that PyTorch raises, from an operation that has no such kernel on a CPU either."""
    numerics = Numerics(torch.device("cuda:0"), "fp32", 1, deterministic=True)
    with pytest.raises(TrialError) as caught, numerics.active():
        torch.zeros(3).put_(torch.tensor([0, 0]), torch.ones(2))
    assert str(caught.value) == (
        "deterministic: put_ has no deterministic kernel on a GPU, got True. Take a layer or a loss that "
        "does without it, or leave `deterministic: true` out."
    )
    assert not torch.are_deterministic_algorithms_enabled()


def test_settings_of_cublas_that_give_other_sums_are_named(monkeypatch) -> None:
    """The beginning of PyTorch's message."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":1:1")
    said = (
        "Deterministic behavior was enabled with either `torch.use_deterministic_algorithms(True)` or "
        "`at::Context::setDeterministicAlgorithms(true)`, but this operation is not deterministic because it "
        "uses CuBLAS and you have CUDA >= 10.2. To enable deterministic behavior in this case, you must set "
        "an environment variable before running your PyTorch application: CUBLAS_WORKSPACE_CONFIG=:4096:8"
    )
    numerics = Numerics(torch.device("cuda:0"), "fp32", 1, deterministic=True)
    with pytest.raises(TrialError) as caught, numerics.active():
        raise RuntimeError(said)
    assert str(caught.value).startswith(
        "deterministic: matrix products need the environment variable CUBLAS_WORKSPACE_CONFIG to be :4096:8 "
        "or :16:8, got ':1:1'. Unset it"
    )


def test_other_errors_stay_what_they_are() -> None:
    with (
        pytest.raises(RuntimeError, match="shapes"),
        Numerics(torch.device("cuda:0"), "fp32", 1, deterministic=True).active(),
    ):
        raise RuntimeError("shapes do not fit")
