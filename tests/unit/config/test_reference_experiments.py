"""The comparisons of the reference studies: all there, complete, and at every scale what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from segbench.config.assemble import read_merged
from segbench.config.document import Problems
from segbench.config.load import load_experiment, smoke_test

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "experiments" / "reference").glob("*.yaml"))
DOC = (ROOT / "docs" / "reference-studies.md").read_text(encoding="utf-8")
STUDIES = {"c01": "R0", "c06": "R1", "c15": "R2", "c18": "R3", "c23": "R4"}
"""First comparison of each study; those up to the next are its own."""

by_name = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def study_of(name: str) -> str:
    return STUDIES[max(first for first in STUDIES if first <= name[:3])] if name[0] == "c" else "R3"


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
    assert str(document["baseline"]["model"].value) == f"unet_{study}"


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
