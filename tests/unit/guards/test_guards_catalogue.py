"""Every guard has a code of its own, a rule, and an entry in docs/guards.md."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path
from typing import get_args

import pytest

from segbench import guards
from segbench.config.load import load_experiment
from segbench.errors import ExperimentError
from segbench.guards.finding import AT_READING, Asks, codes
from segbench.guards.finding import guards as guards_that_ask

for module in pkgutil.iter_modules(guards.__path__):
    importlib.import_module(f"segbench.guards.{module.name}")
GUARDS = [guard for asks in get_args(Asks) for guard in guards_that_ask(asks)]
DOCS = Path(__file__).parents[3] / "docs" / "guards.md"


def test_the_catalogue_knows_the_guards_without_importing_them() -> None:
    assert set(codes()) == {guard.code for guard in GUARDS}
    for asks in get_args(Asks):
        assert set(codes(asks)) == {guard.code for guard in guards_that_ask(asks)}


def test_docs_have_an_entry_for_every_code_and_no_other() -> None:
    entries = re.findall(r"^## (SB\d{3}) \S", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert entries == sorted({*codes(), *AT_READING})


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: f"{guard.code} {guard.function.__name__}")
def test_every_guard_states_its_rule(guard: guards.Guard[object]) -> None:
    assert re.fullmatch(r"[A-Z][^\n]+[^.]", guard.rule)


def test_docs_name_the_severities_of_every_guard() -> None:
    sections = re.split(r"^## ", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    stated = {section[:5]: section.split("\n\n")[1].partition(".*")[0] for section in sections}
    for guard in GUARDS:
        assert str(guard.severity) in stated[guard.code].lower(), guard.code


@pytest.mark.parametrize(
    ("code", "line"),
    [("SB109", "  dataset: {shapes: {size_px: 18}}"), ("SB117", "objective: {metric: test_iou}")],
)
def test_rules_checked_at_reading_give_their_code(tmp_path: Path, code: str, line: str) -> None:
    file = tmp_path / "experiments" / "exp.yaml"
    file.parent.mkdir()
    fields = [
        "dataset: shapes",
        "model: unet",
        "loss: {bce: 1}",
        "optimizer: adam",
        "batch_size: 2",
        "epochs: 1",
    ]
    text = "question: Why?\nbaseline:\n" + "".join(f"  {field}\n" for field in fields)
    file.write_text(text.replace("  dataset: shapes", line) if line.startswith(" ") else text + line)
    with pytest.raises(ExperimentError, match=rf"\({code}\)\.$"):
        load_experiment(file)
