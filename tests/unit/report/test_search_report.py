"""The report of a search: history, slices, shares, replicates, and the best as an experiment."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import made_search as made
import numpy as np
import pytest

from segbench.config.expand import apply_parameters
from segbench.config.experiment import Experiment
from segbench.config.load import load_experiment
from segbench.records import State
from segbench.report.analysis import Analysis
from segbench.report.build import write_report
from segbench.report.draw.figure import Figure
from segbench.report.draw.matplotlib_files import draw_files, page_svg
from segbench.report.draw.pgfplots import draw_pgfplots
from segbench.report.labels import Labels, Style
from segbench.report.topics import importance
from segbench.report.topics.panels import Panels
from segbench.report.topics.walk import make_figures, make_tables
from segbench.stats.intervals import t_interval

FIGURES = ("search-history", "search-slices", "search-parallel", "importance")


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return made.made_search(tmp_path_factory.mktemp("search"))


@pytest.fixture(scope="module")
def analysis(experiment: Experiment) -> Analysis:
    return made.report(experiment)


@pytest.fixture(scope="module")
def of_goals(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    return made.report(made.made_search(tmp_path_factory.mktemp("goals"), made.GOALS, name="sizes"))


def figures_of(analysis: Analysis) -> dict[str, Figure]:
    return {figure.name: figure for figure in make_figures(analysis, Labels(analysis, Style()))}


def rows_of(analysis: Analysis, table: str) -> list[list[str]]:
    found = make_tables(analysis, Labels(analysis, Style()))[table]
    return [[field.text for field in row] for row in found.rows]


# ---- history


def test_history_marks_what_was_pruned_and_what_diverged(analysis: Analysis) -> None:
    figure = figures_of(analysis)["search-history"]
    marks = {mark.name: mark for mark in figure.marks}
    frame = analysis.search.set_index("number")
    for name in ("complete", "pruned", "diverged"):
        assert sorted(marks[name].x) == sorted(frame.index[frame["state"] == name].astype(float))
    pruned = frame[frame["state"] == "pruned"]
    assert marks["pruned"].y == tuple(pruned["last_value"])
    assert " at epoch 2 (trial " in marks["pruned"].hover[0]
    known = [*marks["complete"].y, *marks["pruned"].y]
    assert max(marks["diverged"].y) < min(known)
    assert "no value" in marks["diverged"].hover[0]
    done = frame[frame["state"] == "complete"]
    assert marks["best so far"].y == tuple(done["value"].cummax())
    assert marks["best"].x == (float(done["value"].idxmax()),)
    assert "flatters" in figure.caption


def test_where_less_is_better_the_best_is_the_lowest(tmp_path: Path) -> None:
    text = made.FILE + "objective: {metric: val_loss}\n"
    experiment = made.made_search(tmp_path, text, has_replicates=False)
    marks = {mark.name: mark for mark in figures_of(made.report(experiment))["search-history"].marks}
    assert marks["best"].y == (min(marks["complete"].y),)
    assert min(marks["diverged"].y) > max(marks["complete"].y)


def test_a_history_of_several_goals_has_a_plot_each(of_goals: Analysis) -> None:
    figure = figures_of(of_goals)["search-history"]
    labels = [facet.y.label for row in figure.facets for facet in row]
    assert labels == ["Dice (validation)", "Parameters (thousands)"]
    assert "search-front" in figures_of(of_goals)


# ---- slices and parallel coordinates


def test_slices_have_the_scales_that_the_knobs_were_sampled_on(analysis: Analysis) -> None:
    facets = [facet for row in figures_of(analysis)["search-slices"].facets for facet in row]
    scales = {facet.x.label: facet.x for facet in facets}
    assert facets[0].x.label == "lr", "the largest share comes first"
    assert set(scales) == {"lr", "weight_decay", "width", "norm"}
    assert scales["lr"].is_log
    assert not scales["width"].is_log
    assert scales["norm"].tick_labels == ("batch", "none", "dyt")
    norm = next(facet for facet in facets if facet.x.label == "norm")
    for mark in norm.marks:
        assert all(abs(x - round(x)) <= 0.2 for x in mark.x)
    assert {mark.name for mark in norm.marks} == {"complete", "pruned", "diverged", "best"}


def test_parallel_coordinates_run_through_every_knob_and_the_objective(analysis: Analysis) -> None:
    figure = figures_of(analysis)["search-parallel"]
    ((facet,),) = figure.facets
    assert facet.x.tick_labels == ("lr", "norm", "weight_decay", "width", "Dice (validation)")
    num = int((analysis.search["state"] == "complete").sum())
    lines = {mark.name: np.array(mark.y).reshape(-1, 6) for mark in figure.marks}
    assert sum(len(each) for each in lines.values()) == num
    assert len(lines["best quarter"]) == len(lines["worst quarter"]) == num // 4
    assert np.isnan(lines["others"][:, -1]).all(), "a gap after each line"
    assert lines["best quarter"][:, 4].min() > lines["worst quarter"][:, 4].max()
    every = np.concatenate(list(lines.values()))[:, :5]
    assert every.min() >= 0
    assert every.max() <= 1
    assert {"1e−5", "0.1", "batch", "none", "dyt", "4", "16"} <= {word.text for word in facet.words}


def test_of_many_proposals_parallel_coordinates_show_some_and_say_so(
    analysis: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importance, "MOST_LINES", 12)
    figure = importance.parallel_figure(analysis, Labels(analysis, Style()))
    assert figure is not None
    assert sum(int(np.isnan(mark.y).sum()) for mark in figure.marks) == 12
    assert "12 of 30, evenly by rank" in figure.caption


@pytest.mark.parametrize("name", FIGURES)
def test_every_renderer_draws_every_figure(analysis: Analysis, name: str) -> None:
    figure = figures_of(analysis)[name]
    files = draw_files(figure)
    assert set(files) == {"png", "svg", "pdf"}
    ET.fromstring(page_svg(figure, files["svg"]))
    source = draw_pgfplots(figure)
    used = set(re.findall(r"\b[xy]=([^,\]]+_(?:x|y))\b", source))
    assert used
    assert used <= set(figure.table())
    assert ("unbounded coords=jump" in source) == (name == "search-parallel")


# ---- shares of variance


def test_the_knob_that_matters_has_the_share(analysis: Analysis) -> None:
    shares = dict(zip(analysis.importance["knob"], analysis.importance["share"], strict=True))
    assert shares["lr"] > 0.7
    assert max(shares["weight_decay"], shares["width"]) < 0.05
    table = make_tables(analysis, Labels(analysis, Style()))["importance"]
    assert table.rows[0][0].text == "lr"
    assert table.note.startswith("R² on proposals it has not seen 0.")
    assert "neither fANOVA nor PED-ANOVA" in table.note
    assert "trials" in table.rows[0][1].hover


def test_shares_of_a_model_that_explains_nothing_are_no_ranking(tmp_path: Path) -> None:
    text = made.FILE.replace("  pruner: median\n", "").replace("1e-5, high: 1e-1", "1e-5, high: 1e-2")
    experiment = made.made_search(tmp_path, text, truth=lambda parameters: 0.5, noise=0.05, seed=1)
    analysis = made.report(experiment)
    table = make_tables(analysis, Labels(analysis, Style()))["importance"]
    assert "The model explains little of them: its shares rank nothing." in table.note
    assert {row[1].tone for row in table.rows} == {"open"}
    assert {row[3].text for row in table.rows} == {"–"}
    figure = figures_of(analysis)["importance"]
    assert figure.facets[0][0].title.endswith("no ranking")
    assert {mark.name for mark in figure.marks} == {
        "share, not to be ranked",
        "interactions of more knobs, seeds, chance",
    }


def test_every_goal_has_shares_of_its_own(of_goals: Analysis) -> None:
    assert of_goals.importance is not None
    first = of_goals.importance.groupby("metric", sort=False)["knob"].first().to_dict()
    assert first == {"val_dice": "lr", "parameters": "width"}


def test_too_few_proposals_have_no_shares_and_the_notes_say_so(tmp_path: Path) -> None:
    text = made.FILE.replace("trials: 40", "trials: 8")
    analysis = made.report(made.made_search(tmp_path, text))
    assert analysis.importance.empty
    assert (
        "No shares of variance: they take 12 proposals with a value that differ, or more." in analysis.notes
    )
    assert not {"importance"} & set(figures_of(analysis))


# ---- replicates


def test_replicates_stand_beside_the_value_that_chose_them(analysis: Analysis) -> None:
    (row,) = analysis.replicated.to_dict("records")
    best = analysis.search.loc[analysis.search["value"].idxmax()]
    assert (row["number"], row["value"]) == (best["number"], best["value"])
    assert row["seeds"] == (1, 2, 3)
    assert row["mean"] == pytest.approx(np.mean(row["by_seed"]))
    assert (row["low"], row["high"]) == pytest.approx(t_interval(row["by_seed"]))
    assert row["val_mean"] < row["value"], "the best of many flatters"
    (shown,) = rows_of(analysis, "replicated")
    assert shown[3] == "3"
    assert shown[-1] == ", ".join(f"{value:.3f}" for value in row["by_seed"])


def test_points_of_a_front_have_a_row_each(of_goals: Analysis) -> None:
    assert of_goals.replicated is not None
    assert len(of_goals.replicated) == 3
    front = set(of_goals.search.loc[of_goals.search["is_best"], "number"])
    assert set(of_goals.replicated["number"]) <= front


# ---- the best as an experiment


def written(experiment: Experiment, analysis: Analysis) -> Path:
    folder = experiment.project.reports / experiment.name
    write_report(analysis, folder, panels=Panels(), with_pdf=False)
    return folder / f"{experiment.name}_best.yaml"


def test_the_best_is_an_experiment_as_it_stands(experiment: Experiment, analysis: Analysis) -> None:
    file = written(experiment, analysis)
    made_of = load_experiment(file)
    assert made_of.name == "lr_search_best"
    assert made_of.project.root == experiment.project.root
    assert [cell.label for cell in made_of.cells] == ["baseline", "best"]
    best = analysis.search.loc[analysis.search["value"].idxmax()]
    parameters = {name: best[f"search:{name}"] for name in ("lr", "weight_decay", "width", "norm")}
    wanted = apply_parameters(experiment, parameters).config
    assert [cell.config for cell in made_of.cells] == [experiment.baseline, wanted]
    assert made_of.seeds == (4, 5, 6, 7, 8)
    assert made_of.margin == 0.005
    assert [claim.source for claim in made_of.claims] == ["settings: best > baseline"]
    assert file.read_text().startswith("# Written by `segbench report lr_search`. Proposal ")
    page = (file.parent / "report.md").read_text()
    assert "segbench sweep reports/lr\\_search/lr\\_search\\_best.yaml" in page or (
        "segbench sweep reports/lr_search/lr_search_best.yaml" in page
    )


def test_the_front_becomes_arms(of_goals: Analysis) -> None:
    made_of = load_experiment(written(of_goals.experiment, of_goals))
    labels = [cell.label for cell in made_of.cells]
    front = of_goals.search[of_goals.search["is_best"]].sort_values("val_dice", ascending=False)
    assert labels == ["baseline", *(f"proposal {number}" for number in front["number"])]
    assert made_of.claims == ()


def test_levels_that_change_the_variant_under_a_knob_are_written_whole(tmp_path: Path) -> None:
    """The baseline's optimiser has no momentum: the path of one arm is none of the other."""
    space = (
        "    kind: {levels: {adamw: {optimizer: {adamw: {lr: 2e-3}}}, "
        "sgd: {optimizer: {sgd: {lr: 1e-2}}, optimizer.momentum: 0.9}}}\n"
    )
    start = made.FILE.index("    lr:")
    end = made.FILE.index("  sampler")
    text = made.FILE[:start] + space + made.FILE[end:]

    def truth(parameters: object) -> float:
        return 0.9 if dict(parameters)["kind"] == "sgd" else 0.8  # type: ignore[call-overload]

    experiment = made.made_search(tmp_path, text, truth=truth)
    analysis = made.report(experiment)
    made_of = load_experiment(written(experiment, analysis))
    assert made_of.cells[1].config.optimizer.name == "sgd"
    assert made_of.cells[1].config.optimizer.knobs["momentum"] == 0.9
    assert made_of.cells[0].config == experiment.baseline


