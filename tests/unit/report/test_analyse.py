"""From records to the analysis: frames, family, claims, answer, head and notes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import made_study
import numpy as np
import pandas as pd
import pytest

from segbench.config.experiment import Claim, Experiment
from segbench.report.analyse import analyse
from segbench.report.analysis import Analysis
from segbench.report.numbers import seeds_range
from segbench.stats.intervals import t_interval
from segbench.store.results import Results

TWO_AXES = {"model": ["unet", "resnet"], "norm": ["batch", "none", "dyt"]}
JITTER = [0.0, 0.001, -0.001, 0.0005, -0.0005]

Make = Callable[..., Experiment]
MakeResults = Callable[..., Results]


@pytest.fixture
def make_experiment(tmp_path: Path) -> Make:
    return partial(made_study.make_experiment, tmp_path)


@pytest.fixture
def make_results() -> MakeResults:
    return made_study.make_results


def dice(levels: dict[str, str], seed: int, fold: int) -> float:
    """none is .03 lower, dyt the same as batch; the arms' noise differs a little from seed to seed."""
    arm = sum(map(ord, levels.get("norm", "")))
    return 0.9 - 0.03 * (levels.get("norm") == "none") + JITTER[(seed + arm) % 5] + 0.01 * (seed % 2)


def run(experiment: Experiment, results: Results) -> Analysis:
    return analyse(experiment, results, project=experiment.project)


def claim(op: str, left: str = "batch", right: str = "none", **changes: object) -> Claim:
    source = f"{{norm: {left} {op} {right}}}"
    facts = {"source": source, "axis": "norm", "left": left, "op": op, "right": right}
    return Claim(**{**facts, **changes})  # type: ignore[arg-type]


def judged(make_experiment: Make, make_results: MakeResults, *claims: Claim, **changes: object) -> Analysis:
    experiment = make_experiment({"norm": ["batch", "none", "dyt"]}, seeds=5, claims=claims)
    return run(experiment, make_results(experiment, dice, **changes))


def test_cells_hold_the_outcome_and_costs(make_experiment: Make, make_results: MakeResults) -> None:
    experiment = make_experiment(TWO_AXES)
    cells = run(experiment, make_results(experiment, dice)).cells
    assert cells["cell"].tolist() == [cell.label for cell in experiment.cells]
    values = [dice({"norm": "none"}, s, 0) for s in range(3)]
    row = cells[cells["cell"] == "resnet, none"].iloc[0]
    assert (row["axis:model"], row["axis:norm"], row["n"]) == ("resnet", "none", 3)
    assert row["mean"] == pytest.approx(np.mean(values))
    assert (row["low"], row["high"]) == pytest.approx(t_interval(values))
    assert (row["epoch_time_s"], row["selected_epoch"], row["parameters"]) == (2.0, 12.0, 1000.0)
    assert (row["diverged"], row["failed"], row["missing"]) == (0, 0, 0)
    assert row["instability"] == pytest.approx(np.std([0.91, 0.9, 0.91], ddof=1))


def test_without_claims_every_level_against_its_baseline_is_the_family(
    make_experiment: Make, make_results: MakeResults
) -> None:
    experiment = make_experiment(TWO_AXES, seeds=5)
    analysis = run(experiment, make_results(experiment, dice))
    family = analysis.effects[analysis.effects["is_family"]]
    assert family[["level", "baseline", "at"]].to_numpy().tolist() == [
        ["resnet", "unet", ""],
        ["none", "batch", ""],
        ["dyt", "batch", ""],
    ]
    assert family["verdict"].tolist() == ["unresolved", "worse", "equivalent"]
    assert "no test: the difference is the same for every seed" in family["note"].iloc[0]  # unet and resnet
    explored = analysis.effects[~analysis.effects["is_family"]]
    assert set(explored["at"]) == {
        "norm = batch",
        "norm = none",
        "norm = dyt",
        "model = unet",
        "model = resnet",
    }
    assert set(explored["verdict"]) == {""}
    assert explored[["p", "p_holm"]].isna().all(axis=None)
    assert explored.loc[explored["axis"] == "norm", "low"].notna().all()
    assert "norm: none is worse than batch (-0.0" in analysis.answer
    assert "norm: dyt and batch are equivalent within the margin of 0.005" in analysis.answer
    assert analysis.answer.startswith(
        "This experiment measured the Dice coefficient on 6 test images of oxford_pet in 6 cells (model "
        "and norm varied), with 5 seeds each."
    )


