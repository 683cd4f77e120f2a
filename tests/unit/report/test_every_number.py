"""Every number of every table and figure has a trace: a new table or figure without one fails here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import fake_analysis as fake
import made_search
import made_study as study
import numpy as np
import pandas as pd
import pytest
import test_tuned_report

from segbench.config.experiment import Claim, Search, SearchParameter, Tune
from segbench.config.load import load_experiment
from segbench.config.project import Project
from segbench.records import axis_column
from segbench.report.analyse import analyse
from segbench.report.analysis import Analysis
from segbench.report.explain import explain, find
from segbench.report.labels import Labels, Style
from segbench.report.topics.walk import FIGURE_NAMES, TABLE_NAMES, make_figures, make_tables, trace_all

AXES = {"model": ("unet", "resnet"), "norm": ("batch", "none", "dyt")}
NOISE = np.random.default_rng(5).normal(0, 0.004, (2, 3, 7))
UNTRACED = {
    "failures": {"Seed"},
    "search": {"Proposal", "lr", "weight_decay", "width"},
    "replicated": {"Proposal"},
    "tuning": {"Repeat", "lr"},
}
"""Table -> columns that say which trial a row is, or what was set in it: nothing was measured."""


def dice(levels: Mapping[str, str], seed: int, fold: int) -> float:
    model, norm = AXES["model"].index(levels["model"]), AXES["norm"].index(levels["norm"])
    return float(0.9 - 0.01 * model - 0.02 * norm + NOISE[model, norm, seed])


def epochs(levels: Mapping[str, str], seed: int) -> list[dict[str, float]]:
    rise = 0.5 if levels["norm"] == "none" else 0.9
    return [
        {
            "train_loss": 1 / e,
            "train_dice": rise,
            "val_loss": 0.3 + 0.01 * abs(e - 8 - seed),
            "val_dice": rise - 0.3 / e - 0.001 * seed,
            "epoch_time_s": 2.0 + 0.1 * seed,
            "images_per_s": 50.0,
            "peak_memory_mib": 300.0,
        }
        for e in range(1, 25)
    ]


def study_of(root: Path, *, diverged: Mapping[str, str] | None) -> Analysis:
    claims = (Claim(source="norm: batch > none", axis="norm", left="batch", op=">", right="none"),)
    experiment = replace(study.make_experiment(root, AXES, seeds=7, claims=claims), subgroups=("species",))
    results = study.make_results(
        experiment,
        dice,
        epochs=epochs,
        facts=lambda levels, seed: {"instability": 0.002 + 0.0001 * seed, "test_iou": 0.8 + 0.001 * seed},
        states=lambda levels, seed, fold: "diverged" if seed == 6 and levels == diverged else "complete",
    )
    images = [f"image_0_{i}" for i in range(6)]
    samples = pd.DataFrame({"image": images, "group": "", "species": ["cat"] * 3 + ["dog"] * 3})
    return analyse(experiment, replace(results, samples=samples), project=Project(root))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """A crossing over seven seeds."""
    return study_of(tmp_path_factory.mktemp("whole"), diverged=None)


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """The same; one trial of the last seed diverged."""
    return study_of(tmp_path_factory.mktemp("study"), diverged={"model": "unet", "norm": "dyt"})


def searched() -> Analysis:
    """A search of three proposals."""
    made = fake.make_analysis(fake.QUICKSTART)
    rows = [
        {
            "trial": f"{k:012x}",
            "number": k,
            "search:lr": 10.0**-k,
            "state": "complete",
            "value": 0.8 + k / 100,
        }
        for k in range(3)
    ]  # fmt: skip
    experiment = replace(made.experiment, search=SEARCH)
    nothing = {name: getattr(made, name).iloc[:0] for name in ("cells", "effects", "seeds", "curves")}
    frames = ("marginals", "interaction_means", "interactions", "anova", "dynamics", "sensitivity")
    nothing |= dict.fromkeys(frames, pd.DataFrame())
    return fake.with_frames(replace(made, experiment=experiment), search=pd.DataFrame(rows), **nothing)


def axes_of(levels: Mapping[str, str]) -> dict[str, str]:
    return {axis_column(axis): label for axis, label in levels.items()}


def tuned() -> Analysis:
    made = fake.make_analysis(fake.QUICKSTART)
    rows = [
        {"cell": cell.label, **axes_of(cell.levels), "repeat": 0, "ended": 4, "diverged": 1, "failed": 0,
         "search:lr": 0.01, "trial": f"{k:012x}", "value": 0.9}
        for k, cell in enumerate(made.experiment.cells)
    ]  # fmt: skip
    experiment = replace(made.experiment, tune=Tune(search=SEARCH, seed=1000))
    return fake.with_frames(replace(made, experiment=experiment), tuning=pd.DataFrame(rows))


SEARCH = Search(
    parameters=(SearchParameter(name="lr", path="optimizer.lr", low=1e-5, high=1.0, log=True),),
    sampler="tpe",
    sampler_seed=0,
    pruner="none",
    pruner_warmup_epochs=2,
    num_trials=4,
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[Analysis]:
    """A search for one goal, one for two, and a tuned design with trials as designed."""
    root = tmp_path_factory.mktemp("search")
    found = [
        made_search.report(made_search.made_search(root, text, name=name))
        for name, text in (("one", made_search.FILE), ("two", made_search.GOALS))
    ]
    (root / "experiments" / "tuned.yaml").write_text(test_tuned_report.FILE)
    experiment = load_experiment(root / "experiments" / "tuned.yaml")
    test_tuned_report.tuned(experiment)
    for seed in experiment.seeds:
        plain = replace(experiment, name="plain")
        test_tuned_report.draw(plain, "batch", 1e-3, seed, role=None, dice=0.5)
    return [*found, test_tuned_report.report(experiment)]


@pytest.fixture(scope="module")
def reports(studied: Analysis, whole: Analysis, recorded: list[Analysis]) -> list[tuple[Analysis, Labels]]:
    left_out = pd.DataFrame([{"folder": "trials/0123", "reason": "no longer in the design"}])
    made = [fake.with_frames(studied, left_out=left_out), whole, searched(), tuned(), *recorded]
    return [(analysis, Labels(analysis, Style(effect_size="g"))) for analysis in made]


def test_every_number_of_every_table_has_a_trace(reports: list[tuple[Analysis, Labels]]) -> None:
    seen = set()
    for analysis, labels in reports:
        for name, table in make_tables(analysis, labels).items():
            seen.add(name)
            for row in table.rows:
                for column, field in zip(table.columns, row, strict=True):
                    is_number = column.is_number and field.text != "–"
                    if is_number and column.title not in UNTRACED.get(name, ()):
                        assert field.hover, f"{name}: {column.title} {field.text}"
    assert seen == set(TABLE_NAMES)


def test_every_number_of_every_figure_has_a_trace(reports: list[tuple[Analysis, Labels]]) -> None:
    seen = set()
    for analysis, labels in reports:
        for figure in make_figures(analysis, labels):
            seen.add(figure.name)
            for mark in figure.marks:
                if mark.readings:
                    assert mark.traces[0], f"{figure.name}: {mark.label}"
                for k, hover in enumerate(mark.hover):
                    assert "(trial " in hover or mark.traces[k], f"{figure.name}: {hover}"
    assert seen == set(FIGURE_NAMES)


def test_every_trace_of_measured_numbers_names_trials(studied: Analysis) -> None:
    for trace in trace_all(studied, 3).all:
        if trace.value not in (None, 0.0, ""):
            assert trace.trials, trace.key
            assert trace.source.seeds, trace.key


@pytest.mark.parametrize("frame", ["marginals", "interaction_means", "interactions", "anova", "dynamics"])
def test_only_trials_that_count_are_named(studied: Analysis, frame: str) -> None:
    """A seed that lacks a cell is no part of the crossing's numbers; a trial that diverged is of none."""
    traces = [trace for trace in trace_all(studied, 3).all if trace.frame == frame]
    measured = studied.measured
    assert measured is not None
    lost = measured[measured["state"] == "diverged"]["trial"].item()
    of_last = set(measured[measured["seed"] == 6]["trial"])
    named = {trial for trace in traces for trial in trace.trials}
    assert lost not in named
    assert (named & of_last == set()) == (frame not in ("dynamics", "anova"))


