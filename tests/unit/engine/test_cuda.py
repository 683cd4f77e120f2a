"""What only a GPU can show."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from blobs import blob_data, tiny_config

from segbench import registry
from segbench.config.trial import Choice
from segbench.data.batched import DeviceBatches
from segbench.engine import Run, assembly, kept
from segbench.engine.graph import EAGER_STEPS
from segbench.engine.state import WeightAverage
from segbench.records import TIMING_COLUMNS

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def rows(run: Run) -> list[dict[str, float]]:
    return [{k: v for k, v in r.row().items() if k not in TIMING_COLUMNS} for r in run]


@contextmanager
def nobody_waits() -> Iterator[None]:
    """Fail where the CPU waits for the device."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Synchronization debug mode")
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.fixture(autouse=True)
def _no_step_of_another_test() -> Iterator[None]:
    kept.take(None)
    yield
    kept.take(None)


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_cuda_trains_like_the_cpu(precision) -> None:
    config = tiny_config(precision=precision, epochs=2)
    on_cpu = [r.train_loss for r in Run(config, blob_data(), seed=0, threads=1)]
    run = Run(config, blob_data(), seed=0, device="cuda")
    records = list(run)
    assert [r.train_loss for r in records] == pytest.approx(on_cpu, rel=1e-4 if precision == "fp32" else 0.05)
    assert 0 < records[-1].peak_memory_mib < 1000
    assert all(value.device.type == "cpu" for value in run.weights().values())
    assert run.evaluate("test", with_masks=True).masks.shape == (5, 32, 32)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_resume_on_cuda_is_bit_identical(precision) -> None:
    model = Choice("blobs:dropout_net", {"rate": 0.3})
    config = tiny_config(precision=precision, epochs=4, model=model, deterministic=True)
    expected = rows(Run(config, blob_data(), seed=0, device="cuda"))
    first = Run(config, blob_data(), seed=0, device="cuda")
    next(iter(first))
    second = Run(config, blob_data(), seed=0, device="cuda")
    second.load_state_dict(first.state_dict())
    torch.rand(3, device="cuda")
    assert rows(second) == expected[1:]


def test_the_generator_of_the_device_is_left_as_it_was() -> None:
    before = torch.cuda.get_rng_state()
    list(Run(tiny_config(epochs=1), blob_data(), seed=0, device="cuda"))
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_the_weights_start_as_on_the_cpu() -> None:
    ours = Run(tiny_config(), blob_data(), seed=0, device="cuda").weights("last")
    theirs = Run(tiny_config(), blob_data(), seed=0).weights("last")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_neither_averaging_nor_mixing_waits_for_the_device() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).cuda()
    average = WeightAverage(network, 0.9)
    images, target = torch.rand(4, 3, 16, 16, device="cuda"), torch.ones(4, 1, 16, 16, device="cuda")
    mixings = [registry.build("mix", name) for name in registry.variants("mix")]
    with nobody_waits():
        for step in range(3):
            average.update()
            mixed = [mix(images, target, target > 0, step) for mix in mixings]
    assert all(pixels.is_cuda for batch in mixed for pixels in batch)
    assert torch.equal(average.weights["0.weight"], network[0].weight)


def test_a_resume_on_cuda_with_average_and_mixing_is_bit_identical() -> None:
    schedule = Choice.of("schedule", "one_cycle")
    for optimizer in ("adam", "rmsprop"):
        config = tiny_config(
            epochs=3,
            deterministic=True,
            ema=0.9,
            accumulate=2,
            mix=Choice.of("mix", "cutmix"),
            schedule=schedule,
            optimizer=Choice.of("optimizer", optimizer, lr=1e-3),
        )
        expected = rows(Run(config, blob_data(), seed=0, device="cuda"))
        first = Run(config, blob_data(), seed=0, device="cuda")
        next(iter(first))
        second = Run(config, blob_data(), seed=0, device="cuda")
        second.load_state_dict(first.state_dict())
        assert rows(second) == expected[1:]


@pytest.mark.parametrize("augment_backend", ["cpu", "device"])
@pytest.mark.parametrize("model", ["unet", "resnet34_unet", "attention_unet"])
def test_a_deterministic_trial_gives_the_same_record_twice(model, augment_backend) -> None:
    config = tiny_config(
        epochs=2,
        precision="bf16",
        deterministic=True,
        model=Choice.of("model", model, width=8),
        augment=Choice.of("augment", "elastic"),
        augment_backend=augment_backend,
        loss=(Choice.of("loss", "bce"), Choice.of("loss", "lovasz")),
    )
    data = blob_data(size_px=64)
    assert rows(Run(config, data, seed=0, device="cuda")) == rows(Run(config, data, seed=0, device="cuda"))


GRAPHED = {
    "epochs": 3,
    "ema": 0.9,
    "mix": Choice.of("mix", "cutmix"),
    "schedule": Choice.of("schedule", "one_cycle"),
}
"""Runs of 18 images in batches of 4: four whole ones and one of two."""


