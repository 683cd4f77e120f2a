"""Results made elsewhere: what is refused, what is left out, and that the numbers are those of a sweep."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from segbench.config.load import load_experiment
from segbench.config.project import Project
from segbench.errors import ResultsError
from segbench.quantities import declared, find_quantity
from segbench.report.analyse import analyse
from segbench.report.analysis import Analysis
from segbench.report.foreign import analyse_foreign, make_foreign, read_foreign_table
from segbench.store.results import read_results

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "docs" / "foreign-results.csv"
HEADER = "arm,seed,image,metric,value\n"


def rows(arms: dict[str, float], seeds: int = 3, images: int = 4, metric: str = "dice") -> list[str]:
    noise = np.random.default_rng(0)
    return [
        f"{arm},{seed},i{image},{metric},{value + noise.normal(0, 0.01):.5f}"
        for arm, value in arms.items()
        for seed in range(seeds)
        for image in range(images)
    ]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(*lines: str, header: str = HEADER) -> Path:
        path = tmp_path / "made.csv"
        path.write_text(header + "".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    return write


def report(path: Path, **options: object) -> Analysis:
    foreign = make_foreign(
        read_foreign_table(path),
        name="made",
        project=Project(path.parent),
        **options,  # type: ignore[arg-type]
    )
    with declared(foreign.directions):
        return analyse_foreign(foreign, "segbench report --from made.csv")


def refused(path: Path, **options: object) -> str:
    with pytest.raises(ResultsError) as error:
        report(path, **options)
    return str(error.value).replace(str(path), "made.csv")


def test_the_example_of_the_docs_by_hand() -> None:
    analysis = report(EXAMPLE, baseline=["plain"], margin=0.01)
    rows = pd.read_csv(EXAMPLE)
    means = {arm: group.groupby("seed")["value"].mean() for arm, group in rows.groupby("arm")}
    family = analysis.effects[analysis.effects["is_family"]].set_index("level")
    assert list(family.index) == ["attention", "wide"]
    for arm, row in family.iterrows():
        test = stats.ttest_rel(means[arm], means["plain"])
        interval = test.confidence_interval(0.95)
        assert row["difference"] == pytest.approx((means[arm] - means["plain"]).mean(), rel=1e-9)
        assert row["p"] == pytest.approx(test.pvalue, rel=1e-9)
        assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert family.loc["attention", "verdict"] == "better"
    assert analysis.head["test images"] == "4 in 3 groups"
    assert "on 4 test images in 3 groups of foreign-results.csv in 3 cells" in analysis.answer


@pytest.mark.parametrize(
    ("name", "metric"),
    [("c23_flips_small", "dice"), ("c16_loss_small", "hd95_px"), ("c16_loss_small", "dice")],
)
def test_the_export_of_a_sweep_gives_the_sweeps_numbers(name: str, metric: str, tmp_path: Path) -> None:
    """Every effect of a committed experiment, by the report of its records and of the exported table."""
    from dataclasses import replace

    project = Project(ROOT)
    experiment = load_experiment(name.removesuffix("_small"), scale="small", start=ROOT)
    experiment = replace(experiment, project=project, outcome=f"test_{metric}", claims=())
    results = read_results(ROOT / "results" / name)
    own = analyse(experiment, results, project=project)

    labels = results.trials.filter(regex=r"^trial$|^seed$|^axis:").rename(
        columns=lambda column: column.replace("axis:", "arm:")
    )
    chosen = results.images["metric"].isin([metric]) & (results.images["split"] == "test")
    exported = results.images[chosen].merge(labels, on="trial").drop(columns=["trial", "split", "class"])
    path = tmp_path / "exported.csv.gz"
    exported.to_csv(path, index=False)
    baseline = [f"{axis.name}={axis.baseline}" for axis in experiment.axes]
    foreign = report(path, baseline=baseline, margin=experiment.margin)

    keys = ["axis", "level", "baseline", "at"]
    numbers = ["n", "difference", "low", "high", "low_new", "high_new", "p", "p_holm", "p_equivalence_holm"]
    mine, theirs = (a.effects.set_index(keys).sort_index() for a in (own, foreign))
    assert set(mine.index) == set(theirs.index)
    scale = own.cells["mean"].abs().max()
    theirs = theirs.loc[mine.index]
    for column in numbers:
        atol = 1e-8 * scale if not column.startswith("p") else 1e-6
        np.testing.assert_allclose(
            theirs[column].astype(float), mine[column].astype(float), rtol=1e-6, atol=atol, err_msg=column
        )
    assert list(theirs["verdict"]) == list(mine["verdict"])
    cells = [a.cells.set_index("cell")[["n", "mean", "sd"]].sort_index() for a in (own, foreign)]
    np.testing.assert_allclose(cells[1], cells[0].loc[cells[1].index], rtol=1e-5)


def test_without_images_a_row_is_a_seed(write: Callable[..., Path]) -> None:
    values = {"a": [0.8, 0.82, 0.81], "b": [0.85, 0.86, 0.87]}
    lines = [f"{arm},{seed},dice,{v}" for arm, found in values.items() for seed, v in enumerate(found)]
    analysis = report(write(*lines, header="arm,seed,metric,value\n"))
    (row,) = analysis.effects.to_dict("records")
    expected = stats.ttest_rel(values["b"], values["a"])
    assert row["p"] == pytest.approx(expected.pvalue, rel=1e-9)
    assert np.isnan(row["low_new"])
    assert "test images" not in analysis.head


def test_a_compressed_file_is_read_alike(tmp_path: Path) -> None:
    packed = tmp_path / "made.csv.gz"
    packed.write_bytes(gzip.compress(EXAMPLE.read_bytes()))
    pd.testing.assert_frame_equal(read_foreign_table(packed).rows, read_foreign_table(EXAMPLE).rows)


def test_last_epoch_and_several_metrics(write: Callable[..., Path]) -> None:
    lines = rows({"a": 0.8, "b": 0.9}) + rows({"a": 0.8, "b": 0.7}, metric="dice_last")
    lines += rows({"a": 5.0, "b": 4.0}, metric="hd95_px")
    analysis = report(write(*lines))
    (row,) = analysis.effects.to_dict("records")
    assert row["difference"] == pytest.approx(0.1, abs=0.02)
    assert row["difference_last"] == pytest.approx(-0.1, abs=0.02)
    other = report(write(*lines), metric="test_hd95_px")
    assert other.effects.iloc[0]["verdict"] == "better"
    assert other.head["outcome"] == "test_hd95_px, the lower the better"


def test_images_that_some_trial_lacks_do_not_count(write: Callable[..., Path]) -> None:
    lines = rows({"a": 0.8, "b": 0.8})
    hard = [f"a,{seed},hard,dice,0.1" for seed in range(3)]
    analysis = report(write(*lines, *hard))
    assert analysis.effects.iloc[0]["difference"] == pytest.approx(0, abs=0.02)
    assert any("dice: 1 of 5 images are left out" in note for note in analysis.notes)


def test_a_seed_that_an_arm_lacks_is_told(write: Callable[..., Path]) -> None:
    lines = [line for line in rows({"a": 0.8, "b": 0.9, "c": 0.8}) if not line.startswith("b,2,")]
    analysis = report(write(*lines))
    effects = analysis.effects.set_index("level")
    assert (effects.loc["b", "n"], effects.loc["c", "n"]) == (2, 3)
    assert any("Without dice in the file: b, seed 2." in note for note in analysis.notes)
    assert analysis.head["trials"] == "8 of 9 complete, 1 failed"
    assert effects.loc["b", "verdict"] != ""


def test_labels_of_any_kind(write: Callable[..., Path]) -> None:
    hostile = {"100 %_a": 0.8, '"b=c" {x}': 0.9, "ü" * 60: 0.8}
    lines = [
        ",".join(
            f'"{part.replace(chr(34), chr(34) * 2)}"'
            for part in (arm, str(s), f"i{i}", "dice", f"{v + s / 100}")
        )
        for arm, v in hostile.items()
        for s in range(2)
        for i in range(3)
    ]
    analysis = report(write(*lines), baseline=['"b=c" {x}'])
    assert list(analysis.effects["level"]) == ["100 %_a", "ü" * 60]


def test_direction_of_a_metric_nobody_knows(write: Callable[..., Path]) -> None:
    path = write(*rows({"a": 0.8, "b": 0.9}, metric="drift"))
    assert "does not know whether drift is better high or low. Say --direction" in refused(path)
    verdicts = [report(path, direction=d).effects.iloc[0]["verdict"] for d in ("maximize", "minimize")]
    assert verdicts == ["better", "worse"]
    assert "Did you mean 'maximize'?" in refused(path, direction="maximise")
    metric = find_quantity("test_drift")
    assert metric is not None
    assert not metric.is_lower_better, "what one report declares must not outlast it"


def test_a_known_metric_keeps_its_direction(write: Callable[..., Path]) -> None:
    path = write(*rows({"a": 0.8, "b": 0.9}))
    assert (
        refused(path, direction="minimize")
        == "--direction: of test_dice the higher is better, got 'minimize'."
    )


def test_baseline_and_metric_that_are_not_there() -> None:
    assert "--baseline: there is no such arm, got 'plane'. Did you mean 'plain'?" in refused(
        EXAMPLE, baseline=["plane"]
    )
    assert "the metric is not in the file, got 'iou'. Known: dice." in refused(EXAMPLE, metric="iou")


def test_baselines_of_several_axes(write: Callable[..., Path]) -> None:
    cells = {"unet,none": 0.8, "unet,batch": 0.85, "big,none": 0.82, "big,batch": 0.87}
    header = "arm:model,arm:norm,seed,image,metric,value\n"
    path = write(*rows(cells), header=header)
    analysis = report(path, baseline=["norm=batch"])
    family = analysis.effects[analysis.effects["is_family"]]
    contrasts = list(family[["axis", "level", "baseline"]].itertuples(index=False, name=None))
    assert contrasts == [("model", "big", "unet"), ("norm", "none", "batch")]
    assert family["difference"].tolist() == pytest.approx([0.02, -0.05], abs=0.01)
    assert "a baseline is written AXIS=LEVEL, got 'batch'" in refused(path, baseline=["batch"])
    assert "there is no such norm, got 'bach'. Did you mean 'batch'?" in refused(path, baseline=["norm=bach"])


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["a,0,i,dice,high"], "made.csv:2: a value is a finite number, got 'high'."),
        (["a,0,i,dice,nan"], "made.csv:2: a value is a finite number, got 'nan'."),
        (
            ["a,0,i,dice,0.5", "", "a,0,i,dice,0.6"],
            "made.csv:4: line 2 holds the same arm, seed, image and metric",
        ),
        (["a,0.5,i,dice,0.5"], "made.csv:2: a seed is a whole number, got '0.5'."),
        ([",0,i,dice,0.5"], "made.csv:2: arm is empty"),
        (["a,0,,dice,0.5"], "made.csv:2: image is empty"),
        (
            ["a,0,i,dice,0.5", "b,0,i,dice,0.5", "b,1,i,dice,0.5"],
            "made.csv:2: an arm needs at least two seeds, got 'a'.",
        ),
        (["a,0,i,dice,0.5", "a,1,i,dice,0.5"], "made.csv:2: a comparison needs at least two arms"),
        ([], "made.csv: there is no row below the header."),
        (["a,0,i,dice,0.5,9"], "made.csv:2"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    write: Callable[..., Path], lines: list[str], said: str
) -> None:
    assert said in refused(write(*lines))


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("arm,seed,metric", "made.csv:1: the column value is missing. Known: arm, seed, metric."),
        ("seed,metric,value", "made.csv:1: the column arm is missing."),
        (
            "arm,seed,metric,value,gruop",
            "made.csv:1: the column is unknown, got 'gruop'. Did you mean 'group'?",
        ),
        (
            "arm,arm:norm,seed,metric,value",
            "made.csv:1: a file has a column arm, or columns arm:AXIS, not both.",
        ),
        ("arm:axis:a,seed,metric,value", "made.csv:1: a name must not begin with"),
        ("arm:,seed,metric,value", "made.csv:1: a name must not be empty"),
    ],
)
def test_a_wrong_header_is_refused(write: Callable[..., Path], header: str, said: str) -> None:
    assert said in refused(write("a,0,dice,0.5,x", header=f"{header}\n"))


def test_an_image_has_one_group(write: Callable[..., Path]) -> None:
    header = "arm,seed,image,group,metric,value\n"
    path = write(
        "a,0,i,p,dice,0.5", "a,1,i,q,dice,0.5", "b,0,i,p,dice,0.5", "b,1,i,p,dice,0.5", header=header
    )
    assert refused(path) == "made.csv:3: image i has another group before (p), got 'q'."


def test_many_problems_are_counted(write: Callable[..., Path]) -> None:
    said = refused(write(*(f"a,0,i{k},dice,x" for k in range(14))))
    assert said.splitlines()[-1] == "made.csv: and 4 more."
    assert len(said.splitlines()) == 11


def test_no_image_in_common(write: Callable[..., Path]) -> None:
    lines = [f"{arm},{seed},{arm}{k},dice,0.5" for arm in "ab" for seed in (0, 1) for k in (0, 1)]
    assert refused(write(*lines)) == "made.csv: no image has dice in every arm and seed."


def test_two_seeds_of_two_decimals_with_equal_differences_are_no_evidence(write: Callable[..., Path]) -> None:
    """They were "better, p < 0.001", with an interval of width 0."""
    lines = ["plain,0,dice,0.91", "plain,1,dice,0.93", "attention,0,dice,0.92", "attention,1,dice,0.94"]
    analysis = report(write(*lines, header="arm,seed,metric,value\n"))
    row = analysis.effects.iloc[0]
    assert row["verdict"] == "unresolved"
    assert row[["low", "high", "p", "p_holm", "p_equivalence", "seeds_needed_low"]].isna().all()
    assert "no test: the difference is the same for every seed to the last digit" in analysis.answer
    assert "resolution" not in analysis.head
