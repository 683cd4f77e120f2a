"""`segbench check` prints each check and exits 4 where one fails."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from messages import said
from typer.testing import CliRunner

from segbench import registry
from segbench.cli.app import app
from segbench.errors import ExperimentError, SegbenchError, TrialError

SCHEDULE = '''from segbench.axes.schedule import variant


@variant
def linear(*, end: float = 0.0):
    """Go down in a line.

    Args:
        end: The last factor.
    """
    return lambda epoch, epochs: {expression}
'''


@pytest.fixture(autouse=True)
def _leave_the_registry(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", sys.path.copy())
    yield
    registry.use_project(None)


def check(*arguments: str) -> tuple[str, SegbenchError | None]:
    result = CliRunner().invoke(app, ["check", *arguments])
    if result.exception is not None and not isinstance(result.exception, SegbenchError):
        raise result.exception
    return result.stdout, result.exception


def write(tmp_path: Path, expression: str = "1.0 + (end - 1.0) * epoch / epochs") -> Path:
    folder = tmp_path / "axes" / "schedule"
    folder.mkdir(parents=True)
    file = folder / "linear.py"
    file.write_text(SCHEDULE.format(expression=expression))
    return file


def test_a_variant_that_keeps_the_contract(tmp_path: Path) -> None:
    output, error = check(str(write(tmp_path)), "--set", "end=0.5")
    assert error is None
    lines = output.splitlines()
    assert lines[0] == "schedule linear (end=0.5)"
    assert lines[1] == "  ok      The name is not that of a built-in variant"
    assert all(line.startswith("  ok      ") for line in lines[1:-1])
    assert lines[-1] == f"All {len(lines) - 2} checks passed."


def test_a_variant_that_breaks_it(tmp_path: Path) -> None:
    file = write(tmp_path, "float(missing)")
    output, error = check(str(file))
    assert isinstance(error, TrialError)
    assert error.exit_code == 4
    assert str(error) == f"{file}: 3 of 10 checks failed."
    reason = "          NameError: name 'missing' is not defined (linear.py:11)"
    failed = (
        "  FAILED  The factor is a finite number from 0 for every epoch from 1 to the last, or for every step"
    )
    assert f"{failed}\n{reason}\n" in output


def test_an_import_path() -> None:
    output, error = check("segbench.axes.schedule.cosine:cosine", "--axis", "schedule")
    assert error is None
    knobs = "warmup_epochs=0.0, warmup_start=0.01"
    assert output.startswith(f"schedule segbench.axes.schedule.cosine:cosine ({knobs})\n")


def test_a_built_in_file() -> None:
    assert check(str(registry.AXES_FOLDER / "schedule" / "cosine.py"))[1] is None


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["gone.py"], "FILE: there is no such file, got 'gone.py'. Give axes/<axis>/<name>.py, or"),
        (["a.b:C"], "a.b:C: an import path does not say which axis it is of."),
        (["a.b:C", "--axis", "modle"], "--axis: there is no such axis, got 'modle'. Did you mean 'model'?"),
        (["a.b:C", "--axis", "model"], "model: there is no Python module of this import path, got 'a.b'."),
    ],
)
def test_what_is_refused(arguments: list[str], expected: str) -> None:
    error = check(*arguments)[1]
    assert isinstance(error, ExperimentError)
    assert str(error).startswith(expected)


def test_a_file_whose_folder_names_no_axis(tmp_path: Path) -> None:
    file = tmp_path / "linear.py"
    file.write_text(SCHEDULE.format(expression="1.0"))
    assert str(check(str(file))[1]).startswith(f"{file}: its folder names no axis.")
    assert check(str(file), "--axis", "schedule")[1] is None


def test_knobs_that_are_wrong(tmp_path: Path) -> None:
    file = str(write(tmp_path))
    error = check(file, "--set", "edn=1", "--set", "end", "--set", "end=true")[1]
    assert said(error).splitlines() == [
        "--set edn=1: schedule linear has no such knob, got 'edn'. Did you mean 'end'?",
        "--set end: write --set KNOB=VALUE, such as --set width=16.",
        "--set end=true: end must be a number, got True.",
    ]


def test_knobs_are_read_as_in_an_experiment(tmp_path: Path) -> None:
    output, error = check(str(write(tmp_path)), "--set", "end=1e-4")  # text to a YAML 1.1 reader
    assert error is None
    assert output.startswith("schedule linear (end=0.0001)\n")


def write_preset(tmp_path: Path, text: str) -> Path:
    file = write(tmp_path).with_name("faint.py")
    file.write_text(f"'Go down a little.'\n\n{text}\n")
    return file


def test_a_preset_of_a_variant_of_the_project(tmp_path: Path) -> None:
    file = write_preset(tmp_path, "PRESET = {'linear': {'end': 0.5}}")
    output, error = check(str(file))
    assert error is None
    lines = output.splitlines()
    assert lines[0] == "schedule faint, a preset of linear (end=0.5)"
    assert lines[-1] == f"All {len(lines) - 2} checks passed."
    assert check(str(file), "--set", "end=0.25")[0].startswith(
        "schedule faint, a preset of linear (end=0.25)"
    )


def test_a_preset_of_a_built_in_variant_in_any_folder(tmp_path: Path) -> None:
    file = tmp_path / "faint.py"
    file.write_text("'Go down.'\nPRESET = {'cosine': {}}\n")
    output, error = check(str(file), "--axis", "schedule")
    assert error is None
    assert output.startswith("schedule faint, a preset of cosine")


def test_a_built_in_preset() -> None:
    output, error = check(str(registry.AXES_FOLDER / "model" / "unet_r1.py"), "--set", "depth=1")
    assert error is None
    assert output.startswith("model unet_r1, a preset of unet (width=8, depth=1, ")


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        (
            "{'liner': {}}",
            ":3: there is no schedule of this name to be a preset of, got 'liner'. Did you mean 'linear'?",
        ),
        ("{'linear': {'edn': 1.0}}", ":3: the schedule linear has no such knob, got 'edn'."),
        ("['linear']", ":3: PRESET must be {variant: {knob: value}}, got ['linear']."),
    ],
)
def test_a_preset_that_is_wrong(tmp_path: Path, preset: str, expected: str) -> None:
    file = write_preset(tmp_path, f"PRESET = {preset}")
    error = check(str(file))[1]
    assert isinstance(error, ExperimentError)
    assert str(error).startswith(f"{file}{expected}")


def test_a_preset_with_a_value_that_its_knob_does_not_take(tmp_path: Path) -> None:
    output, error = check(str(write_preset(tmp_path, "PRESET = {'linear': {'end': 'low'}}")))
    assert isinstance(error, TrialError)
    assert "          default: end must be a number, got 'low'." in output


def test_the_name_of_a_built_in_variant(tmp_path: Path) -> None:
    file = write_preset(tmp_path, "").with_name("cosine.py")
    file.write_text("'Mine.'\nPRESET = {'constant': {}}\n")
    error = check(str(file))[1]
    assert str(error) == (
        f"{file}: a built-in variant of schedule has this name, got 'cosine'. Rename the file."
    )


def test_a_broken_neighbour_does_not_matter(tmp_path: Path) -> None:
    file = write(tmp_path)
    file.with_name("other.py").write_text("PRESET = {'gone': {}}\n")
    assert check(str(file), "--set", "end=0.5")[1] is None
