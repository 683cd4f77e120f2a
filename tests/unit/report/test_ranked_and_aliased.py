"""The chart of effects: ranked where all are about one baseline, with aliases in a fraction."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import made_study

from segbench import registry
from segbench.config.experiment import Alias, Design, Experiment
from segbench.config.load import load_experiment
from segbench.config.pairing import aliased_with
from segbench.report.analyse import analyse
from segbench.report.analysis import Analysis
from segbench.report.draw.figure import Figure
from segbench.report.labels import Labels, Style
from segbench.report.topics.effects import forest_figure
from segbench.report.topics.walk import make_tables
from segbench.stats.questions import is_ranked

HEAD = (
    "question: q\nbaseline: {dataset: {shapes: {size_px: 32}}, model: {unet: {width: 4}}}\n"
    "seeds: 3\nmargin: 0.01\n"
)
ONE = HEAD + (
    "axes: {norm: [batch, none, group], lr: {path: optimizer.lr, levels: [1e-3, 1e-2]}}\n"
    "design: one_at_a_time\n"
)
STEPS = HEAD + "axes: {augment: {leave_one_out: r3}}\n"
CROSSED = ONE.replace("design: one_at_a_time\n", "")
SWITCHES = HEAD + (
    "axes: {a: {levels: {on: {norm: batch}, off: {norm: none}}}, b: {path: optimizer.lr, levels: [1e-3, 1]},"
    " c: {path: epochs, levels: [100, 2]}, d: {path: batch_size, levels: [8, 4]}}\ndesign: fractional\n"
)
EFFECTS = {"none": -0.05, "group": 0.02, "1e-2": -0.01}


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Experiment]]:
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "experiments").mkdir()

    def load(text: str) -> Experiment:
        file = tmp_path / "experiments" / "study.yaml"
        file.write_text(text, encoding="utf-8")
        return load_experiment(file)

    yield load
    registry.use_project(None)


def run(experiment: Experiment) -> Analysis:
    random = np.random.default_rng(0)

    def dice(levels: Mapping[str, str], seed: int, fold: int) -> float:
        return 0.8 + sum(EFFECTS.get(label, 0.0) for label in levels.values()) + random.normal(0, 0.001)

    return analyse(experiment, made_study.make_results(experiment, dice), project=experiment.project)


def forest(analysis: Analysis) -> Figure:
    figure = forest_figure(analysis, Labels(analysis, Style()))
    assert figure is not None
    return figure


def drawn(figure: Figure) -> list[float]:
    """Return the differences from the top down."""
    points = [m for m in figure.marks if m.low and not m.key.endswith(("_new", "_last"))]
    return [m.x[0] for m in sorted(points, key=lambda m: -m.y[0])]


def test_one_at_a_time_is_ranked_from_the_best_down(load: Callable[[str], Experiment]) -> None:
    figure = forest(run(load(ONE)))
    names = [name.replace("\n", " ") for name in figure.facets[0][0].y.tick_labels]
    assert names == ["norm: group − batch", "lr: 1e-2 − 1e-3", "norm: none − batch"]
    assert drawn(figure) == pytest.approx([0.02, -0.01, -0.05], abs=0.003)
    assert figure.facets[0][0].region == (-0.01, 0.01)
    assert figure.title == "Effects on the outcome, the best first"


def test_lower_is_better_turns_the_rank(load: Callable[[str], Experiment]) -> None:
    experiment = load(ONE + "outcome: test_hd95_px\n")
    random = np.random.default_rng(0)

    def facts(levels: Mapping[str, str], seed: int) -> dict[str, float]:
        return {
            "test_hd95_px": 9 - sum(EFFECTS.get(x, 0.0) for x in levels.values()) + random.normal(0, 1e-3)
        }

    results = made_study.make_results(experiment, lambda *_: 0.8, facts=facts)
    figure = forest(analyse(experiment, results, project=experiment.project))
    assert drawn(figure) == pytest.approx([-0.02, 0.01, 0.05], abs=0.003)


def test_a_crossing_stays_in_the_files_order(load: Callable[[str], Experiment]) -> None:
    figure = forest(run(load(CROSSED)))
    assert drawn(figure)[:3] == pytest.approx([-0.05, 0.02, -0.01], abs=0.003)
    assert figure.title == "Effects on the outcome"


def test_what_is_ranked(load: Callable[[str], Experiment]) -> None:
    assert is_ranked(load(ONE))
    assert is_ranked(load(STEPS))
    assert not is_ranked(load(CROSSED))


def test_aliases_stand_beside_each_effect_of_a_fraction(load: Callable[[str], Experiment]) -> None:
    analysis = run(load(SWITCHES))
    assert analysis.effects["aliases"].tolist() == ["b x c x d", "a x c x d", "a x b x d", "a x b x c"]
    tables = make_tables(analysis, Labels(analysis, Style(labels={"b": "rate"})))
    table = tables["effects"]
    column = [c.title for c in table.columns].index("Aliased with")
    assert [row[column].text for row in table.rows] == [
        "rate × c × d",
        "a × c × d",
        "a × rate × d",
        "a × rate × c",
    ]
    assert "interactions that the fraction cannot tell from the effect" in table.note
    figure = forest(analysis)
    names = figure.facets[0][0].y.tick_labels
    assert names[0] == "a: off − on\n= b × c × d"
    assert "After =" in figure.caption


def test_without_a_fraction_there_are_no_aliases(load: Callable[[str], Experiment]) -> None:
    analysis = run(load(CROSSED))
    assert set(analysis.effects["aliases"]) == {""}
    titles = [c.title for c in make_tables(analysis, Labels(analysis, Style()))["effects"].columns]
    assert "Aliased with" not in titles


def test_many_aliases_are_counted() -> None:
    others = tuple((f"b{k}", "c") for k in range(8))
    design = Design(kind="fractional", aliases=(Alias(effect=("a",), others=others),))
    named = ", ".join(f"b{k} x c" for k in range(6))
    assert aliased_with(design, [("a",)]) == f"{named}, 2 more"
    assert aliased_with(design, [("d",)]) == ""