@pytest.mark.parametrize(
    ("made", "verdict"),
    [
        (claim(">"), "supported"),
        (claim("<"), "contradicted"),
        (claim("==", right="dyt"), "supported"),
        (claim("=="), "contradicted"),
        (claim(">", right="dyt"), "unresolved"),
        (claim(">", on="new_images"), "supported"),
        (claim("/", metric="epoch_time_s", between=(0.9, 1.1)), "unresolved"),  # the same in every seed
        (claim("/", metric="parameters", between=(2.0, 4.0)), "contradicted"),
        (claim("==", metric="parameters"), "supported"),
        (claim(">", metric="test_dice_last"), "supported"),
        (claim(">", metric="val_dice"), "not judged"),
        (claim(">", metric="test_iou"), "not judged"),
        (Claim(source="{text: free}", text="free"), "not judged"),
    ],
)
def test_claims(make_experiment: Make, make_results: MakeResults, made: Claim, verdict: str) -> None:
    row = judged(make_experiment, make_results, made).claims.iloc[0]
    assert (row["claim"], row["verdict"]) == (made.source, verdict)


def test_evidence_names_numbers_interval_and_family(make_experiment: Make, make_results: MakeResults) -> None:
    claims = judged(
        make_experiment,
        make_results,
        claim(">", on="new_images"),
        claim(">", right="dyt"),
        claim("/", metric="epoch_time_s", between=(0.9, 1.1)),
        claim(">", metric="val_dice"),
        claim("==", metric="parameters"),
    ).claims["evidence"]
    assert claims[0].startswith("test_dice: batch minus none = +0.03")
    assert "new images, 5 seeds); Holm p < 0.001, family of 3." in claims[0]
    assert "; the two are equivalent within the margin of 0.005." in claims[1]
    assert claims[2] == (
        "epoch_time_s: batch / none = 1 (5 seeds), claimed 0.9 to 1.1; no test: the difference is the same "
        "for every seed to the last digit (are the values rounded, or does the seed change nothing?)."
    )
    assert claims[3].startswith("Validation value, selected: exploratory. val_dice: batch minus none = ")
    assert claims[4] == "batch: 1,000, none: 1,000; the same in every replicate, so compared exactly."


def test_instability_claims_compare_values_not_merit(
    make_experiment: Make, make_results: MakeResults
) -> None:
    def epochs(levels: dict[str, str], seed: int) -> list[dict[str, float]]:
        swing = 0.1 + 0.001 * seed if levels["norm"] == "none" else 0.001
        return [{"val_dice": 0.8 + swing * (e % 2), "epoch_time_s": 1.0} for e in range(12)]

    less_stable = claim(">", left="none", right="batch", metric="instability")
    analysis = judged(make_experiment, make_results, less_stable, epochs=epochs)
    assert analysis.claims.loc[0, "verdict"] == "supported"
    row = analysis.effects.iloc[0]
    assert (row["metric"], row["verdict"], bool(row["is_lower_better"])) == ("instability", "worse", True)


