"""From a number to its trials: traces, numbers.json, hints of tables, and what `segbench explain` says."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import fake_analysis as fake
import made_study as study
import numpy as np
import pytest
from scipy import stats

from segbench.config.experiment import Claim
from segbench.config.project import Project
from segbench.errors import ExperimentError
from segbench.report.analyse import analyse
from segbench.report.explain import explain, find
from segbench.report.labels import Labels, Style
from segbench.report.pages.content import make_content
from segbench.report.pages.html import write_html
from segbench.report.pages.number_files import write_numbers_json
from segbench.report.topics.cells import CELLS
from segbench.report.topics.topic import Frame
from segbench.report.topics.walk import make_tables, trace_all

AXES = {"model": ("unet", "resnet"), "norm": ("batch", "none", "dyt")}
EFFECT = {"batch": 0.0, "none": -0.02, "dyt": 0.004}
NOISE = np.random.default_rng(3).normal(0, 0.004, (2, 3, 4))


def dice(levels, seed, fold):
    model, norm = AXES["model"].index(levels["model"]), AXES["norm"].index(levels["norm"])
    return 0.9 - 0.01 * model + EFFECT[levels["norm"]] + NOISE[model, norm, seed]


CLAIMS = (
    Claim(source="norm: batch > none", axis="norm", left="batch", op=">", right="none"),
    Claim(source="norm: dyt == batch", axis="norm", left="dyt", op="==", right="batch"),
    Claim(source="nobody knows"),
)


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    experiment = study.make_experiment(root, AXES, seeds=4, claims=CLAIMS)
    results = study.make_results(experiment, dice)
    return analyse(experiment, results, project=Project(root))


@pytest.fixture(scope="module")
def traces(analysis):
    return trace_all(analysis, Style().digits)


def of_cell(model, norm):
    return np.array([dice({"model": model, "norm": norm}, seed, 0) for seed in range(4)])


def test_a_cells_number_names_its_trials_and_their_values(traces):
    trace = traces.by_key["cells/resnet, none/mean"]
    assert trace.source.seeds == (0, 1, 2, 3)
    assert trace.source.by_seed["test_dice"] == pytest.approx(of_cell("resnet", "none"))
    assert trace.trials == tuple(f"{4 * 4 + seed:012x}" for seed in range(4))  # the fifth cell
    assert trace.value == pytest.approx(of_cell("resnet", "none").mean())
    assert trace.printed == f"{of_cell('resnet', 'none').mean():.3f}"
    low, high = traces.by_key["cells/resnet, none/interval"].value
    values = of_cell("resnet", "none")
    expected = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert (low, high) == pytest.approx(expected)


def test_costs_show_the_costs_behind_them(traces):
    trace = traces.by_key["cells/unet, batch/epoch_time_s"]
    assert trace.source.by_seed == {"epoch_time_s": (2.0, 2.0, 2.0, 2.0)}
    assert trace.value == 2.0
    assert "Median over trials" in trace.formula


def test_an_effect_names_both_arms_by_seed(traces):
    trace = traces.by_key["effects/norm: none - batch/difference"]
    none = (of_cell("unet", "none") + of_cell("resnet", "none")) / 2
    batch = (of_cell("unet", "batch") + of_cell("resnet", "batch")) / 2
    assert list(trace.source.by_seed) == ["none", "batch", "difference"]
    assert trace.source.by_seed["none"] == pytest.approx(none)
    assert trace.source.by_seed["batch"] == pytest.approx(batch)
    assert trace.source.by_seed["difference"] == pytest.approx(none - batch)
    assert trace.value == pytest.approx((none - batch).mean())
    assert len(trace.trials) == 16
    at = traces.by_key["effects/norm: none - batch at model = unet/difference"]
    assert len(at.trials) == 8
    assert at.value == pytest.approx((of_cell("unet", "none") - of_cell("unet", "batch")).mean())


def test_claims_are_traced_as_they_are_written(traces):
    assert traces.by_key["claims/norm: batch > none/verdict"].value == "supported"
    assert traces.by_key["claims/norm: batch > none/difference"].value > 0
    assert len(traces.by_key["claims/norm: batch > none/verdict"].trials) == 16
    assert traces.by_key["claims/nobody knows/verdict"].trials == ()


def test_the_hint_says_how_many_trials_which_and_how(traces):
    hint = traces.hover("cells", "unet, none", "mean")
    assert hint == (
        "Mean over seeds of test_dice at the selected weights. 4 trials, seeds 0 to 3: "
        "000000000004, 000000000005, 000000000006, 000000000007."
    )
    assert "16 trials" in traces.hover("effects", "norm: none - batch", "interval")
    assert traces.hover("effects", "norm: none - batch", "interval").endswith(" and 12 more.")
    assert traces.hover("cells", "no such cell", "mean") == ""


def test_fields_print_what_their_traces_print(analysis):
    labels = Labels(analysis, Style())
    printed: dict[str, set[str]] = {}
    for trace in trace_all(analysis, 3).all:
        printed.setdefault(trace.hover, set()).add(trace.printed)
    fields = [f for t in make_tables(analysis, labels).values() for row in t.rows for f in row if f.hover]
    assert len(fields) > 80
    for field in fields:
        assert field.text.removesuffix("*").removesuffix(" (TOST)") in printed[field.hover]


def test_a_report_is_traced_once(analysis, monkeypatch):
    made: list[tuple[str, int]] = []
    work_out = Frame._traces

    def counted(of, analysis, numbers):
        made.append((of.name, numbers.digits))
        return work_out(of, analysis, numbers)

    monkeypatch.setattr(Frame, "_traces", counted)
    new = replace(analysis, answer="Traces of another analysis are not taken over.")
    assert trace_all(new, 3) is trace_all(new, 3)
    plain, renamed = Labels(new, Style()), Labels(new, Style(labels={"none": "plain"}))
    assert CELLS.hover(plain, "unet, none", "mean") == CELLS.hover(renamed, "unet, none", "mean") != ""
    assert made.count(("cells", 3)) == 1
    assert trace_all(new, 4) is not trace_all(new, 3)
    assert made.count(("cells", 4)) == 1


def test_numbers_json_holds_every_number_with_shared_sources(traces):
    text = write_numbers_json(traces, name="study", made_from={"results": "abc"})
    read = json.loads(text)
    assert read["format"] == 1
    assert read["experiment"] == "study"
    assert read["made_from"] == {"results": "abc"}
    assert list(read["numbers"]) == [trace.key for trace in traces.all]
    number = read["numbers"]["effects/norm: none - batch/interval"]
    source = read["sources"][number["source"]]
    values = np.array(source["by_seed"]["difference"])
    assert source["seeds"] == [0, 1, 2, 3]
    expected = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert number["value"] == pytest.approx(expected, rel=1e-6)
    assert number["source"] == read["numbers"]["effects/norm: none - batch/p_holm"]["source"]
    assert text == write_numbers_json(traces, name="study", made_from={"results": "abc"})


def test_the_page_carries_the_hints_escaped():
    page = write_html(make_content(fake.make_analysis(fake.HOSTILE), Style()))
    assert page.count("data-trace=") > 20
    assert "<script>alert" not in page


@pytest.mark.parametrize(
    ("asked", "subject"),
    [
        ("norm: none - batch", "norm: none - batch"),
        ("norm: batch - none", "norm: none - batch"),
        ("norm: batch − none at model=unet", "norm: none - batch at model = unet"),
        ("unet, none", "unet, none"),
        ("effects/norm: dyt - batch/p_holm", "norm: dyt - batch"),
        ("norm: batch > none", "norm: batch > none"),
    ],
)
def test_it_is_found_however_it_is_written(traces, asked, subject):
    assert find(traces, asked)[1] == subject


def test_what_is_not_there_gets_the_nearest_and_the_list(traces):
    with pytest.raises(ExperimentError) as error:
        find(traces, "norm: bach - none")
    assert "Did you mean 'norm: " in str(error.value)
    assert "\n  unet, none\n" in str(error.value)
    assert error.value.exit_code == 2


def test_explain_works_the_interval_out_again(analysis, traces):
    text = explain(analysis, traces, "effects", "norm: none - batch", records=Path("results/study/trials"))
    row = analysis.effects[(analysis.effects["level"] == "none") & (analysis.effects["at"] == "")].iloc[0]
    assert f"interval = {row['low']:.6g} to {row['high']:.6g}" in text
    assert f"interval = {row['low_new']:.6g} to {row['high_new']:.6g}" in text
    assert "16 trials" in text
    assert "results/study/trials/000000000004/trial.json" in text
    assert "Holm, difference: 2 hypotheses in the order of p" in text
    smallest, factor = row["p"], 2
    assert f"> 1. {smallest:.6g} · {factor} = {smallest * factor:.6g}  norm: none - batch" in text
    assert math.isclose(row["p_holm"], smallest * factor)


def test_explain_a_cell(analysis, traces):
    text = explain(analysis, traces, "cells", "unet, dyt", records=Path("trials"))
    values = of_cell("unet", "dyt")
    assert f"mean = mean over seeds = {values.mean():.6g}" in text
    low, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert f"interval = {low:.6g} to {high:.6g}" in text
    assert f"{values[2]:.6g}" in text


def test_exploratory_contrasts_have_no_place_in_the_family(analysis, traces):
    text = explain(analysis, traces, "effects", "norm: dyt - batch at model = unet", records=Path("trials"))
    assert "exploratory: outside the family" in text
    assert "Holm," not in text
