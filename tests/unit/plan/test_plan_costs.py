"""What cells cost: from records, from networks without storage, from a few steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from segbench.config.experiment import Experiment
from segbench.plan import steps
from segbench.plan.costs import cost_key, costs_of, time_s
from segbench.plan.plan import Plan, plan_trials
from segbench.plan.power import smallest_difference
from segbench.records import EpochRecord, State, TrialRecord
from segbench.store import trials
from segbench.store.layout import ResultsFolder
from segbench.trial.devices import Slot

CPU = Slot("cpu", 1, {}, "cpu")

TEXT = """\
question: What does it cost?
baseline:
  dataset: {shapes: {num_train: 8, num_val: 4, num_test: 4, size_px: 16}}
  model: {unet: {width: 4, depth: 2}}
  batch_size: 2
  epochs: 4
axes:
  norm: [batch, none]
margin: 0.01
seeds: 2
"""
THREE_SEEDS = TEXT.replace("seeds: 2", "seeds: 3")


@pytest.fixture
def experiment(make_experiment: Callable[..., Experiment]) -> Experiment:
    return make_experiment(TEXT)


def leave(plan: Plan, number: int, *, folder: str | None = None, **changes: object) -> TrialRecord:
    """Leave a complete record of the plan's trial, with one epoch."""
    trial = plan.entries[number].trial
    values: dict[str, object] = {
        "hash": trial.hash,
        "identity": trial.identity,
        "experiment": folder or plan.experiment.name,
        "levels": dict(trial.cell.levels),
        "config": trial.cell.config.to_json(),
        "config_hash": trial.cell.config_hash,
        "seed": trial.seed,
        "fold": 0,
        "data_fingerprint": trial.data_fingerprint,
        "state": State.COMPLETE,
        "epochs_done": 4,
        "train_time_s": 8.0,
        "parameters": 123,
        "flops": 456,
        "device": "cpu",
        "device_name": "Some CPU",
        "finished": f"2026-01-01T00:00:{number:02d}+00:00",
        **changes,
    }
    record = TrialRecord(**values)  # type: ignore[arg-type]
    results = ResultsFolder(plan.experiment.project.results)
    target = results.experiment(folder or plan.experiment.name).trial(trial.hash)
    trials.write_trial(target, record)
    trials.rewrite_epochs(
        target,
        [
            EpochRecord(
                epoch=1,
                lr=0.1,
                train_loss=1.0,
                train_dice=0.5,
                val={"loss": 1.0, "dice": 0.5},
                epoch_time_s=2.0,
                images_per_s=4.0,
                peak_memory_mib=77.0,
            )
        ],
    )
    return record


def cost_of(plan: Plan, number: int, **options: object) -> object:
    costs = costs_of(plan, CPU, **options)  # type: ignore[arg-type]
    return costs[plan.entries[number].trial.cell.config_hash]


def test_a_record_tells_what_a_cell_costs(experiment: Experiment) -> None:
    leave(plan_trials(experiment), 0)
    plan = plan_trials(experiment)
    cost = cost_of(plan, 0)
    assert (cost.parameters, cost.flops, cost.epoch_time_s, cost.memory_mib) == (123, 456, 2.0, 77.0)
    assert cost.source == "Some CPU, on record"


def test_a_plan_counts_what_is_no_epoch(experiment: Experiment) -> None:
    ran = {"started": "2026-01-01T00:00:00+00:00", "finished": "2026-01-01T00:00:11+00:00", "attempts": 1}
    leave(plan_trials(experiment), 0, **ran)
    leave(plan_trials(experiment), 1, **ran | {"finished": "2026-01-01T09:00:00+00:00", "attempts": 2})
    plan = plan_trials(experiment)
    costs = costs_of(plan, CPU)
    assert [cost_of(plan, number).besides_s for number in (0, 1)] == [3.0, None]
    assert plan.num_to_run == 2
    assert time_s(plan, costs) == sum(
        4 * 2.0 + (costs[entry.trial.cell.config_hash].besides_s or 0.0) for entry in plan.to_run
    )


def test_a_network_that_never_ran_is_built_without_storage(experiment: Experiment) -> None:
    plan = plan_trials(experiment)
    cost = cost_of(plan, 0)
    assert cost.parameters is not None
    assert cost.parameters > 1000
    assert cost.flops is not None
    assert cost.epoch_time_s is None
    assert time_s(plan, costs_of(plan, CPU)) is None


