"""Looks, unplanned growth and questions that changed after results: what a report says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from made_study import make_experiment, make_results

from segbench.config.experiment import Claim, Experiment
from segbench.report.analyse import analyse, judge_look
from segbench.report.analysis import Analysis
from segbench.report.labels import Labels, Style
from segbench.report.topics.walk import make_tables
from segbench.stats.intervals import t_interval
from segbench.store.history import append_history, describe
from segbench.store.layout import ExperimentFolder
from segbench.store.results import Results

GAPS = (0.01103, 0.01001, 0.01202, 0.01004, 0.01101)


def dice(levels: Mapping[str, str], seed: int, fold: int) -> float:
    return 0.8 + 0.001 * seed + (GAPS[seed % 5] if levels["norm"] == "b" else 0.0)


@pytest.fixture
def study(tmp_path: Path) -> Experiment:
    experiment = make_experiment(tmp_path, {"norm": ["a", "b"]}, seeds=5)
    return replace(experiment, looks=(3, 5))


@pytest.fixture
def folder(study: Experiment) -> ExperimentFolder:
    folder = ExperimentFolder(study.project.results / study.name)
    folder.root.mkdir(parents=True)
    return folder


def analysis_of(experiment: Experiment, results: Results) -> Analysis:
    return analyse(experiment, results, project=experiment.project)


def at_first_look(experiment: Experiment, **options: object) -> Results:
    return make_results(
        experiment, dice, states=lambda levels, seed, fold: "complete" if seed < 3 else None, **options
    )


def test_a_look_spends_its_share_in_tests_and_intervals(study: Experiment) -> None:
    analysis = analysis_of(study, at_first_look(study))
    row = analysis.effects.iloc[0]
    assert row["n"] == 3
    assert (row["low"], row["high"]) == pytest.approx(t_interval(GAPS[:3], 0.975))
    assert analysis.level == 0.975
    assert "97.5 % interval" in analysis.answer
    assert "95 %" not in analysis.answer
    assert "at two-sided 0.025" in analysis.head["family"]
    assert analysis.head["look"] == "1 of 2, after 3 of at most 5 seeds, at alpha 0.025"
    assert list(analysis.head).index("look") == list(analysis.head).index("seeds") + 1
    assert analysis.head["seeds"] == "3 (0 to 2)"
    note = next(note for note in analysis.notes if note.startswith("Verdicts follow"))
    assert "Holm's correction over the family at two-sided 0.025" in note
    assert "This is look 1 of 2, after 3 of at most 5 seeds, at alpha 0.025: each of 2 planned looks" in note
    columns = [c.title for c in make_tables(analysis, Labels(analysis, Style()))["effects"].columns]
    assert "97.5 % interval, this test set" in columns


def test_without_looks_nothing_is_shared(study: Experiment) -> None:
    once = replace(study, looks=())
    analysis = analysis_of(once, make_results(once, dice))
    assert "look" not in analysis.head
    assert "95 % interval" in analysis.answer
    assert any("at two-sided 0.05; the intervals printed are 95 % each, without" in n for n in analysis.notes)


def test_trials_of_the_next_look_do_not_count_before_it_is_complete(study: Experiment) -> None:
    on_the_way = make_results(
        study, dice, states=lambda levels, seed, fold: "complete" if seed < 4 else "running"
    )
    analysis = analysis_of(study, on_the_way)
    assert len(analysis.seeds) == 6
    assert analysis.left_out.empty
    assert "2 trials of further seeds have ended; they count when their look is complete." in analysis.notes
    complete = analysis_of(study, make_results(study, dice))
    assert complete.head["look"].startswith("2 of 2, after 5 of at most 5 seeds")


def test_before_the_first_look_nothing_is_judged(study: Experiment) -> None:
    results = make_results(
        study, dice, states=lambda levels, seed, fold: "complete" if seed < 2 else "waiting"
    )
    assert "partial: 4 of 6 trials" in analysis_of(study, results).answer


@pytest.mark.parametrize(("seeds", "word"), [(3, {"norm: b against a in test_dice": "better"}), (5, None)])
def test_judge_look_gives_the_reports_verdicts(
    study: Experiment, monkeypatch: pytest.MonkeyPatch, seeds: int, word: dict[str, str] | None
) -> None:
    if word is None:  # a difference that is none, too wide to be equivalent
        results = make_results(
            study, lambda levels, seed, fold: 0.8 + 0.1 * ((seed + len(levels["norm"])) % 2)
        )
        word = {}
        results.trials["test_dice"] = [0.8, 0.9, 0.9, 0.8, 0.8, 0.85, 0.9, 0.8, 0.85, 0.9]
    else:
        results = at_first_look(study)
    monkeypatch.setattr("segbench.report.analyse.read_results", lambda path: results)
    look = judge_look(study, seeds)
    assert look.resolved == word
    assert look.is_resolved == bool(word)
    assert look.alpha == 0.025
    assert look.unresolved == (() if word else ("norm: b against a in test_dice",))


def test_judge_look_names_claims_as_they_are_asked(
    study: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = (
        Claim(source="b > a", axis="norm", left="b", op=">", right="a", on="new_images"),
        Claim(source="b / a", axis="norm", left="b", op="/", right="a", between=(0.5, 2.0)),
    )
    study = replace(study, claims=claims)
    results = at_first_look(study)
    monkeypatch.setattr("segbench.report.analyse.read_results", lambda path: results)
    assert judge_look(study, 3).resolved == {
        "norm: b against a in test_dice on new images": "better",
        "norm: b / a in test_dice": "within",
    }


def test_growth_after_results_makes_verdicts_exploratory(study: Experiment, folder: ExperimentFolder) -> None:
    grown = replace(study, looks=())
    append_history(folder, describe(grown.first_seeds(3), ended="2026-03-01T10:00:00+00:00", commit="c"))
    said = (
        "Unplanned growth: the seeds grew from 3 to 5 after results were seen on 2026-03-01, so the verdicts "
        "are exploratory."
    )
    analysis = analysis_of(grown, make_results(grown, dice))
    assert said in analysis.answer
    assert said in analysis.notes
    assert analysis.head["after results"] == said
    assert analysis.effects.iloc[0]["verdict"] == "better"
    same = grown.first_seeds(3)
    assert "after results" not in analysis_of(same, make_results(same, dice)).head


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ((), (3, 5), "The looks were planned after results were seen on 2026-03-01"),
        ((2, 5), (3, 5), "The looks were changed after results were seen on 2026-03-01"),
        ((3, 5), (3, 5), ""),
    ],
)
def test_looks_are_planned_before_results(
    study: Experiment, folder: ExperimentFolder, before: tuple[int, ...], now: tuple[int, ...], said: str
) -> None:
    first = replace(study, looks=before).first_seeds(3)
    append_history(folder, describe(first, ended="2026-03-01T10:00:00+00:00", commit=None))
    analysis = analysis_of(replace(study, looks=now), make_results(study, dice))
    assert analysis.head.get("after results", "").startswith(said)
    assert bool(said) == ("after results" in analysis.head)


def test_other_seeds_after_results_are_named(study: Experiment, folder: ExperimentFolder) -> None:
    once = replace(study, looks=(), seeds=(0, 1, 2))
    append_history(folder, describe(once, ended="2026-03-01T10:00:00+00:00", commit=None))
    other = replace(once, seeds=(0, 1, 4))
    text = analysis_of(other, make_results(other, dice)).head["after results"]
    assert text.startswith("The seeds were changed from 0 1 2 to 0 1 4 after results were seen on 2026-03-01")


def test_claims_margin_and_outcome_that_changed_after_results(
    study: Experiment, folder: ExperimentFolder
) -> None:
    study = replace(study, looks=())
    append_history(folder, describe(study, ended="2026-03-01T10:00:00+00:00", commit=None))
    claim = Claim(source="b > a", axis="norm", left="b", op=">", right="a")
    changed = replace(study, margin=0.02, claims=(claim,))
    notes = analysis_of(changed, make_results(changed, dice)).notes
    assert "The claims changed after results were seen on 2026-03-01." in notes
    assert "The margin changed from 0.005 to 0.02 after results were seen on 2026-03-01." in notes
    assert not any("seen on" in note for note in analysis_of(study, make_results(study, dice)).notes)
