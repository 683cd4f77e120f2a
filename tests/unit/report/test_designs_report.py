"""Reports of designs that are no factorial with every axis in every cell, from drawn records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import made_study
import numpy as np
import pytest

from segbench import registry
from segbench.config.experiment import Experiment
from segbench.config.load import load_experiment
from segbench.report.analyse import analyse
from segbench.report.analysis import Analysis
from segbench.report.build import write_report
from segbench.report.topics.panels import Panels

Dice = Callable[[Mapping[str, str], int, int], float]

HEAD = (
    "question: q\nbaseline: {dataset: {shapes: {size_px: 32}}, model: {unet: {width: 4}}}\n"
    "seeds: 4\nmargin: 0.01\n"
)
SWITCHES = HEAD + (
    "axes: {a: {levels: {on: {norm: batch}, off: {norm: none}}}, b: {path: optimizer.lr, levels: [1e-3, 1]},"
    " c: {path: epochs, levels: [100, 2]}{more}}\ndesign: {design}\n"
)
FOUR = SWITCHES.replace("{more}", ", d: {path: batch_size, levels: [8, 4]}").replace("{design}", "fractional")
THREE = SWITCHES.replace("{more}", "").replace("{design}", "{fractional: {resolution: 3}}")
ZIPPED = HEAD + (
    "axes: {norm: [batch, none], lr: {path: optimizer.lr, levels: [1e-3, 1e-2, 1e-1]}, epochs: [100, 2, 3]}\n"
    "design: {zip: [lr, epochs]}\n"
)
TREE = HEAD + (
    "axes:\n"
    "  optimizer: {levels: [adam, sgd], baseline: adam}\n"
    "  momentum: {path: optimizer.momentum, levels: [0.9, 0], when: {optimizer: sgd}}\n"
    "  norm: [batch, none]\n"
)
NOISE = np.random.default_rng(0).normal(0, 0.001, (4, 64))


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "experiments").mkdir()
    yield tmp_path
    registry.use_project(None)


@pytest.fixture
def load(project: Path) -> Callable[[str], Experiment]:
    def load(text: str) -> Experiment:
        file = project / "experiments" / "study.yaml"
        file.write_text(text, encoding="utf-8")
        return load_experiment(file)

    return load


def drawn(experiment: Experiment, outcome: Callable[[Mapping[str, str]], float]) -> Dice:
    """Return outcomes with noise of each trial's own."""
    numbers = {tuple(cell.levels.items()): k for k, cell in enumerate(experiment.cells)}
    return lambda levels, seed, fold: outcome(levels) + NOISE[seed, numbers[tuple(levels.items())]]


def run(experiment: Experiment, dice: Dice, **changes: object) -> Analysis:
    results = made_study.make_results(experiment, dice, **changes)  # type: ignore[arg-type]
    return analyse(experiment, results, project=experiment.project)


def switched(levels: Mapping[str, str]) -> float:
    """Main effects of a and b, and their interaction."""
    a, b = levels["a"] == "off", levels["b"] == "1"
    return 0.8 - 0.05 * a + 0.03 * b + 0.02 * (a != b)


def test_effects_of_a_fraction_are_means_over_all_cells(load: Callable[[str], Experiment]) -> None:
    experiment = load(FOUR)
    dice = drawn(experiment, switched)
    effects = run(experiment, dice).effects
    family = effects[effects["is_family"]].set_index("axis")
    assert family.index.tolist() == ["a", "b", "c", "d"]
    assert family["verdict"].tolist() == ["worse", "better", "equivalent", "equivalent"]
    for axis in experiment.axes:
        arms = [
            np.array(
                [
                    [dice(c.levels, s, 0) for s in range(4)]
                    for c in experiment.cells
                    if (c.levels[axis.name] == axis.baseline) == at_baseline
                ]
            ).mean(axis=0)
            for at_baseline in (False, True)
        ]
        assert len(experiment.cells) == 8
        differences = arms[0] - arms[1]
        row = family.loc[axis.name]
        assert row["difference"] == pytest.approx(differences.mean())
        assert (row["n"], len(row["trials"])) == (4, 32)
        half = 3.182446 * differences.std(ddof=1) / 2
        assert row["high"] - row["low"] == pytest.approx(2 * half, rel=1e-5)
    # The interaction is in balance: neither main effect has a part of it.
    assert family.loc["a", "difference"] == pytest.approx(-0.05, abs=0.002)
    assert family.loc["b", "difference"] == pytest.approx(0.03, abs=0.002)
    # a at a level of b would be mixed with c x d.
    assert effects[~effects["is_family"]].empty
    assert effects["low_new"].notna().all()


def test_a_fraction_counts_whole_seeds(load: Callable[[str], Experiment]) -> None:
    experiment = load(FOUR)
    broken = experiment.cells[5].levels
    row = run(
        experiment,
        drawn(experiment, switched),
        states=lambda levels, seed, fold: "diverged" if levels == broken and seed == 1 else "complete",
    ).effects.iloc[0]
    assert row["n"] == 3
    assert "1 of 4 seeds left out, not measured in every cell: 1" in row["note"]