def test_a_huge_network_takes_no_memory_to_size(experiment: Experiment) -> None:
    config = experiment.cells[0].config
    huge = replace(config, model=replace(config.model, knobs={**config.model.knobs, "width": 4096}))
    parameters, flops = steps.size_network(huge, experiment.project)
    assert parameters is not None
    assert parameters > 10**10 / 2
    assert flops is not None


def test_what_was_sized_once_is_remembered(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_trials(experiment)
    first = cost_of(plan, 0)
    monkeypatch.setattr(steps, "size_network", lambda *_: pytest.fail("it was remembered"))
    assert cost_of(plan, 0) == first


def test_records_of_another_experiment_count_where_the_own_are_silent(experiment: Experiment) -> None:
    plan = plan_trials(experiment)
    leave(plan, 0, folder="elder", train_time_s=4.0, seed=plan.entries[0].trial.seed)
    cost = cost_of(plan_trials(experiment), 0)
    assert cost.epoch_time_s == 1.0


def test_a_device_of_the_kind_asked_about_goes_before_a_faster_one(experiment: Experiment) -> None:
    plan = plan_trials(experiment)
    leave(plan, 0, device="cuda", device_name="Some GPU", train_time_s=0.4)
    cost = cost_of(plan_trials(experiment), 0)
    assert (cost.epoch_time_s, cost.source) == (0.1, "Some GPU, on record")
    leave(plan, 2)  # the same cell, its second seed
    cost = cost_of(plan_trials(experiment), 0)
    assert (cost.epoch_time_s, cost.source) == (2.0, "Some CPU, on record")


def test_time_left_counts_epochs_done(experiment: Experiment) -> None:
    plan = plan_trials(experiment)
    leave(plan, 0)
    leave(plan, 1)
    plan = plan_trials(experiment)
    epochs = experiment.baseline.epochs
    assert time_s(plan, costs_of(plan, CPU)) == pytest.approx(2 * epochs * 2.0)
    leave(plan, 2, state=State.INTERRUPTED, epochs_done=1, train_time_s=2.0)
    plan = plan_trials(experiment)
    assert time_s(plan, costs_of(plan, CPU)) == pytest.approx((2 * epochs - 1) * 2.0)


def test_what_costs_nothing_is_no_part_of_the_key(experiment: Experiment) -> None:
    config = experiment.cells[0].config
    assert cost_key(config) == cost_key(replace(config, epochs=99, grad_clip=1.0))
    assert cost_key(config) != cost_key(replace(config, batch_size=config.batch_size + 1))
    assert cost_key(config) != cost_key(experiment.cells[1].config)


@pytest.mark.slow
def test_a_few_steps_tell_the_time_of_an_epoch(experiment: Experiment) -> None:
    plan = plan_trials(experiment)
    told: list[tuple[int, int]] = []
    cost = cost_of(plan, 0, measures=True, on_progress=lambda *at: told.append(at))
    assert told[-1] == (2, 2)
    assert cost.epoch_time_s is not None
    assert 0 < cost.epoch_time_s < 60
    assert 0 < cost.besides_s < 60
    assert cost.memory_mib is not None
    assert cost.source.endswith("by a few steps")
    assert cost_of(plan, 0) == cost, "it is remembered without being measured again"


def test_the_smallest_difference_rests_on_records_before_expectations(
    make_experiment: Callable[..., Experiment],
) -> None:
    experiment = make_experiment(THREE_SEEDS)
    assert smallest_difference(plan_trials(experiment)) is None
    expecting = make_experiment(THREE_SEEDS + "expected_seed_sd: 0.01\n")
    found = smallest_difference(plan_trials(expecting))
    assert found is not None
    difference, spread = found
    assert spread.sd == pytest.approx(0.01 * 2**0.5)
    assert spread.num_seeds is None
    assert difference == pytest.approx(
        3.26 * spread.sd, rel=0.01
    )  # noncentral t of 2 degrees: power .8 at 3.26
    plan = plan_trials(expecting)
    for number, entry in enumerate(plan.entries):
        value = 0.5 + 0.1 * (entry.trial.seed if entry.trial.cell.levels["norm"] == "none" else 0)
        leave(plan, number, test={"dice": value})
    found = smallest_difference(plan_trials(expecting))
    assert found is not None
    assert found[1].num_seeds == 3
    assert found[1].sd == pytest.approx(0.1)
