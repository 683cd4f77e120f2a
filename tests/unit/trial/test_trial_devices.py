"""Device slots: who runs where, with how many threads."""

from __future__ import annotations

import pytest
import torch

from segbench.errors import ExperimentError
from segbench.trial.devices import loader_workers, plan_slots, visible_gpus

GPUS = ["0", "1", "GPU-uuid"]


def test_one_cpu_worker_has_all_cores() -> None:
    (slot,) = plan_slots("auto", cores=6, gpus=[])
    assert (slot.device, slot.threads, slot.name) == ("cpu", 6, "cpu")
    assert slot.environment == {
        "OMP_NUM_THREADS": "6",
        "MKL_NUM_THREADS": "6",
        "OPENBLAS_NUM_THREADS": "6",
        "CUDA_VISIBLE_DEVICES": "",
    }


@pytest.mark.parametrize(
    ("num_trials", "cores", "memory_gib", "expected"),
    [(8, 2, 24, (2, 1)), (1, 2, 24, (1, 2)), (30, 64, 256, (8, 8)), (30, 16, 9, (2, 8)), (3, 4, 1, (1, 4))],
)
def test_cpu_workers_by_trials_cores_and_memory(
    num_trials: int, cores: int, memory_gib: float, expected: tuple[int, int]
) -> None:
    slots = plan_slots("cpu", num_trials=num_trials, cores=cores, memory_gib=memory_gib, gpus=[])
    assert (len(slots), slots[0].threads) == expected


def test_cores_are_divided_among_workers() -> None:
    assert [s.threads for s in plan_slots("cpu", workers=4, cores=10, gpus=GPUS)] == [2, 2, 2, 2]
    assert [s.threads for s in plan_slots("cpu", workers=4, cores=2, gpus=[])] == [1, 1, 1, 1]
    assert [s.threads for s in plan_slots("cpu", workers=2, threads=3, cores=2, gpus=[])] == [3, 3]


def test_one_worker_a_gpu() -> None:
    slots = plan_slots("auto", cores=12, gpus=GPUS)
    assert [s.device for s in slots] == ["cuda"] * 3
    assert [s.environment["CUDA_VISIBLE_DEVICES"] for s in slots] == GPUS
    assert [s.name for s in slots] == ["cuda:0", "cuda:1", "cuda:2"]
    assert {s.threads for s in slots} == {4}


def test_more_workers_share_gpus_in_turn() -> None:
    slots = plan_slots("cuda", workers=4, cores=4, gpus=GPUS[:2])
    assert [s.environment["CUDA_VISIBLE_DEVICES"] for s in slots] == ["0", "1", "0", "1"]


def test_one_gpu_by_number() -> None:
    (slot,) = plan_slots("cuda:2", cores=4, gpus=GPUS)
    assert (slot.device, slot.name, slot.environment["CUDA_VISIBLE_DEVICES"]) == (
        "cuda",
        "cuda:2",
        "GPU-uuid",
    )


@pytest.mark.parametrize("device", ["0,2", "cuda:0,cuda:2", " cuda:0, 2"])
def test_gpus_by_a_list(device: str) -> None:
    slots = plan_slots(device, cores=8, gpus=GPUS)
    assert [(s.name, s.environment["CUDA_VISIBLE_DEVICES"]) for s in slots] == [
        ("cuda:0", "0"),
        ("cuda:2", "GPU-uuid"),
    ]
    assert {s.threads for s in slots} == {4}


def test_several_trials_a_gpu() -> None:
    slots = plan_slots("0,2", trials_per_gpu=2, cores=8, gpus=GPUS)
    assert [s.name for s in slots] == ["cuda:0", "cuda:2"] * 2
    assert {s.threads for s in slots} == {2}
    assert len(plan_slots("cuda", trials_per_gpu=2, workers=6, cores=8, gpus=GPUS)) == 6


@pytest.mark.parametrize(
    ("workers", "gpus", "text"),
    [
        (
            None,
            [],
            "--trials-per-gpu: there is no GPU to run several trials on. --workers N says how many processes "
            "share the CPU.",
        ),
        (
            5,
            GPUS,
            "--trials-per-gpu: 2 trials on each of 3 GPUs are 6 workers, got '--workers 5'. "
            "Leave one of them out.",
        ),
    ],
)
def test_trials_a_gpu_that_cannot_be(workers: int | None, gpus: list[str], text: str) -> None:
    with pytest.raises(ExperimentError) as error:
        plan_slots("auto", trials_per_gpu=2, workers=workers, cores=4, gpus=gpus)
    assert str(error.value) == text


@pytest.mark.parametrize(
    ("device", "gpus", "text"),
    [
        (
            "gpu",
            [],
            "--device: there is no such device, got 'gpu'. Did you mean 'cpu'? Known: auto, cpu, cuda",
        ),
        ("cpu:0", [], "--device: there is no such device, got 'cpu:0'. Did you mean 'cpu'?"),
        ("cuda:x", GPUS, "--device: there is no such device, got 'cuda:x'."),
        ("cuda", [], "--device: no CUDA device is visible, got 'cuda'. --device cpu runs without one."),
        ("cuda:3", GPUS, "--device: there is no such device, got 'cuda:3'."),
        ("0,3", GPUS, "--device: there is no such device, got 'cuda:3'."),
        ("0,cuda:0", GPUS, "--device: a GPU is named twice, got '0,cuda:0'. --trials-per-gpu runs several"),
        ("0,cpu", GPUS, "--device: a list names GPUs by number, such as 0,2, got 'cpu'."),
        ("0,", GPUS, "--device: there is no such device, got ''."),
        ("0,2", [], "--device: no CUDA device is visible, got '0,2'. --device cpu runs without one."),
    ],
)
def test_unknown_devices_are_refused(device: str, gpus: list[str], text: str) -> None:
    with pytest.raises(ExperimentError) as error:
        plan_slots(device, cores=4, gpus=gpus)
    assert str(error.value).startswith(text)


def test_hidden_gpus_are_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []


def test_loader_workers() -> None:
    assert [loader_workers("cpu", 8), loader_workers("cuda", 1), loader_workers("cuda", 5)] == [0, 0, 4]
    assert loader_workers("cuda", 64) == 8


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_is_found() -> None:
    assert visible_gpus()
