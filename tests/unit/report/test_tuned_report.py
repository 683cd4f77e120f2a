"""A tuned design in a report: which records count, how far verdicts reach, and what could not be tuned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from segbench.config.expand import search_space, tuned_cell
from segbench.config.experiment import Experiment
from segbench.config.load import load_experiment
from segbench.config.trial import identity
from segbench.records import EpochRecord, Role, SearchPlace, State, TrialRecord
from segbench.report.analyse import analyse
from segbench.report.analysis import Analysis
from segbench.report.build import write_report
from segbench.report.topics.panels import Panels
from segbench.store import trials
from segbench.store.layout import ExperimentFolder
from segbench.store.match import match_trials, recorded_tunings, unmatched_trials
from segbench.store.results import read_results
from segbench.store.trials import ImageValue

FILE = """\
question: Does it matter?
baseline: {dataset: {shapes: {size_px: 32}}, model: {unet: {width: 4, depth: 2}}, norm: batch}
axes: {norm: [batch, none]}
seeds: 3
margin: 0.1
tune:
  space: {lr: {path: optimizer.lr, low: 1e-4, high: 1e-1, log: true}}
  trials: 3
"""
RATES = [1e-3, 1e-2, 3e-2]
BEST = {"batch": 1, "none": 2}
"""Cell -> number of the proposal that wins."""

Load = Callable[..., Experiment]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(text: str = FILE) -> Experiment:
        file = tmp_path / "experiments" / "e.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return load_experiment(file)

    return load


def draw(
    experiment: Experiment,
    label: str,
    rate: float,
    seed: int,
    *,
    role: Role | None,
    repeat: int = 0,
    number: int | None = None,
    state: State = State.COMPLETE,
    objective: float | None = 0.5,
    dice: float | None = None,
) -> str:
    """Leave one record as a sweep would."""
    assert experiment.tune is not None
    cell = next(c for c in experiment.cells if c.label == label)
    config = tuned_cell(experiment.tune, cell, {"lr": rate}, where="e").config
    found = identity(config, seed=seed, fold=0, data_fingerprint="d")
    search: dict[str, Any] = {
        "role": role,
        "cell": cell.config_hash,
        "repeat": repeat,
        "parameters": {"lr": rate},
        "space": search_space(experiment.tune.search_of(cell)),
    }
    if number is not None:
        search["number"] = number
    folder = ExperimentFolder(experiment.project.results / experiment.name).trial(found)
    trials.write_trial(
        folder,
        TrialRecord(
            hash=found[:12],
            identity=found,
            experiment=experiment.name,
            levels=cell.levels,
            config=config.to_json(),
            config_hash=cell.config_hash if role is None else "another",
            seed=seed,
            fold=0,
            data_fingerprint="d",
            state=state,
            epochs_done=1,
            selected_epoch=1 if state is State.COMPLETE else None,
            objective=objective if state is State.COMPLETE else None,
            test={} if dice is None else {"dice": dice, "dice_last": dice},
            search=None if role is None else SearchPlace.from_json(search),
        ),
    )
    val = {"loss": 0.5, "dice": objective or 0.0}
    epoch = EpochRecord(
        epoch=1,
        lr=rate,
        train_loss=0.5,
        train_dice=0.5,
        val=val,
        epoch_time_s=1.0,
        images_per_s=1.0,
        peak_memory_mib=1.0,
    )
    trials.rewrite_epochs(folder, [epoch])
    if dice is not None:
        rows = [ImageValue(f"i{k}", "", "test", "foreground", "dice", dice + k / 100) for k in range(4)]
        trials.write_images(folder, rows)
    return found[:12]


def tuned(experiment: Experiment, *, repeats: int = 1) -> None:
    """Leave tuning trials and replicates of both cells."""
    for label, best in BEST.items():
        for repeat in range(repeats):
            for number, rate in enumerate(RATES):
                value = 0.9 if number == best else 0.5
                draw(
                    experiment,
                    label,
                    rate,
                    1000 + repeat,
                    role=Role.TUNING,
                    repeat=repeat,
                    number=number,
                    objective=value,
                )
        for seed in experiment.seeds:
            # Seeds differ in what the level costs: without that there would be no test.
            dice = (0.8 if label == "batch" else 0.6 + 0.00123 * (1, -2, 1)[seed % 3]) + seed / 1000
            draw(experiment, label, RATES[best], seed, role=Role.TUNED, repeat=seed % repeats, dice=dice)


def report(experiment: Experiment) -> Analysis:
    results = read_results(experiment.project.results / experiment.name)
    return analyse(experiment, results, project=experiment.project)


def cells_of(analysis: Analysis, column: str) -> dict[str, Any]:
    return dict(zip(analysis.cells["cell"], analysis.cells[column], strict=True))


def test_contrasts_use_the_replicates_of_the_winners(load: Load) -> None:
    experiment = load()
    tuned(experiment)
    stray = draw(
        experiment, "batch", RATES[0], 0, role=Role.TUNED, dice=0.1
    )  # of a winner that more tuning replaced
    analysis = report(experiment)
    (effect,) = analysis.effects.to_dict("records")
    assert (effect["level"], effect["n"], effect["verdict"]) == ("none", 3, "worse")
    assert effect["difference"] == pytest.approx(-0.2)
    assert set(analysis.seeds["seed"]) == {0, 1, 2}
    assert analysis.left_out.to_dict("records") == [
        {"folder": f"trials/{stray}", "reason": "no longer in the design"}
    ]
    assert analysis.head["trials"] == "6 of 6 complete"


def test_tuning_records_match_nothing_and_are_not_left_out(load: Load) -> None:
    experiment = load()
    tuned(experiment)
    results = read_results(experiment.project.results / experiment.name)
    assert set(match_trials(results, experiment)["search_role"]) == {Role.TUNED}
    assert unmatched_trials(results, experiment).empty
    plain = load(FILE[: FILE.index("tune:")])
    assert match_trials(results, plain).empty


def test_the_head_says_how_far_verdicts_reach(load: Load) -> None:
    experiment = load()
    tuned(experiment)
    analysis = report(experiment)
    assert analysis.head["tuned"] == (
        "at these tuned settings (3 trials a cell by tpe over lr (0.0001 to 0.1, log); best val_dice, "
        "seed 1000)"
    )
    assert analysis.answer.endswith("Every cell was tuned, once: this holds at these tuned settings.")
    assert any(note.startswith("The tuning was done once") for note in analysis.notes)
    assert any(note.startswith("Every cell is trained at settings of its own") for note in analysis.notes)


@pytest.mark.parametrize(
    ("repeats", "end"),
    [
        (3, "; intervals include it"),
        (2, " for 3 seeds, which share winners; intervals include a part of its scatter"),
    ],
)
def test_repeated_tuning_says_what_the_intervals_include(load: Load, repeats: int, end: str) -> None:
    experiment = load(f"{FILE}  repeats: {repeats}\n")
    tuned(experiment, repeats=repeats)
    analysis = report(experiment)
    assert analysis.head["tuned"] == (
        f"tuning repeated {repeats} times (3 trials a cell by tpe over lr (0.0001 to 0.1, log); best "
        f"val_dice, seeds 1000 to {999 + repeats}){end}"
    )
    assert not any(note.startswith("The tuning was done once") for note in analysis.notes)
    assert analysis.head["trials"] == "6 of 6 complete"
    assert len(analysis.tuning) == 2 * repeats


def test_winners_stand_in_a_table(load: Load, tmp_path: Path) -> None:
    experiment = load()
    tuned(experiment)
    analysis = report(experiment)
    rows = analysis.tuning[["cell", "search:lr", "value", "ended", "failed"]].to_dict("records")
    assert rows == [
        {"cell": "batch", "search:lr": 0.01, "value": 0.9, "ended": 3, "failed": 0},
        {"cell": "none", "search:lr": 0.03, "value": 0.9, "ended": 3, "failed": 0},
    ]
    write_report(analysis, tmp_path / "r", panels=Panels(), with_pdf=False)
    page = (tmp_path / "r" / "report.md").read_text()
    assert "## Tuned settings" in page
    assert "| batch | 0.01 | 0.900 | 3/3 | 0 | 0 |" in page
    assert (tmp_path / "r" / "data" / "tuning.csv").is_file()
    assert (tmp_path / "r" / "tables" / "tuning.tex").is_file()


def test_an_unfinished_tuning_is_partial(load: Load) -> None:
    experiment = load()
    for number, rate in enumerate(RATES[:2]):
        draw(experiment, "batch", rate, 1000, role=Role.TUNING, number=number)
    analysis = report(experiment)
    assert analysis.is_partial
    assert analysis.head["trials"].startswith("partial: 2 of 6 tuning trials")
    assert "nothing is judged yet" in analysis.answer


def test_more_trials_make_a_finished_report_partial_again(load: Load) -> None:
    tuned(load())
    analysis = report(load(FILE.replace("trials: 3", "trials: 5")))
    assert analysis.head["trials"].startswith("partial: 6 of 10 tuning trials")
    assert analysis.seeds.empty


def test_a_cell_that_could_not_be_tuned_failed(load: Load) -> None:
    experiment = load()
    tuned(experiment)
    for number, rate in enumerate(RATES):
        ended = State.FAILED if number == 0 else State.DIVERGED
        draw(experiment, "none", rate, 1000, role=Role.TUNING, number=number, state=ended)
    for seed in experiment.seeds:  # of the time before: its winner is gone
        draw(experiment, "none", RATES[2], seed, role=Role.TUNED, dice=0.6)
    analysis = report(experiment)
    assert cells_of(analysis, "failed") == {"batch": 0, "none": 3}
    assert cells_of(analysis, "missing") == {"batch": 0, "none": 0}
    reason = "could not be tuned: of 3 tuning trials 2 diverged, 1 failed"
    assert set(analysis.failures["reason"]) == {reason}
    assert f"none {reason}." in analysis.notes
    assert "Budgets were not equal: tuning trials failed in none (1 of 3)." in analysis.notes


def test_ties_go_to_the_first_and_metrics_may_be_minimised(load: Load) -> None:
    def winner(text: str, values: Sequence[float]) -> int:
        experiment = load(text)
        for number, (rate, value) in enumerate(zip(RATES, values, strict=True)):
            draw(experiment, "batch", rate, 1000, role=Role.TUNING, number=number, objective=value)
        results = read_results(experiment.project.results / experiment.name)
        found = recorded_tunings(results, experiment)[0].winner
        assert found is not None
        return found.numbers[0]

    assert winner(FILE, [0.5, 0.7, 0.7]) == 1
    assert winner(f"{FILE}objective: {{metric: val_loss}}\n", [0.5, 0.4, 0.4]) == 1