def test_unresolved_names_the_seeds_it_needs(make_experiment: Make, make_results: MakeResults) -> None:
    noise = np.random.default_rng(0)
    experiment = make_experiment({"norm": ["batch", "none"]}, claims=[claim(">")])
    results = make_results(experiment, lambda levels, seed, fold: 0.9 + 0.01 * noise.standard_normal())
    analysis = run(experiment, results)
    row = analysis.effects.iloc[0]
    assert row["verdict"] == "unresolved"
    needed = seeds_range(row["seeds_needed_low"], row["seeds_needed_high"])
    needed += " would show a difference as large as the one seen"
    assert needed in analysis.answer
    assert needed in analysis.claims.loc[0, "evidence"]
    assert "How finely this experiment can tell: true differences of" in analysis.answer


def test_without_margin_nothing_is_equivalent(make_experiment: Make, make_results: MakeResults) -> None:
    experiment = make_experiment({"norm": ["batch", "dyt"]}, seeds=5, margin=None)
    analysis = run(experiment, make_results(experiment, dice))
    row = analysis.effects.iloc[0]
    assert (row["verdict"], row["note"]) == ("unresolved", "no margin declared")
    assert np.isnan(row["p_equivalence"])
    assert np.isnan(row["seeds_needed_low"])
    assert analysis.head["margin"] == "none declared"


def test_an_unfinished_experiment_judges_nothing(make_experiment: Make, make_results: MakeResults) -> None:
    def states(levels: dict[str, str], seed: int, fold: int) -> str | None:
        if seed == 2:
            return None
        return "interrupted" if (levels["norm"], seed) == ("dyt", 1) else "complete"

    experiment = make_experiment({"norm": ["batch", "none", "dyt"]}, claims=[claim(">")])
    analysis = run(experiment, make_results(experiment, dice, states=states))
    assert analysis.is_partial
    assert analysis.head["trials"] == "partial: 5 of 9 trials"
    assert analysis.cells["missing"].tolist() == [1, 1, 2]
    assert set(analysis.effects["verdict"]) == {""}
    assert analysis.effects["p"].isna().all()
    assert analysis.claims.loc[0, "verdict"] == "not judged"
    assert analysis.claims.loc[0, "evidence"].startswith(
        "partial: 5 of 9 trials. So far: test_dice: batch minus"
    )
    assert "Holm" not in analysis.claims.loc[0, "evidence"]
    assert "not finished (partial: 5 of 9 trials), so nothing is judged" in analysis.answer
    assert analysis.notes[0].startswith("Partial: 5 of 9 trials.")


def test_nothing_recorded_yet(make_experiment: Make, make_results: MakeResults) -> None:
    experiment = make_experiment({"norm": ["batch", "none"]}, claims=[claim(">")])
    full = make_results(experiment, dice)
    empty = Results(full.trials.iloc[:0], full.epochs.iloc[:0], full.images.iloc[:0], full.left_out)
    analysis = run(experiment, empty)
    assert analysis.head["trials"] == "partial: 0 of 6 trials"
    assert analysis.cells["n"].tolist() == [0, 0]
    assert analysis.curves.empty


def test_a_failed_trial_is_reported_and_the_rest_judged(
    make_experiment: Make, make_results: MakeResults
) -> None:
    def states(levels: dict[str, str], seed: int, fold: int) -> str:
        return "failed" if (levels["norm"], seed) == ("none", 4) else "complete"

    analysis = judged(make_experiment, make_results, claim(">"), states=states)
    assert not analysis.is_partial
    assert analysis.head["trials"] == "14 of 15 complete, 1 failed"
    assert analysis.effects.loc[0, ["n", "verdict"]].tolist() == [4, "worse"]
    assert "1 of 5 seeds left out, not measured in both arms: 4" in analysis.claims.loc[0, "evidence"]
    assert analysis.failures[["cell", "seed", "state", "failure"]].to_numpy().tolist() == [
        ["none", 4, "failed", ""]
    ]
    assert "Of 15 trials, 1 failed." in analysis.answer


