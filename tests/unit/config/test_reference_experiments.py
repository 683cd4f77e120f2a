"""The comparisons of the reference studies: all there, complete, and at every scale what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from segbench.config.assemble import read_merged
from segbench.config.document import Problems
from segbench.config.load import load_experiment, smoke_test

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "experiments" / "reference"
FILES = sorted(FOLDER.glob("*.yaml"))
DOC = (ROOT / "docs" / "reference-studies.md").read_text(encoding="utf-8")
STUDIES = {"c01": "R0", "c06": "R1", "c15": "R2", "c18": "R3", "c23": "R4"}
"""First comparison of each study; those up to the next are its own."""
HYPOTHESES = {"h08": "R4", "h13": "R3"}
"""Files of a hypothesis about one study."""
RESNETS = ("c19", "c20")
"""Comparisons that a study made with its ResNet34-U-Net; all others start from its U-Net."""

by_name = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def study_of(name: str) -> str:
    return HYPOTHESES.get(name[:3]) or STUDIES[max(first for first in STUDIES if first <= name[:3])]


def test_every_comparison_has_one_file() -> None:
    numbers = [int(file.stem[1:3]) for file in FILES if file.stem[0] == "c"]
    assert numbers == list(range(1, 25))


def test_every_hypothesis_is_asked_somewhere() -> None:
    asked = {int(n) for file in FILES for n in re.findall(r"\bH(\d+)\b", file.read_text(encoding="utf-8"))}
    assert asked == set(range(1, 16))
    assert {int(n) for n in re.findall(r"\bH(\d+)\b", DOC)} == set(range(1, 16))


@by_name
def test_the_header_says_whose_it_is_and_what_was_reported(file: Path) -> None:
    header = file.read_text(encoding="utf-8").partition("\nquestion:")[0]
    study = study_of(file.stem)
    assert f"{study}'s settings" in header
    if file.stem[0] == "c":
        assert header.splitlines()[2].startswith(f"# {file.stem[:3].upper()}, from {study}: ")
        assert f"{study} reported" in header
    assert f"| `{file.stem}` | {study} |" in DOC


@by_name
def test_it_asks_with_several_seeds_a_margin_and_claims(file: Path) -> None:
    experiment = load_experiment(file)
    assert len(experiment.seeds) == 5
    assert experiment.margin == 0.005
    assert any(claim.text is None for claim in experiment.claims)
    study = study_of(file.stem).lower()
    document, _ = read_merged(file, Problems(), shown=str)
    network = "resnet34_unet" if file.stem[:3] in RESNETS else "unet"
    assert str(document["baseline"]["model"].value) == f"{network}_{study}"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("c06_init", (1, 1e-3, 10)), ("c08_output", (8, 1e-4, 10)), ("c10_model_r1", (8, 1e-4, 20))],
)
def test_r1_changed_batch_learning_rate_and_epochs(name: str, expected: tuple[int, float, int]) -> None:
    configs = [cell.config for cell in load_experiment(FOLDER / f"{name}.yaml").cells]
    assert {(c.batch_size, c.optimizer.knobs["lr"], c.epochs) for c in configs} == {expected}


@pytest.mark.parametrize(
    "file", [file for file in FILES if study_of(file.stem) == "R1"], ids=lambda f: f.stem
)
def test_r1_draws_as_he_all_but_transposed_convolutions(file: Path) -> None:
    inits = [cell.config.init for cell in load_experiment(file).cells]
    assert any(init.name == "he" for init in inits)
    assert not any(init.knobs["transposed"] for init in inits if init.name == "he")


@pytest.mark.parametrize(
    "file", [file for file in FILES if study_of(file.stem) == "R4"], ids=lambda f: f.stem
)
def test_r4_draws_as_xavier_in_the_residual_blocks_alone(file: Path) -> None:
    for cell in load_experiment(file).cells:
        is_resnet = cell.config.model.name == "resnet34_unet"
        assert cell.config.init.name == ("xavier" if is_resnet else "default")
        assert not is_resnet or cell.config.init.knobs["within"] == "residual_blocks"
        assert is_resnet or cell.config.model.knobs["up"] == "transposed"


def test_the_question_about_alphas_start_changes_nothing_else() -> None:
    experiment = load_experiment(FOLDER / "c03_norm_dyt.yaml")
    norms = {cell.levels["norm"]: cell.config.norm.knobs for cell in experiment.cells}
    (claim,) = (c for c in experiment.claims if {c.left, c.right} == {"DyT", "DyT from 0.5"})
    assert claim.op == "=="
    paper, start, ours = (norms[name] for name in ("DyT scalar", "DyT from 0.5", "DyT"))
    assert {name for name in ours if ours[name] != start[name]} == {"start"}
    assert {name for name in ours if paper[name] != start[name]} == {"per_channel"}


@pytest.mark.parametrize("study", ["R0", "R1", "R2", "R3", "R4"])
def test_h8_is_asked_of_every_study(study: str) -> None:
    claims = [
        line
        for file in FILES
        if study_of(file.stem) == study
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.lstrip().startswith("- {") and re.search(r"# .*\bH8\b", line)
    ]
    assert any("unet" in line for line in claims)


def test_a_file_holds_r4s_stride_on_every_block() -> None:
    strides = [
        cell.config.model.knobs["stride_on"]
        for file in FILES
        if study_of(file.stem) == "R4"
        for cell in load_experiment(file).cells
        if cell.config.model.name == "resnet34_unet"
    ]
    assert {"first_block", "every_block"} == set(strides)


@by_name
def test_the_small_scale_is_small_and_asks_the_same(file: Path) -> None:
    whole, small = load_experiment(file), load_experiment(file, scale="small")
    assert [axis.name for axis in small.axes] == [axis.name for axis in whole.axes]
    assert len(small.cells) == len(whole.cells)
    assert len(small.seeds) == 3
    for cell in small.cells:
        assert cell.config.dataset.knobs["size_px"] <= 144
        assert cell.config.model.knobs["width"] <= 16
        assert cell.config.epochs <= 12
        assert cell.config.precision == "fp32"
    assert {cell.config.epochs for cell in smoke_test(small).cells} == {1}


@by_name
def test_flaws_run_with_consent_and_consent_is_not_given_for_nothing(file: Path) -> None:
    from segbench import registry

    experiment = load_experiment(file)
    chosen = {(axis, c.name) for cell in experiment.cells for axis, c in cell.config.choices()}
    has_flaw = any(registry.find(axis, name).flawed for axis, name in chosen)
    assert experiment.allow_flawed is has_flaw