def test_where_the_baseline_itself_is_best_there_is_nothing_to_write(tmp_path: Path) -> None:
    experiment = made.made_search(tmp_path, num=0)
    assert experiment.search is not None
    same = {"lr": 1e-3, "weight_decay": 1e-2, "width": 8, "norm": "batch"}
    made.write(experiment, same, 0, 0.95, State.COMPLETE, {"number": 0})
    analysis = made.report(experiment)
    assert analysis.best_design == ""
    assert "The best proposal is the search's own baseline: there is nothing to compare." in analysis.notes


def test_an_unfinished_search_says_so_in_the_file(tmp_path: Path) -> None:
    analysis = made.report(made.made_search(tmp_path, num=12, has_replicates=False))
    head = " ".join(line.lstrip("# ") for line in analysis.best_design.splitlines()[:3])
    assert "so far (partial: 12 of 40 proposals)" in head


def test_the_file_goes_when_there_is_no_best_any_more(tmp_path: Path) -> None:
    experiment = made.made_search(tmp_path, num=12)
    file = written(experiment, made.report(experiment))
    assert file.is_file()
    same = {"lr": 1e-3, "weight_decay": 1e-2, "width": 8, "norm": "batch"}
    made.write(experiment, same, 0, 0.99, State.COMPLETE, {"number": 12})
    written(experiment, made.report(experiment))
    assert not file.exists()


# ---- the folder


def test_data_and_numbers_hold_what_is_printed(experiment: Experiment, analysis: Analysis) -> None:
    folder = written(experiment, analysis).parent
    for name in ("search", "replicated", "importance", *(f"figure-{name}" for name in FIGURES)):
        assert (folder / "data" / f"{name}.csv").is_file(), name
    read = json.loads((folder / "numbers.json").read_text())
    best = int(analysis.search.loc[analysis.search["value"].idxmax(), "number"])
    mean = read["numbers"][f"replicated/proposal {best} with other seeds/mean"]
    source = read["sources"][mean["source"]]
    assert source["seeds"] == [1, 2, 3]
    assert mean["value"] == pytest.approx(np.mean(source["by_seed"]["test_dice"]))
    share = read["numbers"]["importance/val_dice: lr/share"]
    num = int(analysis.search["state"].isin(["complete", "diverged"]).sum())
    assert len(read["sources"][share["source"]]["trials"]) == num
    (folder / "figures" / "search.png").write_bytes(b"of an earlier version")
    written(experiment, analysis)
    assert not (folder / "figures" / "search.png").exists()
