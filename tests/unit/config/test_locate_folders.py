"""Experiments in folders below `experiments/`: found by name, unique across folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from segbench.config.load import experiment_names, load_experiment, locate
from segbench.config.project import Project
from segbench.errors import ExperimentError

TEXT = """question: q
baseline: {dataset: {shapes: {size_px: 32}}, model: {unet: {width: 4}}}
scales: {small: {baseline: {epochs: 1}}}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("top", "studies/deep", "studies/old/deeper"):
        file = tmp_path / "experiments" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def test_by_name_from_any_folder(project: Project) -> None:
    assert experiment_names(project) == ("deep", "deeper", "top")
    assert locate("deeper").file == project.experiments / "studies" / "old" / "deeper.yaml"
    assert locate("deep", scale="small").scale == "small"
    found = locate("deep_small")
    assert (found.name, found.scale) == ("deep", "small")
    assert load_experiment("deep_small").name == "deep_small"


def test_by_path_the_project_is_the_one_around(project: Project) -> None:
    found = locate("experiments/studies/deep.yaml")
    assert (found.name, found.project.root) == ("deep", project.root)


def test_extends_is_relative_to_the_file(project: Project) -> None:
    file = project.experiments / "studies" / "more.yaml"
    file.write_text("question: more\nextends: ../top.yaml\nseeds: 7\n")
    assert len(load_experiment("more").seeds) == 7


@pytest.mark.parametrize("asked", ["deep", "top", "experiments/studies/deep.yaml"])
def test_two_files_of_one_name(project: Project, asked: str) -> None:
    (project.experiments / "deep.yaml").write_text(TEXT)
    with pytest.raises(ExperimentError) as error:
        locate(asked)
    assert str(error.value) == (
        "experiments/deep.yaml: this file and experiments/studies/deep.yaml would both be the experiment "
        "deep. Rename one of them."
    )


def test_a_scale_that_is_the_name_of_a_file_elsewhere(project: Project) -> None:
    (project.experiments / "deep_small.yaml").write_text(TEXT)
    with pytest.raises(
        ExperimentError, match=r"experiments/deep_small\.yaml: the scale small of deep\.yaml and"
    ):
        locate("deep", scale="small")


def test_an_unknown_name_is_compared_with_all_folders(project: Project) -> None:
    with pytest.raises(ExperimentError, match="Did you mean 'deeper'"):
        locate("deepr")
