"""Every check of a contract fails on a variant that breaks it, and says why."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from broken_variants import BROKEN, HEAD
from messages import said

from segbench import contract, registry
from segbench.errors import ExperimentError
from segbench.signature import read_source

CASES = [(group, check) for group, checks in BROKEN.items() for check in checks]


@pytest.mark.parametrize(("group", "name"), CASES)
def test_a_broken_variant_is_found(group: str, name: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    source, words = BROKEN[group][name]
    file = tmp_path / "thing.py"
    file.write_text(HEAD + source)
    axis = "norm" if group == "declaration" else group
    subject = contract.Subject.of(read_source(axis, file, origin="project"))
    outcomes = {outcome.check.name: outcome for outcome in contract.run(subject)}
    assert outcomes[name].reason is not None
    assert words in outcomes[name].reason


def test_a_name_that_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "batch.py"
    file.write_text("@variant\ndef batch(channels): pass\n")
    outcome = next(iter(contract.run(contract.Subject(read_source("norm", file, origin="project")))))
    assert outcome.check.name == "name_is_free"
    assert outcome.reason == "segbench has a norm or a part of that name: rename batch.py"


def test_every_check_has_a_broken_variant() -> None:
    for group, broken in BROKEN.items():
        axis = "norm" if group == "declaration" else group
        in_group = {
            c.name for c in contract.checks(axis) if c.function.__module__ == f"segbench.contract.{group}"
        }
        assert in_group - {"name_is_free"} == set(broken), group


def test_every_check_states_its_rule() -> None:
    for axis in registry.axes():
        for check in contract.checks(axis):
            assert check.rule != check.name
            assert not check.rule.endswith(".")


@pytest.mark.parametrize("axis", registry.axes())
def test_every_axis_is_tested(axis: str) -> None:
    assert len(contract.checks(axis)) > len(contract.checks("no such axis"))
    assert (Path(__file__).parents[2] / "contract" / f"test_{axis}_contract.py").is_file()


def test_knobs_of_a_subject(tmp_path: Path) -> None:
    file = tmp_path / "thing.py"
    file.write_text("@variant\ndef thing(a, b, c, *, width: int = 64, rate: float): pass\n")
    variant = read_source("model", file, origin="project")
    assert contract.Subject.of(variant, rate=0.5).knobs == {"width": 8, "rate": 0.5}
    assert contract.Subject.of(variant, rate=0.5, width=3).knobs == {"width": 3, "rate": 0.5}
    with pytest.raises(ExperimentError) as error:
        contract.Subject.of(variant)
    assert said(error.value) == "model thing: knob rate has no default. Give one with --set rate=VALUE."
    with pytest.raises(ExperimentError) as error:
        contract.Subject.of(variant, rat=1)
    assert said(error.value) == ("model thing: there is no such knob, got 'rat'. Did you mean 'rate'?")
