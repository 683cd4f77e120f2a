"""`--contrast`, the exact sign-flip p, Hedges' g and the pooled-error sensitivity in a report."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from messages import said

sys.path.insert(0, str(Path(__file__).parent))
import made_study

from segbench.config.experiment import Alias, Claim, Design, Experiment
from segbench.errors import ExperimentError, ResultsError
from segbench.report.analyse import analyse
from segbench.report.analysis import Analysis
from segbench.report.labels import Labels, Style, read_style
from segbench.report.study import read_contrasts
from segbench.report.topics.walk import make_tables
from segbench.stats.signflip import sign_flip_p

AXES = {"model": ("unet", "resnet"), "norm": ("batch", "none", "dyt")}


def dice(levels: Mapping[str, str], seed: int, fold: int) -> float:
    cost = {"batch": 0.0, "none": 0.03, "dyt": 0.02}[levels["norm"]]
    noise = np.random.default_rng([seed, *map(ord, "".join(levels.values()))]).normal(0, 0.004)
    return 0.9 - cost + 0.001 * seed + noise


def run(experiment: Experiment, *contrasts: str, **changes: object) -> Analysis:
    results = made_study.make_results(experiment, dice, **changes)  # type: ignore[arg-type]
    return analyse(experiment, results, project=experiment.project, contrasts=contrasts)


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return made_study.make_experiment(tmp_path, AXES, seeds=6)


def test_a_pair_that_is_asked_for_is_exploratory_and_comes_first(experiment: Experiment) -> None:
    analysis = run(experiment, "norm: dyt - none", "norm: dyt − none at model = unet")
    rows = analysis.effects[~analysis.effects["is_family"]].head(2).to_dict("records")
    assert [(r["level"], r["baseline"], r["at"]) for r in rows] == [
        ("dyt", "none", ""),
        ("dyt", "none", "model = unet"),
    ]
    assert [r["verdict"] for r in rows] == ["", ""]
    by_hand = [
        np.mean(
            [
                dice({"model": m, "norm": "dyt"}, s, 0) - dice({"model": m, "norm": "none"}, s, 0)
                for m in AXES["model"]
            ]
        )
        for s in range(6)
    ]
    assert rows[0]["difference"] == pytest.approx(np.mean(by_hand))
    half = 2.570582 * np.std(by_hand, ddof=1) / np.sqrt(6)
    assert rows[0]["high"] == pytest.approx(np.mean(by_hand) + half, rel=1e-6)
    # Nothing that was there is gone, or there twice.
    plain = run(experiment).effects
    assert len(analysis.effects) == len(plain) + 2
    assert analysis.effects[analysis.effects["is_family"]].equals(plain[plain["is_family"]])
    command = "--contrast 'norm: dyt - none' --contrast 'norm: dyt − none at model = unet'"
    assert analysis.provenance["command"] == f"segbench report study {command}"


def test_what_is_shown_anyway_is_not_shown_twice(experiment: Experiment) -> None:
    analysis = run(experiment, "norm: none - batch", "norm: batch - none at model = unet")
    assert len(analysis.effects) == len(run(experiment).effects)


def odd(tmp_path: Path) -> Experiment:
    """Labels that hold what the grammar is written with."""
    axes = {"a": ("x", "x - y", "x at b = 1"), "a: b": ("1", "2, 3"), "c_50%": ("ü", "-1", "<b>")}
    return made_study.make_experiment(tmp_path, axes)


@pytest.mark.parametrize(
    ("text", "axis", "level", "baseline", "at"),
    [
        ("a: x - x - y", "a", "x", "x - y", ()),
        ("a: x - y - x", "a", "x - y", "x", ()),
        ("a: x at b = 1 - x", "a", "x at b = 1", "x", ()),
        ("a: b: 2, 3 - 1", "a: b", "2, 3", "1", ()),
        ("c_50%:-1-ü", "c_50%", "-1", "ü", ()),
        (
            "  c_50%: <b> - -1 at a: b = 2, 3, a = x - y ",
            "c_50%",
            "<b>",
            "-1",
            (("a: b", "2, 3"), ("a", "x - y")),
        ),
    ],
)
def test_labels_may_hold_anything(
    tmp_path: Path, text: str, axis: str, level: str, baseline: str, at: tuple[tuple[str, str], ...]
) -> None:
    (contrast,) = read_contrasts([text], odd(tmp_path))
    assert (contrast.axis, contrast.level, contrast.baseline, contrast.at) == (axis, level, baseline, at)
    assert contrast.metric == "test_dice"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "norms: dyt - none",
            "there is no such axis, got 'norms'. MEAN 'norm'?",
        ),
        (
            "norm: dyd - none",
            "norm has no level of this label, got 'dyd'. MEAN 'dyt'?",
        ),
        (
            "norm: dyt - nine at model = unet",
            "norm has no level of this label, got 'nine'. MEAN 'none'?",
        ),
        (
            "norm: dyt - none at modle = unet",
            "there is no such axis, got 'modle'. MEAN 'model'?",
        ),
        (
            "norm: dyt - none at model = unnet",
            "model has no level of this label, got 'unnet'. MEAN 'unet'?",
        ),
        (
            "norm: dyt - none at norm = batch",
            "the contrast is about this axis already, got 'norm'.",
        ),
        ("norm: dyt - dyt", "a contrast compares two levels, got 'norm: dyt - dyt'."),
        (
            "norm",
            "FORM, got 'norm'.",
        ),
        (
            "norm: dyt",
            "FORM, got 'norm: dyt'.",
        ),
        (
            "norm: dyt -",
            "FORM, got 'norm: dyt -'.",
        ),
        (
            "norm: dyt - none model = unet",
            "FORM, got 'norm: dyt - none model = unet'.",
        ),
        ("", "FORM, got ''."),
    ],
)
def test_what_is_no_contrast_says_what_would_be(experiment: Experiment, text: str, problem: str) -> None:
    with pytest.raises(ExperimentError) as error:
        read_contrasts(["norm: dyt - none", text], experiment)
    form = "a contrast is written AXIS: A - B, or AXIS: A - B at OTHER = LEVEL"
    problem = problem.replace("MEAN", "Did you mean").replace("FORM", form)
    assert said(error.value) == f"--contrast: {problem}"


def test_all_mistakes_are_found_at_once(experiment: Experiment) -> None:
    with pytest.raises(ExperimentError) as error:
        read_contrasts(["a: b - c", "norm: x - none"], experiment)
    assert len(error.value.problems) == 2


def test_a_design_without_such_a_pair_refuses(tmp_path: Path) -> None:
    experiment = made_study.make_experiment(
        tmp_path, AXES, keep=lambda levels: levels["model"] == "unet" or levels["norm"] == "batch"
    )
    read_contrasts(["norm: dyt - none at model = unet"], experiment)
    with pytest.raises(
        ExperimentError, match="no two cells of the design differ between dyt and none at model = resnet"
    ):
        read_contrasts(["norm: dyt - none at model = resnet"], experiment)
    alone = replace(experiment, axes=(), cells=experiment.cells[:1])
    with pytest.raises(ExperimentError, match="has no axes whose levels"):
        read_contrasts(["norm: dyt - none"], alone)


def test_the_exact_p_stands_beside_every_judged_effect_of_six_seeds(experiment: Experiment) -> None:
    analysis = run(experiment)
    family = analysis.effects[analysis.effects["is_family"]]
    by_hand = [
        [
            np.mean(
                [
                    dice({"model": m, "norm": level}, s, 0) - dice({"model": m, "norm": "batch"}, s, 0)
                    for m in AXES["model"]
                ]
            )
            for s in range(6)
        ]
        for level in ("none", "dyt")
    ]
    assert family["p_sign_flip"].tolist()[1:] == [pytest.approx(sign_flip_p(np.array(d))) for d in by_hand]
    assert family["p_sign_flip"].tolist()[1:] == [2 / 64] * 2
    assert analysis.effects[~analysis.effects["is_family"]]["p_sign_flip"].isna().all()
    table = make_tables(analysis, Labels(analysis, Style()))["effects"]
    titles = [column.title for column in table.columns]
    assert table.rows[1][titles.index("p (sign flips)")].text == "0.031"
    assert "without correction; no verdict rests on it" in table.note


def test_five_seeds_have_no_exact_p(tmp_path: Path) -> None:
    analysis = run(made_study.make_experiment(tmp_path, AXES, seeds=5))
    table = make_tables(analysis, Labels(analysis, Style()))["effects"]
    assert "p (sign flips)" not in [column.title for column in table.columns]


def test_claims_of_equality_and_divergences_have_no_exact_p(tmp_path: Path) -> None:
    claims = [
        Claim(source="", axis="norm", left="none", op="==", right="batch", metric="test_dice"),
        Claim(source="", axis="norm", left="dyt", op="<", right="batch", metric="test_dice"),
        Claim(source="", axis="norm", left="dyt", op="<", right="batch", metric="test_dice", on="new_images"),
        Claim(source="", axis="model", left="unet", op="<", right="resnet", metric="test_dice"),
    ]
    experiment = made_study.make_experiment(tmp_path, AXES, seeds=7, claims=claims)
    broken = {"model": "unet", "norm": "dyt"}
    analysis = run(
        experiment, states=lambda levels, s, f: "diverged" if levels == broken and s == 0 else "complete"
    )
    rows = analysis.effects[analysis.effects["is_family"]]
    assert rows["p_sign_flip"].isna().tolist() == [True, True, True, True]
    whole = run(experiment).effects
    assert whole[whole["is_family"]]["p_sign_flip"].isna().tolist() == [True, False, True, False]


def test_hedges_g_is_there_on_request(experiment: Experiment, tmp_path: Path) -> None:
    analysis = run(experiment)
    assert "Hedges' g" not in [
        c.title for c in make_tables(analysis, Labels(analysis, Style()))["effects"].columns
    ]
    (tmp_path / "style.yaml").write_text("effect_size: g\n", encoding="utf-8")
    style = read_style(tmp_path / "style.yaml")
    tables = make_tables(analysis, Labels(analysis, style))
    for name in ("effects", "effects-exploratory"):
        titles = [column.title for column in tables[name].columns]
        assert tables[name].rows[0][titles.index("Hedges' g")].text[0] in "+−"
        assert "average sd over seeds" in tables[name].note
    row = analysis.effects.iloc[1]
    arms = np.array(
        [
            [np.mean([dice({"model": m, "norm": n}, s, 0) for m in AXES["model"]]) for s in range(6)]
            for n in ("none", "batch")
        ]
    )
    sd = np.sqrt(arms.var(axis=1, ddof=1).mean())
    assert row["hedges_g"] == pytest.approx((1 - 3 / 39) * (arms[0] - arms[1]).mean() / sd)
    (tmp_path / "style.yaml").write_text("effect_size: d\n", encoding="utf-8")
    with pytest.raises(ResultsError, match="there is no such effect_size, got 'd'"):
        read_style(tmp_path / "style.yaml")


def test_the_pooled_error_is_a_named_sensitivity(experiment: Experiment) -> None:
    analysis = run(experiment)
    frame, family = analysis.sensitivity, analysis.effects[analysis.effects["is_family"]]
    assert frame is not None
    same = ["axis", "level", "baseline", "at", "difference", "low", "high"]
    assert frame[same].reset_index(drop=True).equals(family[same].reset_index(drop=True))
    assert frame["df"].tolist() == [5, 5, 5]
    assert frame["df_pooled"].tolist() == [25, 25, 25]
    # One error for all: differences of two means over 6 cells are as wide as each other.
    widths = (frame["high_pooled"] - frame["low_pooled"]).tolist()
    assert widths[1] == pytest.approx(widths[2])
    assert widths[0] == pytest.approx(widths[1] * np.sqrt(2 / 3))
    table = make_tables(analysis, Labels(analysis, Style()))["sensitivity"]
    assert table.caption.startswith("Sensitivity: ")
    assert "no verdict rests on it" in table.note


def test_a_claim_that_names_the_baseline_first_is_turned_as_in_the_effects(tmp_path: Path) -> None:
    claims = [Claim(source="", axis="norm", left="batch", op=">", right="none", metric="test_dice")]
    analysis = run(made_study.make_experiment(tmp_path, AXES, claims=claims))
    row, effect = analysis.sensitivity.iloc[0], analysis.effects.iloc[0]
    assert (row["level"], row["baseline"]) == (effect["level"], effect["baseline"]) == ("none", "batch")
    assert row[["difference", "low", "high"]].tolist() == pytest.approx(
        effect[["difference", "low", "high"]].tolist()
    )
    assert row["low_pooled"] < row["difference"] < row["high_pooled"]


def test_no_sensitivity_while_trials_are_missing(experiment: Experiment) -> None:
    analysis = run(experiment, states=lambda levels, s, f: None if s == 5 else "complete")
    assert analysis.sensitivity.empty


def test_a_fraction_refuses_what_it_cannot_tell(tmp_path: Path) -> None:
    """Half of 2 x 2 x 2: a at a level of b is mixed with c."""
    axes = dict.fromkeys("abc", ("0", "1"))
    base = made_study.make_experiment(tmp_path, axes)
    cells = tuple(c for c in base.cells if list(c.levels.values()).count("1") % 2 == 1)
    aliases = tuple(Alias(effect=e, others=(o,)) for e, o in [(("a", "b"), ("c",)), (("a",), ("b", "c"))])
    half = replace(base, cells=cells, design=Design(kind="fractional", resolution=3, aliases=aliases))
    read_contrasts(["a: 1 - 0"], half)
    with pytest.raises(ExperimentError, match="in this fraction a x b cannot be told from c"):
        read_contrasts(["a: 1 - 0 at b = 1"], half)


def test_zipped_axes_are_one_factor(tmp_path: Path) -> None:
    base = made_study.make_experiment(
        tmp_path, {"lr": ("1e-3", "1e-2"), "epochs": ("100", "50"), "norm": ("a", "b")}
    )
    pairs = {("1e-3", "100"), ("1e-2", "50")}
    cells = tuple(c for c in base.cells if (c.levels["lr"], c.levels["epochs"]) in pairs)
    zipped = replace(base, cells=cells, design=Design(zipped=(("lr", "epochs"),)))
    (contrast,) = read_contrasts(["epochs: 50 - 100 at norm = b"], zipped)
    assert (contrast.axis, contrast.level, contrast.baseline) == ("lr", "1e-2", "1e-3")
    with pytest.raises(ExperimentError, match="about this axis already"):
        read_contrasts(["epochs: 50 - 100 at lr = 1e-3"], zipped)
