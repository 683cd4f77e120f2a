"""What only a GPU can show."""

from __future__ import annotations

import pytest
import torch
from blobs import blob_data, tiny_config

from segbench import registry
from segbench.config.trial import Choice
from segbench.engine import Run
from segbench.engine.averaging import WeightAverage
from segbench.records import TIMING_COLUMNS

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def rows(run: Run) -> list[dict[str, float]]:
    return [{k: v for k, v in r.row().items() if k not in TIMING_COLUMNS} for r in run]


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
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(3):
            average.update()
            mixed = [mix(images, target, target > 0, step) for mix in mixings]
    finally:
        torch.cuda.set_sync_debug_mode("default")
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