def test_explain_shows_the_steps_of_every_frame(whole: Analysis) -> None:
    traces = trace_all(whole, 3)
    frames = dict.fromkeys(trace.frame for trace in traces.all)
    assert list(frames) == [
        "cells", "effects", "sensitivity", "claims", "subgroups", "marginals", "interaction_means",
        "interactions", "anova", "metrics", "dynamics", "curves",
    ]  # fmt: skip
    for frame in frames:
        subject = next(trace.subject for trace in traces.all if trace.frame == frame)
        assert find(traces, f"{frame}/{subject}") == (frame, subject)
        text = explain(whole, traces, frame, subject, records=Path("trials"))
        assert text.startswith(f"{subject} ({frame})\n")
        assert " trials\n" in text


def test_explain_works_out_an_f(studied: Analysis) -> None:
    traces = trace_all(studied, 3)
    row = studied.anova.set_index("source").loc["model x norm"]
    text = explain(studied, traces, "anova", "model x norm", records=Path("trials"))
    assert f"= {row['f']:.6g}\n" in text
    assert f"p = upper tail of F(2, 29) at {row['f']:.6g} = {row['p']:.6g}\n" in text
    assert f"= {row['omega_squared']:.6g}\n" in text
    assert "41 trials" in text


def test_explain_shows_a_curve_seed_by_seed(studied: Analysis) -> None:
    traces = trace_all(studied, 3)
    first = studied.measured.iloc[0]
    rows = pd.DataFrame(
        [{"trial": t, "epoch": e, **row} for t, s in zip(studied.measured["trial"], studied.measured["seed"],
          strict=True) for e, row in enumerate(epochs({"norm": "batch"}, int(s)), 1)]
    )  # fmt: skip
    text = explain(
        studied, traces, "curves", f"{first['cell']}, val_dice", records=Path("trials"), epochs=rows
    )
    (head,) = [line for line in text.splitlines() if line.startswith("epoch ")]
    assert head.split() == [
        "epoch",
        *(w for s in range(7) for w in ("seed", str(s))),
        "n",
        "mean",
        "low",
        "high",
    ]
    (tenth,) = [line for line in text.splitlines() if line.startswith("10 ")]
    values = [float(word) for word in tenth.split()[1:8]]
    assert values == pytest.approx([0.87 - 0.001 * seed for seed in range(7)])
    assert float(tenth.split()[9]) == pytest.approx(np.mean(values))


def test_a_pooled_interval_rests_on_all_cells(whole: Analysis) -> None:
    traces = trace_all(whole, 3).by_key
    own = traces["sensitivity/norm: none - batch/interval"]
    pooled = traces["sensitivity/norm: none - batch/interval_pooled"]
    assert len(own.trials) == 2 * 2 * 7
    assert len(pooled.trials) == 6 * 7
