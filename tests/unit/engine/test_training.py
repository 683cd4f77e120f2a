"""Training steps: accumulated batches, mixed batches, and the rate of every step."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from blobs import blob_data, tiny_config

from segbench import registry
from segbench.config.trial import Choice, Objective, TrialConfig
from segbench.data.batches import Batch, TrainBatches
from segbench.engine import Run
from segbench.engine.rates import Rates
from segbench.errors import ExperimentError


def plain(**changes: Any) -> TrialConfig:
    """Return a configuration whose loss is a mean over images, without batch statistics."""
    return tiny_config(
        **{
            "norm": Choice.of("norm", "none"),
            "loss": (Choice.of("loss", "bce"),),
            "optimizer": Choice.of("optimizer", "sgd", lr=0.1),
            "schedule": Choice.of("schedule", "constant"),
            "grad_clip": 0.05,
            "epochs": 2,
            **changes,
        }
    )


@pytest.mark.parametrize("num_train", [16, 13, 11])
def test_accumulated_batches_are_one_batch(num_train: int) -> None:
    """Eight images at once or four and four, also where the last step has 5 = 4 + 1 or 3 images."""
    data = blob_data(num_train=num_train)
    steps: list[tuple[int, int]] = []
    whole = Run(plain(batch_size=8), data, seed=0, threads=1)
    parts = Run(
        plain(batch_size=4, accumulate=2), data, seed=0, threads=1, on_step=lambda *at: steps.append(at)
    )
    for ours, theirs in zip(parts, whole, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-5)
        assert ours.train_dice == pytest.approx(theirs.train_dice, abs=1e-3)
        assert ours.val["loss"] == pytest.approx(theirs.val["loss"], rel=1e-5)
    assert steps == [(1, 2), (2, 2)] * 2
    expected = whole.weights("last")
    for name, value in parts.weights("last").items():
        assert torch.allclose(value, expected[name], rtol=1e-4, atol=1e-6), name


def test_more_batches_than_there_are_make_one_step() -> None:
    data = blob_data(num_train=7)
    whole = Run(plain(batch_size=7), data, seed=0, threads=1)
    parts = Run(plain(batch_size=2, accumulate=100), data, seed=0, threads=1)
    assert [r.train_loss for r in parts] == pytest.approx([r.train_loss for r in whole], rel=1e-5)


def test_a_batch_of_a_step_sees_its_own_statistics() -> None:
    data = blob_data()
    losses = [
        next(iter(Run(plain(norm=Choice.of("norm", "batch"), **sizes), data, seed=0, threads=1))).train_loss
        for sizes in ({"batch_size": 8}, {"batch_size": 4, "accumulate": 2})
    ]
    assert losses[0] != pytest.approx(losses[1], rel=1e-4)


class Spy:
    """A mixing that notes what it is given, and empties every batch."""

    def __init__(self) -> None:
        self.seeds: list[int] = []

    def __call__(self, images: Any, target: Any, valid: Any, seed: int) -> Any:
        self.seeds.append(seed)
        return torch.zeros_like(images), torch.zeros_like(target), valid


def test_a_batch_is_mixed_before_network_and_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """Emptied batches look alike whatever the data; validation images are not mixed."""
    records, seeds = [], []
    for data_seed in (0, 1):
        spy = Spy()
        monkeypatch.setattr("segbench.axes.mix.none._unmixed", spy)
        config = plain(optimizer=Choice.of("optimizer", "sgd", lr=1e-30), accumulate=2)
        records.append(list(Run(config, blob_data(seed=data_seed), seed=0, threads=1)))
        seeds.append(spy.seeds)
    assert [r.train_loss for r in records[0]] == [r.train_loss for r in records[1]]
    assert records[0][0].val["loss"] != records[1][0].val["loss"]
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == 4  # a draw a batch, not a step


@pytest.mark.parametrize("name", ["cutmix", "mixup"])
def test_mixed_batches_train(name: str) -> None:
    data = blob_data(num_train=9)  # the last batch has one image
    mixed = Run(plain(mix=Choice.of("mix", name, alpha=1.0), epochs=4), data, seed=0, threads=1)
    unmixed = Run(plain(epochs=4), data, seed=0, threads=1)
    assert [r.train_loss for r in mixed] != [r.train_loss for r in unmixed]
    assert mixed.history[-1].train_loss < mixed.history[0].train_loss


def test_pixels_that_do_not_count_are_mixed_before_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of every image does not count; blended with another one, less of it does."""
    shares: list[float] = []

    class Loss(torch.nn.Module):
        def forward(self, logits: Any, target: Any, valid: Any = None) -> Any:
            if self.training:
                assert not target[~valid].any()
                shares.extend(valid.float().mean((1, 2, 3)).tolist())
            return logits.square().mean()

    def epoch(self: TrainBatches, number: int) -> Iterator[Batch]:
        for batch in whole(self, number):
            valid = torch.zeros_like(batch.target, dtype=torch.bool)
            for row, place in enumerate(batch.index.tolist()):
                valid[row, :, place : place + 16] = True
            yield replace(batch, target=batch.target * valid, valid=valid)

    whole = TrainBatches.epoch
    monkeypatch.setattr(TrainBatches, "epoch", epoch)
    monkeypatch.setattr("segbench.axes.loss.build", lambda terms: Loss())
    for name in ("none", "mixup", "cutmix"):
        shares.clear()
        list(Run(plain(mix=Choice.of("mix", name), augment=Choice("none")), blob_data(), seed=0, threads=1))
        if name == "none":
            assert set(shares) == {0.5}
        elif name == "mixup":
            assert max(shares) <= 0.5
            assert 0.25 <= min(shares) < 0.5
        else:
            assert len(set(shares)) > 4


