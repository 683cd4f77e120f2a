"""Every page of a report names the cells that make a mistake on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import fake_analysis as fake
import made_study
import pytest

from segbench import registry
from segbench.config.experiment import Experiment
from segbench.config.load import load_experiment
from segbench.config.trial import Choice
from segbench.report.analyse import analyse
from segbench.report.labels import Style
from segbench.report.pages.content import Content, make_content
from segbench.report.pages.html import write_html
from segbench.report.pages.latex import write_latex
from segbench.report.pages.markdown import write_markdown
from segbench.report.prose import flaws_text
from segbench.signature import Variant

FLAW = "it forgets to normalise"
SEARCH = """
question: Which norm?
baseline:
  dataset: {shapes: {size_px: 16, num_train: 8, num_val: 2, num_test: 2}}
  model: {unet: {width: 4, depth: 2}}
  loss: {bce: 1}
  optimizer: {adam: {lr: 1e-3}}
  batch_size: 2
  epochs: 1
search: {trials: 2, space: {norm: {levels: [batch, none]}}}
allow_flawed: true
"""


@pytest.fixture(autouse=True)
def _flawed_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `norm: none` be a mistake made on purpose."""
    find = registry.find

    def found(axis: str, name: str) -> Variant:
        variant = find(axis, name)
        return replace(variant, flawed=FLAW) if (axis, name) == ("norm", "none") else variant

    monkeypatch.setattr(registry, "find", found)


@pytest.fixture
def study(tmp_path: Path) -> Experiment:
    """Two cells, of which `none` has the flawed norm."""
    experiment = made_study.make_experiment(tmp_path, {"norm": ["batch", "none"]})
    cells = [
        replace(cell, config=replace(cell.config, norm=Choice(cell.levels["norm"])))
        for cell in experiment.cells
    ]
    return replace(experiment, cells=tuple(cells))


def test_the_flaw_and_its_cells_are_named(study: Experiment) -> None:
    assert flaws_text(study) == f"norm none in none: {FLAW}"
    assert flaws_text(replace(study, cells=study.cells[1:])) == f"norm none in every cell: {FLAW}"
    assert flaws_text(replace(study, cells=study.cells[:1])) == ""


def test_a_search_names_the_flaws_in_its_space(tmp_path: Path) -> None:
    file = tmp_path / "experiments" / "hunt.yaml"
    file.parent.mkdir()
    file.write_text(SEARCH)
    assert flaws_text(load_experiment(file)) == f"norm none in the space searched: {FLAW}"


def test_the_head_begins_with_it(study: Experiment) -> None:
    results = made_study.make_results(study, lambda levels, seed, fold: 0.9 + 0.001 * seed)
    head = analyse(study, results, project=study.project).head
    assert next(iter(head.items())) == ("flawed on purpose", f"norm none in none: {FLAW}")
    sound = replace(study, cells=study.cells[:1])
    assert "flawed on purpose" not in analyse(sound, results, project=study.project).head


@pytest.mark.parametrize("write", [write_html, write_markdown, write_latex])
def test_every_page_prints_it(study: Experiment, write: Callable[[Content], str]) -> None:
    analysis = fake.make_analysis()
    head = {"flawed on purpose": flaws_text(study), **analysis.head}
    page = write(make_content(replace(analysis, head=head), Style()))
    assert FLAW in page
    assert "lawed on purpose" in page
    assert FLAW not in write(make_content(analysis, Style()))
