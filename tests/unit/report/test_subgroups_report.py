"""A report by sub-groups of the test images: claims among some of them, and the table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import made_study
import numpy as np
import pandas as pd
import pytest

from segbench.config.experiment import Claim, Experiment
from segbench.report.analyse import analyse
from segbench.report.topics.subgroups import MISSING
from segbench.store.results import Results

CLAIM = Claim(
    source="model: a > b, among: {species: cat}",
    axis="model",
    left="a",
    op=">",
    right="b",
    among={"species": "cat"},
)


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    made = made_study.make_experiment(tmp_path, {"model": ["a", "b"]}, seeds=4, claims=[CLAIM])
    return replace(made, subgroups=("species", "tone_likeness"))


@pytest.fixture
def results(experiment: Experiment) -> Results:
    """`a` is better by .1 on the three cats, worse by .1 on the three dogs."""
    made = made_study.make_results(experiment, lambda levels, seed, fold: 0.8 + 0.001 * seed)
    arm = made.trials.set_index("trial")["axis:model"]
    is_cat = made.images["image"].isin([f"image_0_{i}" for i in range(3)])
    is_a = made.images["trial"].map(arm) == "a"
    shift = np.where(is_cat, 0.1, -0.1) * is_a
    jitter = 0.001 * made.images["trial"].map({t: i % 3 for i, t in enumerate(arm.index)})
    samples = pd.DataFrame(
        {
            "image": [f"image_0_{i}" for i in range(6)],
            "group": "",
            "species": ["cat"] * 3 + ["dog"] * 3,
            "tone_likeness": [0.1, 0.9, 0.5, 0.2, 0.8, np.nan],
        }
    )
    return replace(
        made, images=made.images.assign(value=made.images["value"] + shift + jitter), samples=samples
    )


def test_a_claim_about_some_images_is_judged_on_them(experiment: Experiment, results: Results) -> None:
    analysis = analyse(experiment, results, project=experiment.project)
    (claim,) = analysis.claims.to_dict(orient="records")
    assert claim["verdict"] == "supported"
    assert claim["evidence"].startswith("test_dice at images of species cat: a minus b = +0.09")
    assert "family of 1" in claim["evidence"]
    (row,) = analysis.effects[analysis.effects["is_family"]].to_dict(orient="records")
    assert row["at"] == "images of species cat"
    # The table turns a claim round to level minus baseline: b - a.
    assert row["difference"] == pytest.approx(-0.1, abs=0.005)


def test_the_table_has_every_sub_group(experiment: Experiment, results: Results) -> None:
    found = analyse(experiment, results, project=experiment.project).subgroups
    by = {(r.division, r.label): r for r in found.itertuples()}
    assert list(by) == [
        ("species", "cat"),
        ("species", "dog"),
        ("tone_likeness", "low"),
        ("tone_likeness", "middle"),
        ("tone_likeness", "high"),
    ]
    assert by["species", "cat"].difference == pytest.approx(-0.1, abs=0.005)
    assert by["species", "dog"].difference == pytest.approx(0.1, abs=0.005)
    assert by["species", "cat"].num_images == 3
    assert [by["tone_likeness", third].num_images for third in ("low", "middle", "high")] == [2, 1, 2]
    assert by["species", "cat"].low < by["species", "cat"].difference < by["species", "cat"].high


def test_the_notes_say_where_thirds_part(experiment: Experiment, results: Results) -> None:
    notes = analyse(experiment, results, project=experiment.project).notes
    assert any(
        n.startswith("Sub-groups by tone_likeness: thirds of the test images, low up to 0.3") for n in notes
    )


def test_without_samples_nothing_is_judged(experiment: Experiment, results: Results) -> None:
    analysis = analyse(experiment, replace(results, samples=None), project=experiment.project)
    assert analysis.subgroups.empty
    assert MISSING in analysis.notes
    (claim,) = analysis.claims.to_dict(orient="records")
    assert (claim["verdict"], claim["evidence"]) == (
        "not judged",
        "No test image is known to be of species cat.",
    )


def test_an_attribute_that_the_data_set_lacks(experiment: Experiment, results: Results) -> None:
    asked = replace(experiment, subgroups=("species", "weather"))
    notes = analyse(asked, results, project=experiment.project).notes
    assert "Sub-groups by weather: the data set says nothing of that name about its images." in notes
