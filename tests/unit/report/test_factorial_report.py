"""Factorial designs in a report: frames, reasons, tables and the interaction plot."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import fake_analysis as fake
import made_study

from segbench.config.experiment import Experiment
from segbench.report.analyse import analyse
from segbench.report.analysis import Analysis
from segbench.report.labels import Labels, Style
from segbench.report.topics.factorial import interactions_figure
from segbench.report.topics.walk import make_tables

AXES = {"model": ("unet", "resnet"), "norm": ("batch", "none", "dyt")}


def dice(levels: Mapping[str, str], seed: int, fold: int) -> float:
    """None costs .03 in the U-Net and .01 in the ResNet."""
    cost = {"batch": 0.0, "none": 0.03, "dyt": 0.02}[levels["norm"]]
    saved = 0.02 * (levels == {"model": "resnet", "norm": "none"})
    noise = np.random.default_rng([seed, *map(ord, "".join(levels.values()))]).normal(0, 0.002)
    return 0.9 - cost + saved + 0.001 * seed + noise


def run(experiment: Experiment, **changes: object) -> Analysis:
    results = made_study.make_results(experiment, dice, **changes)  # type: ignore[arg-type]
    return analyse(experiment, results, project=experiment.project)


def test_a_factorial_has_means_interactions_and_anova(tmp_path: Path) -> None:
    experiment = made_study.make_experiment(tmp_path, AXES, seeds=4)
    analysis = run(experiment)
    by_level = analysis.marginals.set_index("level")
    expected = [[dice({"model": m, "norm": "none"}, s, 0) for m in AXES["model"]] for s in range(4)]
    assert by_level.loc["none", "mean"] == pytest.approx(np.mean(expected))
    assert by_level.loc["none", "sd"] == pytest.approx(np.std(np.mean(expected, axis=1), ddof=1))
    first = analysis.interactions.iloc[0]
    assert (first["level_a"], first["level_b"]) == ("resnet", "none")
    assert first["difference"] == pytest.approx(0.02, abs=0.004)
    assert first["low"] > 0
    # The marginal effect of the table of effects is the difference of two marginal means.
    row = analysis.effects[(analysis.effects["level"] == "none") & (analysis.effects["at"] == "")].iloc[0]
    means = by_level["mean"]
    assert row["difference"] == pytest.approx(means["none"] - means["batch"])
    assert analysis.anova["source"].tolist() == ["model", "norm", "model x norm", "seed", "residual", "total"]
    tables = make_tables(analysis, Labels(analysis, Style()))
    assert {"marginals", "interactions", "anova"} <= set(tables)
    assert [f.text for f in tables["interactions"].rows[0]][:3] == [
        "model: resnet − unet",
        "norm: none − batch",
        "4",
    ]
    assert tables["anova"].rows[2][0].text == "model × norm"
    assert "exploratory" in tables["anova"].caption


def test_a_seed_that_lacks_a_cell_is_left_out_and_named(tmp_path: Path) -> None:
    experiment = made_study.make_experiment(tmp_path, AXES, seeds=4)
    broken = dict(experiment.cells[3].levels)
    analysis = run(
        experiment,
        states=lambda levels, seed, fold: "diverged" if levels == broken and seed == 2 else "complete",
    )
    assert set(analysis.marginals["n"]) == {3}
    what = "Means of levels and interactions"
    assert f"{what} leave out 1 of 4 seeds, not measured in every cell: 2." in analysis.notes
    # The analysis of variance takes the other five trials of the seed.
    df = analysis.anova.set_index("source")["df"]
    assert (df["seed"], df["residual"], df["total"]) == (3, 14, 22)
    assert any("sums of squares are of type III" in note for note in analysis.notes)
    tables = make_tables(analysis, Labels(analysis, Style()))
    assert "Some trials are missing: sums of squares are of type III" in tables["anova"].note
    assert len(analysis.anova["trials"].iloc[0]) == 23
    assert len(analysis.marginals["trials"].iloc[0]) == 9


def test_without_a_whole_seed_the_analysis_of_variance_stands_alone(tmp_path: Path) -> None:
    experiment = made_study.make_experiment(tmp_path, AXES, seeds=5)
    cells = [dict(cell.levels) for cell in experiment.cells]
    analysis = run(
        experiment,
        states=lambda levels, seed, fold: "diverged" if levels == cells[seed] else "complete",
    )
    assert analysis.marginals.empty
    assert analysis.anova.set_index("source").loc["total", "df"] == 24
    what = "Means of levels and interactions of model and norm need a complete crossing"
    assert f"{what}: no seed is measured in every cell." in analysis.notes
    assert "anova" in make_tables(analysis, Labels(analysis, Style()))


@pytest.mark.parametrize(
    ("keep", "reason"),
    [
        (
            lambda levels: levels != {"model": "resnet", "norm": "dyt"},
            "5 of the 6 combinations are in the design",
        ),
        (lambda levels: levels["model"] == "unet", "fewer than two axes are crossed"),
    ],
)
def test_no_crossing_says_why(tmp_path: Path, keep: object, reason: str) -> None:
    analysis = run(made_study.make_experiment(tmp_path, AXES, keep=keep))  # type: ignore[arg-type]
    assert analysis.anova.empty
    assert analysis.marginals.empty
    what = "Means of levels, interactions and the analysis of variance of model and norm"
    assert f"{what} need a complete crossing: {reason}." in analysis.notes


def test_a_cell_that_never_completes_leaves_no_seed(tmp_path: Path) -> None:
    experiment = made_study.make_experiment(tmp_path, AXES)
    broken = dict(experiment.cells[3].levels)
    analysis = run(experiment, states=lambda levels, s, f: "diverged" if levels == broken else "complete")
    assert analysis.anova.empty
    assert any("no seed is measured in every cell" in note for note in analysis.notes)


@pytest.mark.parametrize("levels", [fake.NORM, fake.HOSTILE, fake.TWELVE], ids=["norm", "hostile", "twelve"])
def test_the_figure_draws_every_mean_with_its_interval(levels: dict[str, tuple[str, ...]]) -> None:
    analysis = fake.make_analysis(levels)
    means = analysis.interaction_means
    assert means is not None
    figure = interactions_figure(analysis, Labels(analysis, Style()))
    assert figure is not None
    points = [mark for mark in figure.marks if mark.kind == "points"]
    drawn = sorted(y for mark in points for y in mark.y)
    assert drawn == pytest.approx(sorted(means["mean"]))
    assert sorted(v for mark in points for v in mark.low) == pytest.approx(sorted(means["low"]))
    assert sum(len(row) for row in figure.facets) == len(means[["axis_a", "axis_b"]].drop_duplicates())
    # A reader in grey tells lines apart by marker, and each has one look in all plots.
    looks = {(key.look.colour, key.look.marker) for key in figure.legend}
    assert len(looks) == len(figure.legend)


def test_intervals_of_two_lines_do_not_lie_on_each_other() -> None:
    analysis = fake.make_analysis(fake.NORM)
    figure = interactions_figure(analysis, Labels(analysis, Style()))
    assert figure is not None
    (facet,) = figure.facets[0]
    first = [mark.x[0] for mark in facet.marks if mark.kind == "points"]
    assert len(set(first)) == 2
    assert all(abs(x) < 0.3 for x in first)


def test_one_axis_and_one_seed_are_drawn_without_what_is_not_there() -> None:
    alone = fake.make_analysis({"norm": ("a", "b")})
    assert interactions_figure(alone, Labels(alone, Style())) is None
    single = fake.make_analysis(seeds=1)
    figure = interactions_figure(single, Labels(single, Style()))
    assert figure is not None
    assert all(not mark.low for mark in figure.marks)
    assert "interval" not in figure.caption.split("Lines")[0]
    assert "anova" not in make_tables(single, Labels(single, Style()))
