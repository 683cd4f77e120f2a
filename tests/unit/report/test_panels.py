"""Panels: which images, which colours, and what a clone without pixels keeps."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace

import fake_analysis as fake
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import segbench.data
from segbench.config.project import Project
from segbench.data.pictures import FALSE_NEGATIVE, FALSE_POSITIVE, NOT_COUNTED, overlay
from segbench.errors import DataError
from segbench.report.topics.panels import Panels, choose_images, make_panels
from segbench.store.layout import ExperimentFolder
from segbench.store.masks import write_masks

NAMES = [f"image_{k}" for k in range(8)]


def images_frame(analysis) -> pd.DataFrame:
    rows = [
        {
            "trial": trial,
            "image": name,
            "group": "",
            "split": "test",
            "class": 0,
            "metric": "dice",
            "value": 0.1 * k + (0.05 * (cell - 1) if k == 5 else 0),
        }
        for cell, trial in enumerate(analysis.seeds["trial"])
        for k, name in enumerate(NAMES)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    images = np.zeros((8, 16, 16, 1), dtype=np.uint8)
    truth = np.zeros((8, 16, 16), dtype=np.uint8)
    truth[:, 4:12, 4:12] = 1
    prepared = SimpleNamespace(samples=[SimpleNamespace(name=n) for n in NAMES], images=images, masks=truth)
    monkeypatch.setattr(segbench.data, "prepare", lambda config, project: prepared, raising=False)
    return Project(tmp_path)


def put_masks(project: Project, analysis) -> None:
    folder = ExperimentFolder(project.results / analysis.experiment.name)
    for trial in analysis.seeds["trial"]:
        path = folder.trial(trial).masks
        path.parent.mkdir(parents=True, exist_ok=True)
        write_masks(path, np.ones((8, 16, 16), dtype=bool), NAMES)


def test_images_are_chosen_by_rule():
    dice = pd.DataFrame(
        {
            "base": [0.90, 0.50, 0.80, 0.10, 0.70, 0.85, 0.75, 0.74],
            "a": [0.20, 0.50, 0.82, 0.10, 0.70, 0.85, 0.74, 0.74],
            "b": [0.88, 0.50, 0.80, 0.15, 0.70, 0.95, 0.75, 0.74],
        },
        index=list("pqrstuvw"),
    )
    # Differences from base: a takes 0.70 from p, b gives 0.10 to u; s has the lowest mean. Of the means
    # .66 .5 .807 .117 .7 .883 .747 .74 the median is .72: t and w are .02 away, t comes first.
    chosen = choose_images(dice)
    assert [(c.image, c.rule, c.cell) for c in chosen[:4]] == [
        ("u", "largest gain", 2),
        ("p", "largest loss", 1),
        ("s", "worst mean", None),
        ("t", "median", None),
    ]
    assert [(c.rule, c.cell) for c in chosen[4:]] == [("drawn", None)] * 2
    assert len({c.image for c in chosen}) == 6
    assert choose_images(dice.sample(frac=1, random_state=3)) == chosen


def test_the_baseline_need_not_be_the_first_cell():
    dice = pd.DataFrame({"a": [0.5, 0.9], "base": [0.8, 0.6]}, index=["p", "q"])
    chosen = choose_images(dice, baseline=1)
    assert [(c.image, c.rule, c.cell) for c in chosen] == [("q", "largest gain", 0), ("p", "largest loss", 0)]


def test_where_no_cell_gains_no_image_stands_for_a_gain():
    dice = pd.DataFrame({"base": [0.8, 0.9, 0.7], "a": [0.8, 0.6, 0.7]}, index=["p", "q", "r"])
    assert [(c.image, c.rule) for c in choose_images(dice)] == [
        ("q", "largest loss"),
        ("r", "worst mean"),
        ("p", "median"),
    ]


def test_one_cell_has_no_difference_to_choose_by():
    chosen = choose_images(pd.DataFrame({"a": [0.9, 0.5]}, index=["p", "q"]))
    assert [(c.image, c.rule) for c in chosen] == [("q", "worst mean"), ("p", "median")]


def test_false_pixels_have_colours_and_ignored_ones_are_grey():
    mask = np.array([[1, 1, 0, 0, 255, 255]], np.uint8)
    picture = overlay(mask, np.array([[True, False, True, False, True, False]]))
    counted, ignored = picture[0, :4].tolist(), picture[0, 4:].tolist()
    assert counted == [[255, 255, 255], list(FALSE_NEGATIVE), list(FALSE_POSITIVE), [0, 0, 0]]
    assert ignored == [list(NOT_COUNTED)] * 2


def test_the_grid_has_a_column_a_cell_and_states_its_rule(project):
    analysis = fake.make_analysis(fake.QUICKSTART)
    put_masks(project, analysis)
    panels = make_panels(analysis, images_frame(analysis), project)
    with Image.open(io.BytesIO(panels.content)) as picture:
        assert picture.format == "JPEG"
        assert picture.width == panels.width_px == 8 + 6 * (257 + 8)
    assert "largest paired differences from the baseline's cell both ways (framed)" in panels.caption
    assert "image_5: none, on gains most over batch, off; image_0: worst mean; " in panels.caption
    assert "each by its first completed seed" in panels.caption
    assert panels == make_panels(analysis, images_frame(analysis), project)
    assert len(panels.content) < 1_500_000


def test_a_search_has_none(project):
    made = fake.make_analysis(fake.QUICKSTART)
    searched = replace(made, experiment=replace(made.experiment, search=SimpleNamespace()))
    put_masks(project, made)
    assert make_panels(searched, images_frame(made), project) == Panels()


def test_without_masks_or_data_it_says_why(project, monkeypatch):
    analysis = fake.make_analysis(fake.QUICKSTART)
    assert make_panels(analysis, images_frame(analysis), project) == Panels(
        missing="no trial here has its predicted masks (masks.npz is not committed)."
    )
    put_masks(project, analysis)

    def refuse(config, project):
        raise DataError("data/oxford_pet: there is no data set here.")

    monkeypatch.setattr(segbench.data, "prepare", refuse)
    panels = make_panels(analysis, images_frame(analysis), project)
    assert panels.content is None
    assert panels.missing == "the data set is not here (data/oxford_pet: there is no data set here.)"
