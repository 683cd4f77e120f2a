from __future__ import annotations

import csv
import math
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from segbench.config.experiment import Experiment, PlannedTrial
from segbench.config.load import load_experiment
from segbench.config.trial import TrialConfig
from segbench.errors import DataError, ExperimentError
from segbench.guards import Severity, check_plan, design
from segbench.guards.design import estimate_bytes
from segbench.plan.overview import count_states, last_epoch, log_tail, look_over
from segbench.plan.plan import Plan, plan_trials, reuse, select
from segbench.records import EpochRecord, SearchPlace, State, TrialRecord
from segbench.store.layout import ExperimentFolder, ResultsFolder
from segbench.store.match import match_trials, unmatched_trials
from segbench.store.results import read_results
from segbench.store.trials import ImageValue, read_trial, rewrite_epochs, write_images, write_trial

TEXT = """
question: Does it matter?
baseline:
  dataset: shapes
  split: {fraction: {val: 0.2, test: 0.2, seed: 0}}
  model: {unet: {width: 4, depth: 2}}
  loss: {bce: 1}
  optimizer: {adam: {lr: 1e-3}}
  batch_size: 4
  epochs: 2
axes:
  norm: {levels: {Batch: batch, "none, at all": none}}
  lr: {path: optimizer.lr, levels: [1e-3, 1e-2]}
seeds: 2
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "experiments").mkdir()
    return tmp_path


@pytest.fixture
def load(project: Path) -> Callable[..., Experiment]:
    def load(text: str = TEXT, name: str = "norms") -> Experiment:
        file = project / "experiments" / f"{name}.yaml"
        file.write_text(text, encoding="utf-8")
        return load_experiment(file)

    return load


def data_of(fingerprint: str = "d") -> Callable[[TrialConfig], str]:
    return lambda config: fingerprint * 64


def plan_of(experiment: Experiment, data: str = "d") -> Plan:
    return plan_trials(experiment, fingerprint_of=data_of(data))


def folder_of(experiment: Experiment) -> ExperimentFolder:
    return ResultsFolder(experiment.project.results).experiment(experiment.name)


def leave(experiment: Experiment, trial: PlannedTrial, **changes: object) -> TrialRecord:
    """Leave the record of a trial, as a worker does."""
    values: dict[str, object] = {
        "hash": trial.hash,
        "identity": trial.identity,
        "experiment": experiment.name,
        "levels": dict(trial.cell.levels),
        "config": trial.cell.config.to_json(),
        "config_hash": trial.cell.config_hash,
        "seed": trial.seed,
        "fold": trial.fold,
        "data_fingerprint": trial.data_fingerprint,
        "state": State.COMPLETE,
        "epochs_done": 2,
        "parameters": 1000,
        "train_time_s": 20.0,
        "test": {"dice": 0.5},
        **changes,
    }
    record = TrialRecord(**values)  # type: ignore[arg-type]
    write_trial(folder_of(experiment).trial(trial.hash), record)
    return record


def test_every_cell_has_a_trial_a_seed_and_seeds_vary_slowest(load: Callable[..., Experiment]) -> None:
    experiment = load()
    plan = plan_of(experiment)
    order = [(e.trial.seed, *e.trial.cell.levels.values()) for e in plan.entries]
    assert order == [
        (seed, norm, lr) for seed in (0, 1) for norm in ("Batch", "none, at all") for lr in ("1e-3", "1e-2")
    ]
    assert len({e.trial.identity for e in plan.entries}) == 8
    assert {e.state for e in plan.entries} == {State.WAITING}
    assert len(plan.to_run) == 8
    assert plan_of(experiment).entries == plan.entries


def test_each_data_set_and_split_is_fingerprinted_once(load: Callable[..., Experiment]) -> None:
    asked = []

    def count(config: TrialConfig) -> str:
        asked.append((config.dataset.name, config.split.knobs["seed"]))
        return "d" * 64

    axis = "axes:\n  split_seed: {path: split.seed, levels: [0, 1]}\n"
    plan_trials(load(TEXT.replace("axes:\n", axis)), fingerprint_of=count)
    assert asked == [("shapes", 0), ("shapes", 1)]


def test_only_what_is_missing_is_left_to_do(load: Callable[..., Experiment]) -> None:
    experiment = load()
    trials = [e.trial for e in plan_of(experiment).entries]
    for trial, state in zip(
        trials, (State.COMPLETE, State.DIVERGED, State.PRUNED, State.FAILED, State.RUNNING), strict=False
    ):
        leave(experiment, trial, state=state)
    plan = plan_of(experiment)
    assert [e.trial for e in plan.to_run] == trials[3:]
    assert [e.state for e in plan.entries[3:6]] == [State.FAILED, State.INTERRUPTED, State.WAITING]
    assert not plan.is_finished


def test_growing_the_design_only_adds_trials_and_shrinking_it_leaves_orphans(
    load: Callable[..., Experiment],
) -> None:
    experiment = load()
    before = plan_of(experiment)
    for entry in before.entries:
        leave(experiment, entry.trial)
    grown = plan_of(load(TEXT.replace("seeds: 2", "seeds: 3").replace("1e-2]", "1e-2, 1e-1]")))
    assert len(grown.entries) == 18
    assert len(grown.to_run) == 10
    assert grown.orphans == ()
    shrunk = plan_of(load(TEXT.replace("seeds: 2", "seeds: 1")))
    assert shrunk.is_finished
    assert {r.hash for r in shrunk.orphans} == {e.trial.hash for e in before.entries if e.trial.seed == 1}


def test_renaming_a_label_reruns_nothing_and_results_get_the_new_one(load: Callable[..., Experiment]) -> None:
    experiment = load()
    for entry in plan_of(experiment).entries:
        leave(experiment, entry.trial)
    renamed = load(TEXT.replace("Batch:", "BatchNorm:"))
    assert plan_of(renamed).is_finished
    results = read_results(folder_of(renamed).root)
    matched = match_trials(results, renamed)
    assert matched["axis:norm"].tolist() == ["BatchNorm"] * 4 + ["none, at all"] * 4
    assert matched["cell"].tolist()[:2] == ["BatchNorm, 1e-3"] * 2
    assert matched["seed"].tolist() == [0, 1] * 4
    assert set(matched["note"]) == {""}
    assert unmatched_trials(results, renamed).empty
    half = load(TEXT.replace("seeds: 2", "seeds: [1]"))
    assert len(match_trials(results, half)) == 4
    assert unmatched_trials(results, half)["reason"].tolist() == ["no longer in the design"] * 4


def test_records_of_changed_data_are_matched_by_the_index_else_by_age(
    load: Callable[..., Experiment],
) -> None:
    experiment = load()
    old, new = plan_of(experiment, "1"), plan_of(experiment, "2")
    leave(experiment, old.entries[0].trial, finished="2030-01-01T00:00:00+00:00", test={"dice": 0.1})
    leave(experiment, new.entries[0].trial, finished="2020-01-01T00:00:00+00:00", test={"dice": 0.2})
    results = read_results(folder_of(experiment).root)
    matched = match_trials(results, experiment)
    assert matched["test_dice"].tolist() == [0.1]
    assert matched["note"].tolist() == [
        "another record of this cell, seed and fold with other data or code: "
        "none is in index.csv, so the newest is used"
    ]
    new.write_index()
    matched = match_trials(results, experiment)
    assert matched["test_dice"].tolist() == [0.2]
    assert "the one in index.csv is used" in matched["note"][0]
    left = unmatched_trials(results, experiment)
    assert left["folder"].tolist() == [f"trials/{old.entries[0].trial.hash}"]
    assert left["reason"].tolist() == ["another record of the same cell, seed and fold is used"]
    assert [f.code for f in check_plan(plan_of(experiment, "2"))] == ["SB003"]
    folder_of(experiment).index.write_text("torn")
    assert match_trials(results, experiment)["test_dice"].tolist() == [0.1]


def test_matching_without_any_record_has_the_columns(load: Callable[..., Experiment]) -> None:
    experiment = load()
    folder_of(experiment).trials.mkdir(parents=True)
    matched = match_trials(read_results(folder_of(experiment).root), experiment)
    assert matched.empty
    assert {"cell", "axis:norm", "axis:lr", "trial", "seed", "note"} <= set(matched)


def test_the_index_lists_the_design_and_no_orphan(load: Callable[..., Experiment]) -> None:
    experiment = load()
    folder_of(experiment).root.mkdir(parents=True)
    leave(experiment, plan_of(experiment, "old").entries[0].trial)
    leave(experiment, plan_of(experiment).entries[0].trial)
    plan_of(experiment).write_index()
    with folder_of(experiment).index.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert [row["state"] for row in rows[:2]] == ["complete", "waiting"]
    assert rows[2]["norm"] == "none, at all"


def test_a_trial_of_another_experiment_is_copied_in_once(load: Callable[..., Experiment]) -> None:
    first = load()
    trial = plan_of(first).entries[0].trial
    record = leave(first, trial, search=SearchPlace(number=0))
    source = folder_of(first).trial(trial.hash)
    rewrite_epochs(source, [EpochRecord(epoch=1, lr=0.1, train_loss=1, train_dice=0, val={"loss": 1.0},
                                        epoch_time_s=1, images_per_s=1, peak_memory_mib=1)])  # fmt: skip
    write_images(source, [ImageValue("a", "", "test", "foreground", "dice", 0.5)])
    source.best.write_bytes(b"weights")
    source.panels.parent.mkdir()
    source.panels.write_bytes(b"picture")
    second = load(TEXT.replace("Batch:", "BN:"), "second")
    plan = plan_of(second)
    assert [e.reusable for e in plan.entries[:2]] == [source, None]
    assert (len(plan.to_run), len(plan.to_reuse)) == (7, 1)
    copied = reuse(plan.entries[0].trial, source, plan.folder)
    assert copied == replace(
        record,
        experiment="second",
        levels={"norm": "BN", "lr": "1e-3"},
        search=None,
        reused_from=f"norms/{trial.hash}",
    )
    target = plan.folder.trial(trial.hash)
    assert read_trial(target) == copied
    assert target.epochs.read_bytes() == source.epochs.read_bytes()
    assert target.images.read_bytes() == source.images.read_bytes()
    assert target.best.stat().st_ino == source.best.stat().st_ino
    assert target.panels.read_bytes() == b"picture"
    assert target.epochs.stat().st_ino != source.epochs.stat().st_ino
    assert sorted(p.name for p in target.path.iterdir()) == [
        "best.pt",
        "epochs.csv",
        "images.csv.gz",
        "panels",
        "trial.json",
    ]
    assert plan_of(second).entries[0].state is State.COMPLETE
    assert plan_of(second).to_reuse == ()


@pytest.mark.parametrize("state", [State.PRUNED, State.FAILED, State.RUNNING])
def test_an_unfinished_trial_of_another_experiment_is_not_reused(
    load: Callable[..., Experiment], state: State
) -> None:
    first = load()
    leave(first, plan_of(first).entries[0].trial, state=state)
    assert plan_of(load(TEXT, "second")).to_reuse == ()


def test_a_missing_data_set_is_named_with_the_command(load: Callable[..., Experiment]) -> None:
    text = TEXT.replace("dataset: shapes", "dataset: {oxford_pet: {size_px: 64}}")
    with pytest.raises(DataError, match="segbench data fetch oxford_pet"):
        plan_trials(load(text))


@pytest.mark.parametrize(
    ("only", "seeds", "expected"),
    [
        (None, None, 8),
        (["norm=Batch"], None, 4),
        (["norm=none, at all", "lr=1e-3"], "1", 1),
        (["lr=1e-3,1e-2"], "0-0", 4),
        (["lr=1e-3", "lr=1e-3,1e-2"], None, 4),
        (None, "0-5", 8),
        (None, "0,1", 8),
    ],
)
def test_a_part_of_the_design_is_selected(
    load: Callable[..., Experiment], only: list[str] | None, seeds: str | None, expected: int
) -> None:
    plan = plan_of(load())
    assert len(plan.narrowed(only=only, seeds=seeds).entries) == expected


@pytest.mark.parametrize(
    ("only", "seeds", "text"),
    [
        (
            ["nrom=Batch"],
            None,
            "--only: norms has no such axis, got 'nrom'. Did you mean 'norm'?",
        ),
        (["norm=batch"], None, "--only: the axis norm has no such level, got 'batch'. Did you mean 'Batch'?"),
        (["norm"], None, "--only: a condition has the form AXIS=LEVEL, got 'norm'."),
        (["lr=1e-3", "lr=1e-2"], None, "norms: no trial of the design is left, got 'lr=1e-3 lr=1e-2'."),
        (None, "7", "--seeds: the seeds of norms are 0, 1, got '7'."),
        (None, "1-0", "--seeds: a list of seeds has the form 0-1 or 0,2,4, got '1-0'."),
        (None, "one", "--seeds: a list of seeds has the form 0-1 or 0,2,4, got 'one'."),
    ],
)
def test_a_wrong_selection_says_what_there_is(
    load: Callable[..., Experiment], only: list[str] | None, seeds: str | None, text: str
) -> None:
    experiment = load()
    trials = [e.trial for e in plan_of(experiment).entries]
    with pytest.raises(ExperimentError) as caught:
        select(trials, experiment, only=only, seeds=seeds)
    assert str(caught.value).startswith(text)


def test_all_mistakes_of_a_selection_are_told_at_once(load: Callable[..., Experiment]) -> None:
    experiment = load()
    with pytest.raises(ExperimentError) as caught:
        select([], experiment, only=["nrom=a", "lr=2"], seeds="9")
    assert len(caught.value.problems) == 3


def test_too_little_room_refuses_where_sizes_are_known_and_warns_where_not(
    load: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = load()
    monkeypatch.setattr(design.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 2**20})())
    (finding,) = check_plan(plan_of(experiment))
    assert (finding.code, finding.severity) == ("SB004", Severity.WARNING)
    assert (
        "8 trials leave about 3.8 GiB, taking networks that never ran for 32,000,000 parameters"
        in finding.text
    )
    assert finding.text.endswith("Make room, or take a part at a time with --only or --seeds.")
    for index in (0, 2):
        leave(experiment, plan_of(experiment).entries[index].trial)
    plan = plan_of(experiment)
    assert estimate_bytes(plan, plan.to_run) == (6 * (1000 * 16 + 4 * 2**20), True)
    averaged = plan_of(load(TEXT.replace("  epochs: 2\n", "  epochs: 2\n  ema: 0.9\n")))
    assert estimate_bytes(averaged, averaged.to_run) == (8 * (1000 * 20 + 4 * 2**20), True)
    (finding,) = check_plan(plan)
    assert finding.severity is Severity.ERROR
    monkeypatch.undo()
    assert check_plan(plan) == ()


def test_an_unreadable_record_in_the_way_is_an_error_before_the_sweep(
    load: Callable[..., Experiment],
) -> None:
    experiment = load()
    trial = plan_of(experiment).entries[0].trial
    leave(experiment, trial)
    folder = folder_of(experiment).trial(trial.hash)
    folder.record.write_text("{")
    plan = plan_of(experiment)
    (finding,) = check_plan(plan)
    assert (finding.code, finding.severity) == ("SB002", Severity.ERROR)
    assert finding.text.startswith(f"{folder.record}: the record is truncated or not JSON")
    assert finding.text.endswith("Move the folder away; the trial is then run anew.")


def test_the_overview_counts_by_cell_without_the_data(load: Callable[..., Experiment]) -> None:
    experiment = load()
    trials = [e.trial for e in plan_of(experiment).entries]
    leave(experiment, trials[0])
    leave(experiment, trials[1], state=State.FAILED, reason="it broke")
    leave(experiment, trials[4], state=State.DIVERGED)
    leave(experiment, plan_of(load(TEXT.replace("seeds: 2", "seeds: [7]"))).entries[0].trial)
    found = look_over(load())
    first, second = found.cells[:2]
    assert (first.label, first.num_finished, first.num_trials) == ("Batch, 1e-3", 2, 2)
    assert (first.count(State.COMPLETE), first.count(State.DIVERGED), first.count(State.WAITING)) == (1, 1, 0)
    assert (second.count(State.FAILED), second.count(State.WAITING)) == (1, 1)
    assert found.count(State.WAITING) == 5
    assert found.num_orphans == 1
    assert [r.reason for _, r in found.in_state(State.FAILED)] == ["it broke"]
    plan_of(experiment).write_index()
    assert count_states(folder_of(experiment)) == {
        State.COMPLETE: 2,
        State.FAILED: 1,
        State.DIVERGED: 1,
        State.WAITING: 5,
    }


def test_the_last_epoch_and_the_log_are_read_leniently(load: Callable[..., Experiment]) -> None:
    folder = folder_of(load()).trial("0" * 12)
    assert last_epoch(folder) == {}
    assert log_tail(folder) == []
    folder.path.mkdir(parents=True)
    folder.log.write_text("\n".join(map(str, range(9))))
    assert log_tail(folder, 2) == ["7", "8"]
    folder.epochs.write_text("epoch,val_dice\n1,0.5\n2,nan\n3,0.")
    row = last_epoch(folder)
    assert row["epoch"] == 2
    assert math.isnan(row["val_dice"])
    folder.epochs.write_text("epoch,val_dice\n")
    assert last_epoch(folder) == {}


def test_a_large_design_is_planned_quickly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`benchmarks/plan.py` measures 10,000 cells; these are 1,296, and need a small part of the bound."""
    monkeypatch.syspath_prepend(Path(__file__).parents[3])
    from benchmarks.plan import measure, write

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    file = write(tmp_path, 6)
    cells, trials, *seconds = measure(file, tmp_path / "cache")
    assert (cells, trials) == (6**4, 3 * 6**4)
    again = measure(file, tmp_path / "cache")
    assert again[:2] == [cells, trials]
    assert sum(seconds) + sum(again[2:]) < 40