def test_a_batch_of_one_cannot_be_mixed() -> None:
    with pytest.raises(ExperimentError) as error:
        Run(plain(mix=Choice.of("mix", "cutmix"), batch_size=1), blob_data(), seed=0)
    assert str(error.value) == (
        "mix: cutmix needs a batch of at least 2, got 1. Raise batch_size, or write `mix: none`."
    )


def test_the_recorded_rate_is_that_of_the_last_step() -> None:
    schedule = Choice.of("schedule", "one_cycle", anneal="linear", pct_start=0.5, div_factor=2.0)
    run = Run(plain(schedule=schedule, batch_size=2, epochs=2), blob_data(), seed=0, threads=1)
    assert [r.lr for r in run] == pytest.approx([0.1 * (0.5 + 0.5 * 3 / 4), 0.1 * (1 - (1 - 5e-5) * 3 / 4)])


@pytest.mark.parametrize(("metric", "direction"), [("val_loss", "minimize"), ("val_dice", "maximize")])
def test_plateau_follows_the_objective(metric: str, direction: str) -> None:
    """Nothing improves at this rate, so every epoch from the second on is followed by a drop."""
    config = plain(
        optimizer=Choice.of("optimizer", "sgd", lr=1e-30),
        schedule=Choice.of("schedule", "plateau", patience=0, factor=0.5),
        objective=Objective(metric, direction),
        epochs=4,
    )
    rates = [r.lr for r in Run(config, blob_data(), seed=0, threads=1)]
    assert rates == pytest.approx([1e-30, 1e-30, 5e-31, 2.5e-31])


def test_plateau_keeps_the_rate_while_the_objective_improves() -> None:
    objective = Objective("train_loss", "minimize")
    config = plain(
        schedule=Choice.of("schedule", "plateau", patience=0, threshold=0.0), objective=objective, epochs=4
    )
    records = list(Run(config, blob_data(), seed=0, threads=1))
    losses = [r.train_loss for r in records]
    assert losses == sorted(losses, reverse=True)
    assert [r.lr for r in records] == [0.1] * 4


def test_a_state_goes_into_the_tensors_that_are_there() -> None:
    """A recorded step knows them by address; how the optimiser steps is not the file's affair."""
    data = blob_data()

    def tensors(run: Run) -> list[torch.Tensor]:
        states = run._optimizer.state.values()
        return [value for state in states for value in state.values() if isinstance(value, torch.Tensor)]

    for optimizer in ("adam", "sgd", "rmsprop"):
        config = tiny_config(optimizer=Choice.of("optimizer", optimizer, lr=0.01), epochs=2)
        first, second = (Run(config, data, seed=seed, threads=1) for seed in (0, 1))
        next(iter(first))
        next(iter(second))
        saved = first.state_dict()
        assert type(saved["optimizer"]["param_groups"][0]["lr"]) is float
        saved["optimizer"]["param_groups"][0]["foreach"] = True
        held = [(id(value), value.data_ptr()) for value in tensors(second)]
        assert held
        second.load_state_dict(saved)
        assert [(id(value), value.data_ptr()) for value in tensors(second)] == held
        assert second._optimizer.param_groups[0]["foreach"] is None
        assert all(torch.equal(a, b) for a, b in zip(tensors(second), tensors(first), strict=True))


def test_rates_kept_as_tensors_follow_the_schedule_and_are_told_as_they_were_set() -> None:
    """As on a GPU, whose kernels read them in float32."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    rate = optimizer.param_groups[0]["lr"] = torch.tensor(0.1)
    schedule = registry.build("schedule", "poly", power=1.0)
    rates = Rates(optimizer, [0.1], schedule, epochs=10)
    rates.set(1, 1, 1, ())
    first = rates.lr
    rates.set(6, 1, 1, ())
    assert optimizer.param_groups[0]["lr"] is rate
    assert 0 < rates.lr < first <= 0.1
    assert rates.lr != float(rate)  # float32
    assert float(rate) == pytest.approx(rates.lr, rel=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_a_compiled_network_trains_as_it_comes() -> None:
    data = blob_data(num_train=10)  # batches of 4, 4 and 2
    expected = [r.train_loss for r in Run(tiny_config(epochs=2), data, seed=0, threads=1)]
    run = Run(tiny_config(epochs=2, compile=True), data, seed=0, threads=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own
        assert [r.train_loss for r in run] == pytest.approx(expected, rel=1e-4)
    assert run.path == {
        "layout": "channels_last",
        "graph": "no: the device is no GPU",
        "compiled": True,
        "data": "cache",
    }
    assert run.evaluate("test").loss > 0