def test_an_arm_that_always_diverges_is_worse_by_its_counts(
    make_experiment: Make, make_results: MakeResults
) -> None:
    def states(levels: dict[str, str], seed: int, fold: int) -> str:
        return "diverged" if levels["norm"] == "none" else "complete"

    analysis = judged(make_experiment, make_results, claim(">"), states=states)
    assert analysis.claims.loc[0, "verdict"] == "supported"
    evidence = analysis.claims.loc[0, "evidence"]
    assert "diverged: 0 of 5 trials with batch, 5 of 5 with none (Fisher p = 0.008 over seeds)" in evidence
    assert analysis.cells.set_index("cell").loc["none", "diverged"] == 5
    assert np.isnan(analysis.effects.loc[0, "difference"])


def test_all_diverged_crashes_nothing(make_experiment: Make, make_results: MakeResults) -> None:
    analysis = judged(
        make_experiment, make_results, claim(">"), states=lambda levels, seed, fold: "diverged", num_images=3
    )
    assert analysis.claims.loc[0, "verdict"] == "unresolved"
    assert analysis.head["trials"] == "0 of 15 complete, 15 diverged"
    assert len(analysis.failures) == 15
    assert analysis.failures["reason"].unique().tolist() == ["loss is NaN"]


def test_one_seed_has_no_interval(make_experiment: Make, make_results: MakeResults) -> None:
    experiment = make_experiment({"norm": ["batch", "none"]}, seeds=1, claims=[claim(">")])
    analysis = run(experiment, make_results(experiment, dice))
    assert analysis.claims.loc[0, "verdict"] == "unresolved"
    assert "one seed gives no interval" in analysis.claims.loc[0, "evidence"]
    assert analysis.cells["low"].isna().all()
    assert "resolution" not in analysis.head
    assert "One seed: no intervals, no verdicts." in analysis.notes


def test_disagreement_of_the_last_epoch_is_flagged(make_experiment: Make, make_results: MakeResults) -> None:
    analysis = judged(
        make_experiment,
        make_results,
        claim(">"),
        last=lambda levels, seed, fold: dice(
            {**levels, "norm": "none" if levels["norm"] == "batch" else "batch"}, seed, 0
        ),
    )
    row = analysis.effects.iloc[0]
    assert bool(row["depends_on_selection"])
    assert (row["level"], row["baseline"]) == ("none", "batch")
    assert row["difference"] < 0 < row["difference_last"]
    assert "At the last epoch's weights the answer differs for none against batch" in analysis.answer
    assert any("depends on checkpoint selection" in note for note in analysis.notes)


def test_folds_are_averaged_and_are_no_replicates(make_experiment: Make, make_results: MakeResults) -> None:
    experiment = make_experiment({"norm": ["batch", "none"]}, seeds=3, folds=4)
    analysis = run(
        experiment, make_results(experiment, lambda levels, seed, fold: dice(levels, seed, 0) + 0.1 * fold)
    )
    assert analysis.effects.loc[0, "n"] == 3
    assert analysis.cells["n"].tolist() == [3, 3]
    by_seed = [dice({"norm": "batch"}, seed, 0) + 0.15 for seed in range(3)]
    assert analysis.cells.loc[0, "mean"] == pytest.approx(np.mean(by_seed))
    assert analysis.head["seeds"] == "3 (0 to 2), 4 folds"
    assert analysis.head["test images"] == "24"


def test_groups_are_named_in_the_head(make_experiment: Make, make_results: MakeResults) -> None:
    analysis = judged(make_experiment, make_results, groups=["p1", "p1", "p2", "p2", "p3", "p3"])
    assert analysis.head["test images"] == "6 in 3 groups"


def test_one_at_a_time_designs_pair_at_the_baseline(make_experiment: Make, make_results: MakeResults) -> None:
    experiment = make_experiment(
        TWO_AXES, keep=lambda levels: levels["model"] == "unet" or levels["norm"] == "batch"
    )
    effects = run(experiment, make_results(experiment, dice)).effects
    assert effects["at"].tolist() == ["", "", ""]
    assert effects["is_family"].all()