def test_effects_with_aliases_get_no_verdict(load: Callable[[str], Experiment]) -> None:
    analysis = run(experiment := load(THREE), drawn(experiment, switched))
    assert len(experiment.cells) == 4
    effects = analysis.effects
    assert effects["axis"].tolist() == ["a", "b", "c"]
    assert not effects["is_family"].any()
    assert effects["verdict"].tolist() == ["", "", ""]
    assert effects["note"].tolist() == [
        "cannot be told from b x c, so there is no verdict",
        "cannot be told from a x c, so there is no verdict",
        "cannot be told from a x b, so there is no verdict",
    ]
    # c does nothing by itself: what is seen is a x b.
    assert abs(effects["difference"].iloc[2]) == pytest.approx(0.02, abs=0.002)
    (note,) = [note for note in analysis.notes if "fraction" in note]
    assert note == (
        "A fraction of resolution III: 4 of 8 combinations. An effect is the mean over all cells at the "
        "level minus that over all cells at the baseline, seed by seed. Aliases, which get no verdict: "
        "a = b x c; b = a x c; c = a x b. Interactions of three axes and more are taken to be small."
    )


def test_zipped_axes_are_one_factor(load: Callable[[str], Experiment]) -> None:
    def outcome(levels: Mapping[str, str]) -> float:
        return 0.8 - 0.05 * (levels["lr"] == "1e-2") + 0.02 * (levels["norm"] == "none")

    experiment = load(ZIPPED)
    effects = run(experiment, drawn(experiment, outcome)).effects
    family = effects[effects["is_family"]]
    assert list(zip(family["axis"], family["level"], family["verdict"], strict=True)) == [
        ("norm", "none", "better"),
        ("lr", "1e-2", "worse"),
        ("lr", "1e-1", "equivalent"),
    ]
    assert family["note"].tolist() == ["", *["epochs changes together with lr"] * 2]
    assert family.iloc[1]["difference"] == pytest.approx(-0.05, abs=0.002)
    assert set(effects["at"]) == {"", "lr = 1e-3", "lr = 1e-2", "lr = 1e-1", "norm = batch", "norm = none"}


def test_claims_about_any_zipped_axis_are_one_hypothesis(load: Callable[[str], Experiment]) -> None:
    experiment = load(ZIPPED + "claims: [{lr: 1e-3 > 1e-2}, {epochs: 100 > 2}, {epochs: 3 == 100}]\n")
    analysis = run(experiment, drawn(experiment, lambda levels: 0.8 - 0.05 * (levels["lr"] == "1e-2")))
    assert analysis.claims["verdict"].tolist() == ["supported"] * 3
    assert "family of 2" in analysis.claims["evidence"][1]
    assert "100 minus 2 = +0.05" in analysis.claims["evidence"][1].replace("0.050", "0.05")
    family = analysis.effects[analysis.effects["is_family"]]
    assert family["axis"].tolist() == ["lr", "lr"]


def test_conditional_axes_are_compared_where_both_cells_have_them(load: Callable[[str], Experiment]) -> None:
    def outcome(levels: Mapping[str, str]) -> float:
        by_momentum = {"0.9": 0.02, "0": -0.04}
        return 0.8 + by_momentum.get(levels.get("momentum", ""), 0) + 0.01 * (levels["norm"] == "none")

    experiment = load(TREE)
    assert [cell.label for cell in experiment.cells][:3] == ["adam, batch", "adam, none", "sgd, 0.9, batch"]
    analysis = run(experiment, drawn(experiment, outcome))
    family = analysis.effects[analysis.effects["is_family"]].set_index("axis")
    # sgd stands at its baseline momentum where adam has none.
    assert family.loc["optimizer", "difference"] == pytest.approx(0.02, abs=0.002)
    assert len(family.loc["optimizer", "trials"]) == 4 * 4
    assert family.loc["momentum", "difference"] == pytest.approx(-0.06, abs=0.002)
    assert len(family.loc["momentum", "trials"]) == 4 * 4
    assert family.loc["norm", "difference"] == pytest.approx(0.01, abs=0.002)
    assert len(family.loc["norm", "trials"]) == 6 * 4
    assert (
        "momentum varies with optimizer sgd only; where one of two cells lacks it, the other is taken at "
        "momentum 0.9."
    ) in analysis.notes
    assert analysis.cells["axis:momentum"].tolist() == ["", "", "0.9", "0.9", "0", "0"]


@pytest.mark.parametrize("text", [FOUR, THREE, ZIPPED, TREE], ids=["four", "three", "zipped", "tree"])
def test_every_page_is_written(load: Callable[[str], Experiment], tmp_path: Path, text: str) -> None:
    experiment = load(text)

    def outcome(levels: Mapping[str, str]) -> float:
        return 0.8 + 0.01 * len(levels)

    analysis = run(experiment, drawn(experiment, outcome))
    folder = tmp_path / "reports" / "study"
    written = write_report(analysis, folder, panels=Panels(missing="none"), with_pdf=False)
    assert written.warnings == ()
    pages = [(folder / f"report.{kind}").read_text(encoding="utf-8") for kind in ("md", "html", "tex")]
    pages[2] += "".join(table.read_text(encoding="utf-8") for table in (folder / "tables").glob("*.tex"))
    words = {
        FOUR: "resolution IV",
        THREE: "cannot be told from",
        ZIPPED: "changes together with",
        TREE: "varies with optimizer sgd only",
    }[text]
    assert [words in page for page in pages] == [True] * 3
    curves = (folder / "data" / "curves.csv").read_text(encoding="utf-8")
    assert all(f"{cell.label}" in curves for cell in experiment.cells)
    figure = (folder / "figures" / "curves-dice.svg").read_text(encoding="utf-8")
    assert figure.count("<path") > 2 * len(experiment.cells)
