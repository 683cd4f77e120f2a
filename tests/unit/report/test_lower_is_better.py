"""Metrics of which lower is better, metrics of the whole set, and records that lack a metric."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import made_study
import pytest

from segbench.config.experiment import Claim, Experiment
from segbench.report.analyse import analyse
from segbench.report.analysis import Analysis
from segbench.report.labels import Labels, Style
from segbench.report.topics.effects import forest_figure
from segbench.store.results import Results

JITTER = [0.0, 0.01, -0.01, 0.005, -0.005]


def study(root: Path, outcome: str, *claims: Claim, has_it: bool = True) -> tuple[Experiment, Results]:
    """Five seeds in which `far` has outlines two pixels further off than `near`."""
    experiment = made_study.make_experiment(root, {"norm": ["near", "far"]}, seeds=5, claims=claims)
    experiment = replace(experiment, outcome=outcome)
    results = made_study.make_results(
        experiment,
        lambda levels, seed, fold: 0.9,
        facts=lambda levels, seed: (
            {outcome: 4 + 2 * (levels["norm"] == "far") + JITTER[(seed + len(levels["norm"])) % 5]}
            if has_it
            else {}
        ),
    )
    return experiment, results


def run(experiment: Experiment, results: Results) -> Analysis:
    return analyse(experiment, results, project=experiment.project)


def claim(op: str, metric: str) -> Claim:
    return Claim(
        source=f"{{norm: far {op} near}}", axis="norm", left="far", op=op, right="near", metric=metric
    )


def test_a_larger_distance_is_worse(tmp_path: Path) -> None:
    analysis = run(*study(tmp_path, "test_hd95_px"))
    row = analysis.effects.iloc[0]
    assert (row["level"], row["verdict"], bool(row["is_lower_better"])) == ("far", "worse", True)
    assert row["difference"] == pytest.approx(2, abs=0.02)
    assert "the 95 % Hausdorff distance (in px, the lower the better)" in analysis.answer
    assert "far is worse than near (+2.0" in analysis.answer
    figure = forest_figure(analysis, Labels(analysis, Style()))
    assert figure is not None
    assert figure.facets[0][0].x.label == "Difference in 95 % Hausdorff distance (test, px)"
    assert "Lower is better: a negative difference favours the level." in figure.caption


def test_claims_compare_the_values_themselves(tmp_path: Path) -> None:
    claims = [claim(">", "test_hd95_px"), claim("<", "test_hd95_px")]
    analysis = run(*study(tmp_path, "test_hd95_px", *claims))
    assert analysis.claims["verdict"].tolist() == ["supported", "contradicted"]


def test_a_metric_of_the_whole_set_has_no_interval_for_new_images(tmp_path: Path) -> None:
    row = run(*study(tmp_path, "test_pooled_dice")).effects.iloc[0]
    assert row["verdict"] == "better"
    assert row["low"] > 1.9
    assert row["low_new"] != row["low_new"]


def test_records_without_the_metric_are_reported_and_say_so(tmp_path: Path) -> None:
    experiment, results = study(tmp_path, "test_hd95_px", claim("<", "test_assd_px"), has_it=False)
    analysis = run(experiment, results)
    assert "No trial here holds test_hd95_px, so nothing is judged by it." in analysis.answer
    assert analysis.claims["evidence"].tolist() == ["test_assd_px was not recorded."]
    for name in ("test_hd95_px", "test_assd_px"):
        start = f"{name} is not recorded for 10 of 10 complete trials: an older segbench did not measure it"
        assert any(note.startswith(start) for note in analysis.notes)
