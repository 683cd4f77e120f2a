"""What a machine is measured to do with an experiment, and that plans know it afterwards."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from segbench.cli.app import app
from segbench.config.experiment import Experiment
from segbench.plan import bench as module
from segbench.plan.bench import Bench, Ceilings, Pace, bench
from segbench.plan.costs import costs_of
from segbench.plan.plan import plan_trials
from segbench.plan.steps import PayBack, Steps
from segbench.trial.devices import Slot

CPU = Slot("cpu", 1, {}, "cpu")
TEXT = """\
question: How fast is it?
baseline:
  dataset: {shapes: {num_train: 8, num_val: 4, num_test: 4, size_px: 16}}
  model: {unet: {width: 4, depth: 2}}
  batch_size: 2
  epochs: 4
axes:
  norm: [batch, none]
  lr: {path: optimizer.lr, levels: [1e-3, 1e-4]}
margin: 0.01
seeds: 2
"""


@pytest.fixture
def experiment(make_experiment: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch) -> Experiment:
    for name in ("_CEILING_S", "_DATA_S"):
        monkeypatch.setattr(module, name, 0.05)
    monkeypatch.setattr("segbench.plan.steps._LEAST_S", 0.05)
    return make_experiment(TEXT)


def test_what_costs_the_same_is_measured_once_and_plans_know_it(experiment: Experiment) -> None:
    plan, stages = plan_trials(experiment), []
    assert all(cost.epoch_time_s is None for cost in costs_of(plan, CPU).values())
    found = bench(plan, CPU, on_stage=stages.append)
    assert stages == ["matrix product and copy", "batch, 1e-3", "none, 1e-3"]
    assert [(pace.label, pace.num_cells, pace.precision) for pace in found.paces] == [
        ("batch, 1e-3", 2, "fp32"),
        ("none, 1e-3", 2, "fp32"),
    ]
    assert found.num_left_out == 0
    assert list(found.ceilings.matmul) == ["fp32"]
    assert found.ceilings.matmul["fp32"] > 1e8
    assert found.ceilings.copy_bytes_per_s > 1e8
    for pace in found.paces:
        assert pace.steps.images_per_s is not None
        assert pace.data_images_per_s is not None
        assert pace.data_images_per_s > 0
        assert pace.share_of_peak is not None
        assert 0 < pace.share_of_peak < 1
        assert pace.steps.setup_s is not None
        assert pace.steps.setup_s < 5
    costs = costs_of(plan, CPU)
    for cell in (entry.trial.cell for entry in plan.entries):
        pace = found.paces[0 if cell.levels["norm"] == "batch" else 1]
        cost = costs[cell.config_hash]
        assert (cost.epoch_time_s, cost.memory_mib) == (pace.steps.epoch_time_s, pace.steps.memory_mib)
        assert cost.source.endswith("by a few steps")


def test_a_gpus_share_is_remembered(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured here is a CPU; that it be called a GPU is all that the memory needs."""
    told: list[tuple[str, float]] = []
    monkeypatch.setattr(module, "keep_share", lambda project, config, name, share: told.append((name, share)))
    bench(plan_trials(experiment), CPU, seconds=0)
    assert told == []
    monkeypatch.setattr(module, "name_device", lambda device: "a GPU")
    monkeypatch.setattr(module, "take_steps", lambda *given: Steps(images_per_s=10.0))
    ceilings = Ceilings(matmul={"fp32": 1e9}, copy_bytes_per_s=1.0)
    monkeypatch.setattr(module, "measure_ceilings", lambda *given: ceilings)
    monkeypatch.setattr(module, "costs_of", lambda plan, slot: costs_of(plan, CPU))
    found = bench(plan_trials(experiment), Slot("cuda", 1, {}, "cuda:0"), seconds=0)
    assert told == [("a GPU", found.paces[0].share_of_peak)]


def test_the_first_is_measured_in_any_case(experiment: Experiment) -> None:
    found = bench(plan_trials(experiment), CPU, seconds=0)
    assert (len(found.paces), found.num_left_out) == (1, 1)