def losses_of(monkeypatch: pytest.MonkeyPatch, *, graph: bool, seed: int = 0, **changes: Any) -> list[float]:
    """Train to the end, with a graph or without, and return losses of training and validation."""
    with monkeypatch.context() as patch:
        if not graph:
            patch.setattr(assembly, "why_eager", lambda *given: "a test")
        run = Run(tiny_config(**{**GRAPHED, **changes}), blob_data(num_train=18), seed=seed, device="cuda")
        found = [value for record in run for value in (record.train_loss, record.val["loss"])]
        if graph:
            assert run.path["graph"] in ("captured", "reused"), run.path["graph"]
        run.close()
    return found


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
def test_recorded_steps_train_as_eager_ones(optimizer, precision, monkeypatch) -> None:
    chosen = {"optimizer": Choice.of("optimizer", optimizer, lr=1e-3), "precision": precision}
    expected = losses_of(monkeypatch, graph=False, **chosen)
    tolerance = 1e-3 if precision == "fp32" else 0.03
    assert losses_of(monkeypatch, graph=True, **chosen) == pytest.approx(expected, rel=tolerance)


def test_a_graph_draws_the_dropout_that_eager_steps_draw(monkeypatch) -> None:
    """Were a replay to repeat the draws it was recorded with, the losses would be others by per cents."""
    chosen = {"model": Choice.of("model", "resnet34_unet", width=8, dropout=0.4)}
    expected = losses_of(monkeypatch, graph=False, **chosen)
    assert losses_of(monkeypatch, graph=True, **chosen) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_a_record_taken_over_gives_what_an_own_one_gives(order, monkeypatch) -> None:
    chosen = {
        "a": {"optimizer": Choice.of("optimizer", "adam", lr=1e-3), "seed": 0},
        "b": {
            "optimizer": Choice.of("optimizer", "adam", lr=1e-2),
            "init": Choice.of("init", "he"),
            "seed": 1,
        },
    }
    own = {}
    for name, changes in chosen.items():
        kept.take(None)
        own[name] = losses_of(monkeypatch, graph=True, **changes)
    kept.take(None)
    for name in order:
        assert losses_of(monkeypatch, graph=True, **chosen[name]) == pytest.approx(own[name], rel=1e-3)


def test_a_resume_in_a_graph_taken_over_goes_on(monkeypatch) -> None:
    expected = losses_of(monkeypatch, graph=True)
    config, data = tiny_config(**GRAPHED), blob_data(num_train=18)
    first = Run(config, data, seed=0, device="cuda")
    next(iter(first))
    saved = first.state_dict()
    first.close()
    second = Run(config, data, seed=0, device="cuda")
    second.load_state_dict(saved)
    assert second.path["graph"] == "reused"
    found = [value for record in second for value in (record.train_loss, record.val["loss"])]
    assert found == pytest.approx(expected[2:], rel=1e-3)


def test_the_memory_of_a_record_counts_and_comes_back() -> None:
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    run = Run(tiny_config(batch_size=8), blob_data(num_train=40, size_px=64), seed=0, device="cuda")
    records = list(run)
    assert run._assembly.held_bytes > 0
    assert records[-1].peak_memory_mib > run._assembly.held_bytes / 2**20
    run.close()
    del run
    kept.take(None)
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() <= before + 64 * 2**20


@pytest.mark.parametrize("augment", ["flips", "r3", "elastic"])
@pytest.mark.parametrize("graph", [False, True])
def test_no_step_waits_for_the_device(graph, augment, monkeypatch) -> None:
    """Not the batches, nor the steps, nor the looks at the losses."""
    if not graph:
        monkeypatch.setattr(assembly, "why_eager", lambda *given: "a test")
    config = tiny_config(
        augment=Choice.of("augment", augment), augment_backend="device", precision="bf16", **GRAPHED
    )
    data = blob_data(num_train=4 * (EAGER_STEPS + 2), size_px=64)
    run = Run(config, data, seed=0, device="cuda")
    assert isinstance(run._batches, DeviceBatches)
    assert run.path["data"] == "device memory"
    next(iter(run))  # constants are made, kernels chosen, the step is recorded
    training, tallies = run._training, []
    for batch in run._batches.epoch(2):
        with nobody_waits():
            training.rates.set(2, 1, 5, ())
            tallies.append(training._take(*training._mixed(batch, 1)))
            training.average.update()
    assert len(tallies) == EAGER_STEPS + 2
    with nobody_waits():
        assert len(list(run._batches.epoch(3))) == EAGER_STEPS + 2


def test_a_network_that_waits_is_trained_all_the_same(monkeypatch, caplog) -> None:
    own = losses_of(monkeypatch, graph=False)
    forward = torch.nn.Conv2d.forward

    def looking(self: Any, images: torch.Tensor) -> torch.Tensor:
        assert images.sum().item() == images.sum().item()
        return forward(self, images)

    monkeypatch.setattr(torch.nn.Conv2d, "forward", looking)
    run = Run(tiny_config(**GRAPHED), blob_data(num_train=18), seed=0, device="cuda")
    found = [value for record in run for value in (record.train_loss, record.val["loss"])]
    assert found == pytest.approx(own, rel=1e-3)
    assert run.path["graph"].startswith("no: a step waits for the device at ")
    assert "steps are taken one kernel at a time" in caplog.text


def test_evaluations_read_the_data_that_lie_on_the_device() -> None:
    data = blob_data()
    found = {}
    for backend in ("cpu", "device"):
        run = Run(tiny_config(augment_backend=backend), data, seed=0, device="cuda")
        found[backend] = run.evaluate("val", "last").means()
    assert found["device"] == pytest.approx(found["cpu"], rel=1e-4)