def test_curves_are_means_over_seeds(make_experiment: Make, make_results: MakeResults) -> None:
    curves = judged(make_experiment, make_results).curves
    row = curves[
        (curves["cell"] == "none") & (curves["metric"] == "train_loss") & (curves["epoch"] == 2)
    ].iloc[0]
    values = [0.5 + 0.01 * seed for seed in range(5)]
    assert (row["n"], row["mean"]) == (5, pytest.approx(np.mean(values)))
    assert (row["low"], row["high"]) == pytest.approx(t_interval(values))
    assert curves["metric"].unique().tolist() == ["train_loss", "train_dice", "val_loss", "val_dice"]


def test_notes_name_what_holds(make_experiment: Make, make_results: MakeResults) -> None:
    experiment = make_experiment(TWO_AXES)
    notes = " ".join(run(experiment, make_results(experiment, dice)).notes)
    assert "Both intervals hold the training set and the split fixed" in notes
    assert "share the order of the images and the augmentation only" in notes
    assert "running means over an epoch's augmented batches in training mode" in notes
    assert "not comparable across levels that change the loss" not in notes


def test_records_outside_the_design_are_listed(make_experiment: Make, make_results: MakeResults) -> None:
    wide = make_experiment({"norm": ["batch", "none", "dyt"]})
    narrow = make_experiment({"norm": ["batch", "none"]})
    analysis = run(narrow, make_results(wide, dice))
    assert analysis.left_out["reason"].tolist() == ["no longer in the design"] * 3
    assert len(analysis.cells) == 2


def test_head_counts_the_experiments_that_read_the_test_set(
    make_experiment: Make, make_results: MakeResults
) -> None:
    experiment = make_experiment({"norm": ["batch", "none"]})
    for name, fingerprint in (("study", "f" * 64), ("earlier", "f" * 64), ("other", "e" * 64)):
        folder = experiment.project.results / name / "trials" / "000000000000"
        folder.mkdir(parents=True)
        record = {"state": "complete", "test": {"dice": 0.9}, "data_fingerprint": fingerprint}
        (folder / "trial.json").write_text(json.dumps(record), encoding="utf-8")
    head = run(experiment, make_results(experiment, dice)).head
    assert head["test set read by"] == "2 experiments: earlier and study"


def test_content_hash_follows_values_not_paths(make_experiment: Make, make_results: MakeResults) -> None:
    experiment = make_experiment({"norm": ["batch", "none"]})
    first, moved = make_results(experiment, dice), make_results(experiment, dice)
    moved.trials["folder"] = "elsewhere"
    other = make_results(experiment, lambda levels, seed, fold: dice(levels, seed, fold) + 1e-6)
    hashes = [run(experiment, r).provenance["content read"] for r in (first, moved, other)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_twenty_trials_of_3669_images_take_less_than_two_seconds(
    make_experiment: Make, make_results: MakeResults
) -> None:
    experiment = make_experiment({"model": ["unet", "resnet"], "norm": ["batch", "none"]}, seeds=5)
    results = make_results(experiment, dice, num_images=3669)
    assert len(results.images) == 2 * 20 * 3669
    start = time.process_time()
    run(experiment, results)
    assert time.process_time() - start < 2.0


def test_frames_have_the_columns_of_the_contract(make_experiment: Make, make_results: MakeResults) -> None:
    analysis = judged(make_experiment, make_results, claim(">"))
    assert isinstance(analysis.effects.loc[0, "trials"], tuple)
    assert len(analysis.effects.loc[0, "trials"]) == 10
    assert analysis.seeds.columns.tolist() == [
        *("trial", "cell", "axis:norm", "seed", "fold", "value", "value_last")
    ]
    assert len(analysis.seeds) == 15
    assert analysis.effects["is_family"].dtype == bool
    assert pd.api.types.is_float_dtype(analysis.effects["p_holm"])
    assert analysis.search.empty
