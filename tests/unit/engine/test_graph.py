"""Recorded steps: what is replayed, what is not, and what the next trial takes over."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from blobs import blob_data, tiny_config

from segbench.config.trial import Choice, TrialConfig
from segbench.data.prepared import PreparedData
from segbench.engine import Diverged, Run, assembly, kept
from segbench.engine.counting import Measured
from segbench.engine.graph import EAGER_STEPS, StepGraph
from segbench.records import TIMING_COLUMNS


class FakeRecorder:
    """Records on a CPU as a GPU does: taking no step, and writing each replay's results to one place.

    A replay runs on the tensors that were there when it was recorded, or fails.
    """

    def __init__(self, *, problem: str | None = None, error: Exception | None = None) -> None:
        self.problem, self.error = problem, error
        self.held_bytes = 0
        self.watched: list[bool] = []
        self.num_replays = 0

    def aside(self, work: Callable[[], Measured], *, is_watched: bool) -> tuple[Measured, str | None]:
        self.watched.append(is_watched)
        return work(), self.problem if is_watched else None

    def record(self, work: Callable[[], Measured]) -> tuple[Measured, Callable[[], None]]:
        if self.error is not None:
            raise self.error
        step = inspect.getclosurevars(work).nonlocals["step"]
        held = [step.model, step.criterion]
        state = [copy.deepcopy(each.state_dict()) for each in held]
        moments = copy.deepcopy(step.optimizer.state_dict())
        known = addresses(step)
        random = torch.get_rng_state()
        outputs = work()
        torch.set_rng_state(random)
        for each, saved in zip(held, state, strict=True):
            each.load_state_dict(saved)
        put_back(step.optimizer, moments)
        self.held_bytes = 1000

        def replay() -> None:
            assert addresses(step) == known
            self.num_replays += 1
            for place, value in zip(outputs, work(), strict=True):
                place.copy_(value)

        return outputs, replay


def addresses(step: Any) -> list[int]:
    """Where everything lies that a step changes."""
    tensors = [*step.model.parameters(), *step.model.buffers()]
    for parameter in step.parameters:
        tensors += [v for v in step.optimizer.state[parameter].values() if isinstance(v, torch.Tensor)]
    return [tensor.data_ptr() for tensor in tensors]


def put_back(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Write a state where the present one lies."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for number, parameter in enumerate(parameters):
        for name, value in optimizer.state[parameter].items():
            if isinstance(value, torch.Tensor):
                value.copy_(saved["state"][number][name])


@pytest.fixture
def recorders(monkeypatch: pytest.MonkeyPatch) -> list[FakeRecorder]:
    """Let runs on a CPU record their steps; returns those who recorded."""
    made: list[FakeRecorder] = []

    def make(device: torch.device) -> FakeRecorder:
        made.append(FakeRecorder())
        return made[-1]

    monkeypatch.setattr(assembly, "CudaRecorder", make)
    monkeypatch.setattr(assembly, "why_eager", lambda *given: None)
    monkeypatch.setattr(kept, "_kept", None)
    return made


def rows(run: Run) -> list[dict[str, float]]:
    return [{k: v for k, v in r.row().items() if k not in TIMING_COLUMNS} for r in run]


def trained(config: TrialConfig, data: PreparedData, seed: int = 0) -> tuple[Any, str]:
    """Train to the end and close; return the rows with the last weights, and how steps were taken."""
    run = Run(config, data, seed=seed, threads=1)
    try:
        found = rows(run), run.evaluate("test").means(), run.weights("last")
        return found, run.path["graph"]
    finally:
        run.close()


def assert_same(one: Any, other: Any) -> None:
    assert one[:2] == other[:2]
    assert all(torch.equal(one[2][name], other[2][name]) for name in other[2])


OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_recorded_steps_train_as_eager_ones(recorders, optimizer, monkeypatch) -> None:
    """13 images: three batches of 4 and a ragged one an epoch; dropout, mixing, clipping, an average."""
    config = tiny_config(
        model=Choice("blobs:dropout_net", {"rate": 0.3}),
        optimizer=Choice.of("optimizer", optimizer, lr=0.01),
        schedule=Choice.of("schedule", "one_cycle"),
        mix=Choice.of("mix", "cutmix"),
        ema=0.9,
    )
    data = blob_data(num_train=13)
    found, state = trained(config, data)
    assert state == "captured"
    (recorder,) = recorders
    assert recorder.watched == [False] * (EAGER_STEPS - 1) + [True]
    assert recorder.num_replays == 3 * 3 - EAGER_STEPS
    monkeypatch.setattr(assembly, "why_eager", lambda *given: "a test")
    expected, state = trained(config, data)
    assert state == "no: a test"
    assert_same(found, expected)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_next_trial_of_the_shape_takes_the_record_over(recorders, optimizer, monkeypatch) -> None:
    """Trials A, B and B, A, with other rates and seeds, give the same; one of them resumes."""
    slow = tiny_config(optimizer=Choice.of("optimizer", optimizer, lr=0.002), epochs=2)
    fast = tiny_config(
        optimizer=Choice.of("optimizer", optimizer, lr=0.01), epochs=2, init=Choice.of("init", "he")
    )
    data = blob_data(num_train=18)
    found = {}
    for order in ("ab", "ba"):
        kept.take(None)
        states = []
        for name in order:
            config, seed = {"a": (slow, 0), "b": (fast, 1)}[name]
            found[order, name], state = trained(config, data, seed)
            states.append(state)
        assert states == ["captured", "reused"]
    assert len(recorders) == 2
    for name in "ab":
        assert_same(found["ab", name], found["ba", name])

    first = Run(slow, data, seed=0, threads=1)  # takes over what the last one left
    next(iter(first))
    saved = first.state_dict()
    first.close()
    second = Run(slow, data, seed=0, threads=1)
    second.load_state_dict(saved)
    assert second.path["graph"] == "reused"
    assert rows(second) == found["ab", "a"][0][1:]
    second.close()


def test_what_a_trial_was_given_is_nobody_elses(recorders) -> None:
    data = blob_data(num_train=18)
    config = tiny_config(epochs=1)
    trained(config, data)
    one, other = (Run(config, data, seed=seed, threads=1) for seed in (0, 1))
    assert (one.path["graph"], other.path["graph"]) == ("reused", "no: the run was too short")
    assert one._model is not other._model


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 5},
        {"grad_clip": 2.0},
        {"model": Choice.of("model", "unet", width=8, depth=2)},
        {"norm": Choice.of("norm", "group", groups=2)},
        {"loss": (Choice.of("loss", "bce"),)},
        {"optimizer": Choice.of("optimizer", "adam", lr=0.01, weight_decay=0.1)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_a_record_depends_on_makes_a_new_one(recorders, changes) -> None:
    data = blob_data(num_train=20)
    trained(tiny_config(epochs=1), data)
    assert trained(tiny_config(epochs=1, **changes), data)[1] == "captured"
    assert len(recorders) == 2


def test_a_run_that_broke_off_leaves_nothing(recorders) -> None:
    data = blob_data(num_train=18)

    def fail(step: int, num_steps: int) -> None:
        if step == 5:
            raise KeyboardInterrupt

    run = Run(tiny_config(epochs=2), data, seed=0, threads=1, on_step=fail)
    with pytest.raises(KeyboardInterrupt):
        next(iter(run))
    assert run._assembly.graph.is_recorded
    run.close()
    assert kept._kept is None


def test_a_diverged_run_is_found_out_in_replays(recorders) -> None:
    config = tiny_config(
        norm=Choice.of("norm", "none"),
        optimizer=Choice.of("optimizer", "sgd", lr=1e20),
        grad_clip=None,
        epochs=2,
    )
    with pytest.raises(Diverged):
        list(Run(config, blob_data(num_train=40), seed=0, threads=1))


@pytest.mark.parametrize(
    ("recorder", "why"),
    [
        (
            FakeRecorder(problem="a step waits for the device at net.py:3"),
            "a step waits for the device at net.py:3",
        ),
        (FakeRecorder(error=RuntimeError("no\nmore")), "it could not be recorded (no)"),
    ],
)
def test_what_cannot_be_recorded_is_trained_all_the_same(
    recorder, why, recorders, monkeypatch, caplog
) -> None:
    data = blob_data(num_train=20)
    with monkeypatch.context() as patch:
        patch.setattr(assembly, "why_eager", lambda *given: "a test")
        expected, _ = trained(tiny_config(), data)
    monkeypatch.setattr(assembly, "CudaRecorder", lambda device: recorder)
    found, state = trained(tiny_config(), data)
    assert state == f"no: {why}"
    assert_same(found, expected)
    assert [r.getMessage() for r in caplog.records].count(f"steps are taken one kernel at a time: {why}") == 1


def test_batches_of_another_kind_are_taken_eagerly() -> None:
    """As the last of an epoch, or one whose pixels all count where the recorded ones say which."""
    recorder = FakeRecorder()
    graph = StepGraph(recorder)
    run = Run(tiny_config(), blob_data(), seed=0, threads=1)
    step = run._assembly.step
    step.model.train()
    whole = torch.rand(4, 3, 32, 32), torch.ones(4, 1, 32, 32), torch.ones(4, 1, 32, 32, dtype=torch.bool)
    for _ in range(EAGER_STEPS + 1):
        graph.take(step, *whole, 4)
    assert recorder.num_replays == 1
    before = [p.clone() for p in step.model.parameters()]
    assert graph.take(step, whole[0], whole[1], None, 4).counts.shape == (4, 4)
    assert graph.take(step, *(pixels[:3] for pixels in whole), 4).counts.shape == (4, 3)
    assert recorder.num_replays == 1
    assert not any(torch.equal(a, b) for a, b in zip(before, step.model.parameters(), strict=True))
    first = graph.take(step, *whole, 4)
    kept_loss = first.loss.clone()
    graph.take(step, *whole, 4)
    assert first.loss == kept_loss  # no view of what the next replay writes


def test_why_steps_are_not_recorded() -> None:
    cuda = torch.device("cuda:0")

    def ask(device: torch.device = cuda, micro_batch: int | None = None, **changes: Any) -> str | None:
        config = tiny_config(**changes)
        run = Run(replace(config, engine="segbench"), blob_data(), seed=0, threads=1)
        step = run._assembly.step
        for group in step.optimizer.param_groups:
            group["lr"] = torch.tensor(0.1)
        return assembly.why_eager(config, step, device, micro_batch)

    assert ask() is None
    assert ask(torch.device("cpu")) == "the device is no GPU"
    assert ask(deterministic=True) == "the trial is deterministic"
    assert ask(accumulate=2) == "several batches make a step"
    assert ask(micro_batch=2) == "a batch goes through in parts"
    assert ask(engine="my.own:fit") == "the engine is the user's own"
    own = ask(model=Choice("blobs:dropout_net", {"rate": 0.3}))
    assert own == "blobs:dropout_net is the user's own and does not say `is_capturable`"
    run = Run(tiny_config(), blob_data(), seed=0, threads=1)
    as_number = assembly.why_eager(tiny_config(), run._assembly.step, cuda, None)
    assert as_number == "adam keeps its learning rate as a number"


def test_an_own_network_may_say_that_it_can_be_recorded() -> None:
    config = tiny_config(model=Choice("blobs:dropout_net", {"rate": 0.3}))
    run = Run(config, blob_data(), seed=0, threads=1)
    step = run._assembly.step
    step.model.is_capturable = True
    step.optimizer.param_groups[0]["lr"] = torch.tensor(0.1)
    assert assembly.why_eager(config, step, torch.device("cuda:0"), None) is None