@pytest.mark.parametrize(
    ("steps", "share", "words"),
    [
        (Steps(), None, "it does not train here: `segbench run` says why"),
        (Steps(images_per_s=10.0, data_wait=0.4), 0.9, "data: 40% of a step waits for them"),
        (Steps(images_per_s=10.0, data_wait=0.0), 0.6, "arithmetic"),
        (Steps(images_per_s=10.0), 0.2, "memory and small operations"),
        (Steps(images_per_s=10.0), None, "not known: its operations cannot be counted"),
    ],
)
def test_what_binds(steps: Steps, share: float | None, words: str) -> None:
    pace = Pace(
        label="a", num_cells=1, precision="fp32", parameters=1, steps=steps, share_of_peak=share,
        data_images_per_s=None,
    )  # fmt: skip
    assert pace.binds == words


@pytest.mark.parametrize(
    ("compile_s", "compiled_step_s", "num_steps", "after", "words"),
    [
        (
            30.0, 0.08, 8000, 1500,
            "30.0 s to compile, a step 0.08 s instead of 0.1 s: paid back after 1,500 steps, of a trial's "
            "8,000; `compile: true` saves 130 s of a trial, more of those that follow it",
        ),
        (
            30.0, 0.08, 800, 1500,
            "30.0 s to compile, a step 0.08 s instead of 0.1 s: paid back after 1,500 steps, of a trial's "
            "800; it pays only where a worker runs several trials of one network",
        ),
        (5.0, 0.12, 800, None, "5.0 s to compile, a step 0.12 s instead of 0.1 s: leave `compile` out"),
    ],
)  # fmt: skip
def test_when_compiling_pays(compile_s, compiled_step_s, num_steps, after, words) -> None:
    pay = PayBack(compile_s=compile_s, step_s=0.1, compiled_step_s=compiled_step_s, num_steps=num_steps)
    assert (pay.after_steps, pay.advice) == (after, words)


def test_compiling_is_timed_against_steps_as_they_come(experiment, monkeypatch) -> None:
    """With a stand-in for the compiler: a second at the first batch, the network itself afterwards."""

    def compile_(model: torch.nn.Module, *, dynamic: bool) -> Callable[[torch.Tensor], torch.Tensor]:
        seen: list[int] = []

        def forward(images: torch.Tensor) -> torch.Tensor:
            if not seen:
                time.sleep(1.0)
            seen.append(len(images))
            return model(images)

        return forward

    monkeypatch.setattr(torch, "compile", compile_)
    found = bench(plan_trials(experiment), CPU, seconds=0, compiles=True)
    pay = found.paces[0].pay_back
    assert pay is not None
    assert 0.5 < pay.compile_s < 30
    assert pay.num_steps == 4 * 4
    assert pay.step_s > 0


def test_what_does_not_compile_is_left_out(experiment, monkeypatch) -> None:
    def fails(*args: object, **options: object) -> None:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", fails)
    found = bench(plan_trials(experiment), CPU, seconds=0, compiles=True)
    assert found.paces[0].pay_back is None
    assert found.paces[0].steps.images_per_s is not None


def test_what_does_not_train_is_said(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: object, **options: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("segbench.plan.steps.build_run", fails)
    found = bench(plan_trials(experiment), CPU, seconds=0)
    assert found.paces[0].steps == Steps()
    assert found.paces[0].share_of_peak is None


def run(project: Path, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(project)
    done = CliRunner().invoke(app, ["bench", "exp", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_prints_a_table(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    said = run(experiment.project.root, "--threads", "1", "--device", "cpu", monkeypatch=monkeypatch)
    assert "matrix product" in said
    assert "TFLOP/s fp32" in said
    assert "batch, 1e-3 and 1 alike" in said


def test_the_command_leaves_out_what_the_time_is_too_short_for(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = Bench(ceilings=Ceilings(matmul={"fp32": 1e12}, copy_bytes_per_s=1e10), paces=(), num_left_out=3)
    monkeypatch.setattr(module, "bench", lambda *args, **options: left)
    said = run(experiment.project.root, "--device", "cpu", monkeypatch=monkeypatch)
    assert "3 more kinds of cells: give it more --seconds, or name some by --only." in said


def test_the_command_gives_json(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    said = run(
        experiment.project.root, "--only", "norm=none", "--device", "cpu", "--json", monkeypatch=monkeypatch
    )
    content = json.loads(said)
    assert [pace["label"] for pace in content["paces"]] == ["none, 1e-3"]
    assert content["paces"][0]["binds"]
