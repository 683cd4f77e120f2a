"""What tuning changed: cells at their settings as designed against their winners, where both are recorded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from test_tuned_report import FILE, RATES, draw, report, tuned

from segbench.config.experiment import Experiment
from segbench.config.load import load_experiment
from segbench.records import Role, State
from segbench.report.analysis import Analysis
from segbench.report.freshness import differences, recorded
from segbench.report.labels import Labels, Style
from segbench.report.topics.tuning import NO_DEFAULT, NO_VAL
from segbench.report.topics.walk import make_figures, make_tables
from segbench.stats.intervals import t_interval

DEFAULT = 1e-3
"""Learning rate of the cells as designed: that of `RATES[0]`."""


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    file = tmp_path / "experiments" / "e.yaml"
    file.parent.mkdir()
    file.write_text(FILE)
    return load_experiment(file)


def as_designed(experiment: Experiment, label: str, seeds: int, *, name: str = "plain") -> None:
    """Leave trials of a cell without tuning in another experiment."""
    for seed in experiment.seeds[:seeds]:
        draw(replace(experiment, name=name), label, DEFAULT, seed, role=None, dice=0.5 + seed / 100)


def cell_of(analysis: Analysis, label: str) -> dict[str, object]:
    rows = {str(row["cell"]): row for row in analysis.untuned.to_dict("records")}
    return {str(key): value for key, value in rows[label].items()}


def test_replicates_are_set_against_trials_of_another_experiment(experiment: Experiment) -> None:
    tuned(experiment)
    as_designed(experiment, "batch", 3)
    analysis = report(experiment)
    row = cell_of(analysis, "batch")
    differences_ = [0.8 + s / 1000 - 0.5 - s / 100 for s in range(3)]
    assert row["n_default"] == row["n_tuned"] == row["n"] == 3
    assert row["default"] == pytest.approx(0.51)
    assert row["tuned"] == pytest.approx(0.801)
    assert row["difference"] == pytest.approx(sum(differences_) / 3)
    assert (row["low"], row["high"]) == pytest.approx(t_interval(differences_))
    assert row["difference_by_seed"] == pytest.approx(tuple(differences_))
    assert (row["source"], row["missing"]) == ("plain", "")
    assert len(row["trials"]) == 6  # type: ignore[arg-type]


def test_only_seeds_that_have_both_are_paired(experiment: Experiment) -> None:
    tuned(experiment)
    as_designed(experiment, "none", 2)
    row = cell_of(report(experiment), "none")
    assert (row["n_default"], row["n_tuned"], row["n"], row["seeds"]) == (2, 3, 2, (0, 1))
    assert row["missing"] == "as designed 2 seeds of 3"


def test_contrasts_stay_as_they_were(experiment: Experiment) -> None:
    tuned(experiment)
    before = report(experiment)
    as_designed(experiment, "batch", 3)
    after = report(experiment)
    assert before.effects.equals(after.effects)
    assert before.cells.equals(after.cells)
    assert before.seeds.equals(after.seeds)


def test_without_a_test_outcome_validation_values_of_tuning_trials_stand(experiment: Experiment) -> None:
    tuned(experiment)
    analysis = report(experiment)
    row = cell_of(analysis, "batch")
    assert (row["val_default"], row["val_winner"]) == (0.5, 0.9)
    assert row["missing"] == NO_DEFAULT
    assert row["difference"] != row["difference"]
    (note,) = [note for note in analysis.notes if note.startswith("What tuning changed")]
    assert note.startswith("What tuning changed on the test images is not known of any cell: no record of it")
    table = make_tables(analysis, Labels(analysis, Style()))["untuned"]
    texts = [field.text for field in table.rows[0]]
    assert texts == ["batch", "lr 0.001", "–", "0.801 (3)", "–", "–", "0.500", "0.900", NO_DEFAULT]
    assert "the winner's is the best of 3, so its lead flatters" in table.note


def test_a_tuning_that_never_tried_the_default_says_so(experiment: Experiment) -> None:
    for label in ("batch", "none"):
        for number, rate in enumerate((2e-3, 1e-2, 3e-2)):
            draw(experiment, label, rate, 1000, role=Role.TUNING, number=number, objective=0.5 + number / 10)
        for seed in experiment.seeds:
            draw(experiment, label, 3e-2, seed, role=Role.TUNED, dice=0.8)
    row = cell_of(report(experiment), "batch")
    assert row["missing"] == f"{NO_DEFAULT}; {NO_VAL}"
    assert row["val_default"] != row["val_default"]


def test_a_diverged_default_is_no_value(experiment: Experiment) -> None:
    tuned(experiment)
    draw(experiment, "batch", DEFAULT, 1000, role=Role.TUNING, number=0, state=State.DIVERGED)
    row = cell_of(report(experiment), "batch")
    assert row["val_default"] != row["val_default"]


def test_records_of_other_data_or_incomplete_ones_do_not_count(experiment: Experiment) -> None:
    tuned(experiment)
    other = replace(experiment, name="plain")
    draw(other, "batch", DEFAULT, 0, role=None, state=State.FAILED)
    draw(other, "batch", DEFAULT, 1, role=None, dice=None)
    draw(other, "batch", 2e-3, 2, role=None, dice=0.7)
    assert cell_of(report(experiment), "batch")["n_default"] == 0


def test_trials_of_the_same_folder_go_first(experiment: Experiment) -> None:
    tuned(experiment)
    as_designed(experiment, "batch", 3)
    draw(experiment, "batch", DEFAULT, 0, role=None, dice=0.7)
    row = cell_of(report(experiment), "batch")
    assert row["source"] == "e, plain"
    assert row["baseline_by_seed"] == (0.7, 0.51, 0.52)


def test_a_report_is_older_than_such_records_that_came_later(experiment: Experiment, tmp_path: Path) -> None:
    tuned(experiment)
    before = recorded(experiment)
    as_designed(experiment, "batch", 1)
    after = recorded(experiment)
    assert before["untuned"] != after["untuned"]
    assert {k: v for k, v in before.items() if k != "untuned"} == {
        k: v for k, v in after.items() if k != "untuned"
    }
    assert differences(tmp_path, experiment, Style()) == [
        "there is no report that says what it was made from"
    ]


def test_tuning_trials_are_drawn_by_cell_with_the_winner_and_the_default(experiment: Experiment) -> None:
    tuned(experiment)
    analysis = report(experiment)
    assert len(analysis.tuning_trials) == 6
    winners = analysis.tuning_trials.query("is_winner")[["cell", "search:lr"]].to_dict("records")
    assert winners == [
        {"cell": "batch", "search:lr": RATES[1]},
        {"cell": "none", "search:lr": RATES[2]},
    ]
    figures = {figure.name: figure for figure in make_figures(analysis, Labels(analysis, Style()))}
    ((batch, none),) = figures["tuning"].facets
    assert (batch.title, none.title) == ("batch", "none")
    assert batch.x.is_log
    assert batch.verticals == (DEFAULT,)
    best = {mark.name: mark for mark in batch.marks}["best"]
    assert (best.x, best.y) == ((RATES[1],), (0.9,))
    assert "no contrast uses them" in figures["tuning"].caption
