"""Guards that look at the work: when they look, what they remember, and what a sweep does about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from segbench.config.experiment import Experiment
from segbench.config.load import load_experiment
from segbench.errors import ExperimentError, ResultsError
from segbench.guards import Finding, Severity, check_work, design, levels
from segbench.guards.data import DataSubject, cells_of
from segbench.guards.finding import keep, recall, remembered
from segbench.plan.plan import plan_trials
from segbench.sweep import launch
from segbench.sweep.studies import study_of

TEXT = """
question: Does it matter?
baseline:
  dataset: {shapes: {size_px: 16, num_train: 4, num_val: 2, num_test: 2}}
  model: {unet: {width: 4, depth: 2}}
  loss: {bce: 1}
  optimizer: {adam: {lr: 1e-3}}
  batch_size: 2
  epochs: 10
"""
DICE_TWICE = "loss: [{dice: 1}, {tversky: {alpha: 0.5, beta: 0.5}}]"
DESIGN = TEXT + "axes: {norm: [batch, none]}\nseeds: 2\n"
SEARCH = TEXT + (
    "search:\n"
    "  space:\n"
    "    lr: {path: optimizer.lr, low: 1e-4, high: 1e-1, log: true}\n"
    "    norm: {levels: [batch, none]}\n"
    "  trials: 4\n"
)


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Experiment]:
    def load(text: str = DESIGN) -> Experiment:
        file = tmp_path / "experiments" / "exp.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return load_experiment(file)

    return load


def test_pixels_that_are_not_decoded_are_named_and_not_decoded(load: Callable[..., Experiment]) -> None:
    experiment = load()
    found = check_work(plan_trials(experiment))
    assert [f for f in found if f.code == "SB100"] == [
        Finding(
            "SB100",
            Severity.NOTE,
            "not looked at yet: the pixels of shapes, which are not decoded. "
            "`segbench sweep exp` decodes them once and looks before it trains.",
        )
    ]
    assert not (experiment.project.data / "cache").exists()


def test_a_sweep_decodes_before_the_guards_look(load: Callable[..., Experiment]) -> None:
    experiment = load()
    told: list[tuple[int, int]] = []
    found = launch.check_job(study_of(experiment).job(), on_decoded=lambda *counts: told.append(counts))
    assert told[-1] == (8, 8)
    assert "SB100" not in {f.code for f in found}


def test_what_was_looked_at_is_not_looked_at_again(
    load: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = load()
    job = study_of(experiment).job()
    found = launch.check_job(job)
    looks: list[object] = []
    monkeypatch.setattr(DataSubject, "of", lambda *subject: looks.append(subject))
    assert launch.check_job(job) == found
    assert check_work(plan_trials(load(DESIGN.replace("seeds: 2", "seeds: 3")))) == found
    assert looks == []


@pytest.mark.parametrize(
    ("before", "after"), [("batch_size: 2", "batch_size: 3"), ("[batch, none]", "[batch, group]")]
)
def test_another_design_is_looked_at(
    load: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch, before: str, after: str
) -> None:
    launch.check_job(study_of(load()).job())
    looks: list[object] = []
    monkeypatch.setattr(design, "ask", lambda asks, subject: looks.append(asks) or ())
    check_work(plan_trials(load(DESIGN.replace(before, after))))
    assert looks


def test_a_finished_plan_is_not_looked_at(
    load: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_trials(load())
    monkeypatch.setattr(type(plan), "to_run", ())
    assert check_work(plan) == ()


def test_a_search_is_looked_at_at_its_baseline_and_its_ends(load: Callable[..., Experiment]) -> None:
    cells = cells_of(plan_trials(load(SEARCH)))
    assert [dict(cell.levels) for cell in cells] == [
        {},
        {"lr": "0.0001"},
        {"lr": "0.1"},
        {"norm": "none"},
    ]
    assert [cell.config.optimizer.knobs["lr"] for cell in cells] == [1e-3, 1e-4, 1e-1, 1e-3]
    assert [cell.config.norm.name for cell in cells] == ["batch", "batch", "batch", "none"]
    assert "SB100" in {f.code for f in check_work(plan_trials(load(SEARCH)))}


def test_findings_are_kept_by_subject(load: Callable[..., Experiment]) -> None:
    project = load().project
    finding = Finding("SB121", Severity.WARNING, "one line")
    assert recall(project, ["a"]) is None
    keep(project, ["a"], [finding])
    assert recall(project, ["a"]) == (finding,)
    assert recall(project, ["b"]) is None
    assert remembered(project, ["b"], lambda: [finding, finding]) == (finding, finding)
    assert remembered(project, ["b"], lambda: []) == (finding, finding)


def test_a_damaged_memory_is_as_good_as_none(load: Callable[..., Experiment]) -> None:
    project = load().project
    keep(project, ["a"], [])
    (file,) = (project.data / ".cache" / "guards").glob("*.json")
    content = file.read_bytes()
    file.write_text("{")
    assert recall(project, ["a"]) is None
    keep(project, ["b"], [])
    for each in (project.data / ".cache" / "guards").glob("*.json"):
        each.write_bytes(content)  # of one subject under the other's name, too
    assert recall(project, ["a"]) == ()
    assert recall(project, ["b"]) is None


def refusal(load: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch, *found: Finding) -> None:
    from segbench.cli.sweep import _heed

    monkeypatch.setattr(launch, "check_plan", lambda plan: found)
    _heed(study_of(load()).job(), is_strict=False)


def test_an_error_about_the_study_exits_with_2_and_one_about_the_disk_with_3(
    load: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ExperimentError, match=r"^SB115 axes$") as design:
        refusal(load, monkeypatch, Finding("SB115", Severity.ERROR, "axes"))
    assert design.value.exit_code == 2
    with pytest.raises(ResultsError, match=r"^SB002 folder$") as storage:
        refusal(load, monkeypatch, Finding("SB002", Severity.ERROR, "folder"))
    assert storage.value.exit_code == 3


def test_an_error_refuses_before_anything_is_decoded(
    load: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ExperimentError):
        refusal(load, monkeypatch, Finding("SB115", Severity.ERROR, "axes"))
    assert not (load().project.data / "cache").exists()


def test_a_warning_is_printed_and_refuses_under_strict(
    load: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from segbench.cli.sweep import _heed

    warning = Finding("SB119", Severity.WARNING, "arms differ.")
    refusal(load, monkeypatch, warning)
    assert "warning SB119: arms differ." in capsys.readouterr().err
    with pytest.raises(ExperimentError, match=r"^SB119 arms differ\.$"):
        _heed(study_of(load()).job(), is_strict=True)


def test_levels_are_built_once(load: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch) -> None:
    text = DESIGN.replace("loss: {bce: 1}", "loss: {dice: 1}").replace("norm: [batch, none]", DICE_TWICE)
    found = check_work(plan_trials(load(text)))
    assert [f.code for f in found if "build numerically the same function" in f.text] == ["SB101"]
    monkeypatch.setattr(levels, "check_levels", lambda *subject, **told: pytest.fail("built again"))
    assert check_work(plan_trials(load(text))) == found


def test_what_could_not_be_built_is_tried_again(
    load: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = (Finding("SB124", Severity.ERROR, "weights are missing."),)
    monkeypatch.setattr(levels, "check_levels", lambda *subject, **told: broken)
    plan = plan_trials(load())
    assert broken[0] in check_work(plan)
    monkeypatch.setattr(levels, "check_levels", lambda *subject, **told: ())
    assert broken[0] not in check_work(plan)
