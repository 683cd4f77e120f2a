from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import HEAVY, environment, heavy_imports, segbench_
from typer.testing import CliRunner

from segbench.cli.app import app
from segbench.config.load import load_experiment
from segbench.errors import ExperimentError
from segbench.guards import Finding, Severity
from segbench.guards.finding import codes
from segbench.plan.plan import plan_trials
from segbench.records import FailureKind, State, TrialRecord
from segbench.store.layout import ResultsFolder
from segbench.store.trials import write_trial

TEXT = """
question: Does [it] matter?
baseline:
  dataset: {shapes: {size_px: 16, num_train: 4, num_val: 2, num_test: 2}}
  model: {unet: {width: 4, depth: 2}}
  loss: {bce: 1}
  optimizer: {adam: {lr: 1e-3}}
  batch_size: 2
  epochs: 10
axes:
  norm: {levels: {"[b]Batch": batch, none: none}}
seeds: 2
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "norms.yaml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def leave(project: Path, number: int, **changes: object) -> TrialRecord:
    experiment = load_experiment("norms")
    trial = plan_trials(experiment).entries[number].trial
    values: dict[str, object] = {
        "hash": trial.hash,
        "identity": trial.identity,
        "experiment": "norms",
        "levels": dict(trial.cell.levels),
        "config": trial.cell.config.to_json(),
        "config_hash": trial.cell.config_hash,
        "seed": trial.seed,
        "fold": trial.fold,
        "data_fingerprint": trial.data_fingerprint,
        "state": State.COMPLETE,
        "epochs_done": 10,
        "train_time_s": 1200.0,
        "parameters": 31_037_633,
        "flops": 100,
        **changes,
    }
    record = TrialRecord(**values)  # type: ignore[arg-type]
    write_trial(ResultsFolder(project / "results").experiment("norms").trial(trial.hash), record)
    return record


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_plan_shows_cells_and_says_that_nothing_is_timed_yet() -> None:
    text = run("plan", "norms")
    assert "norms: Does [it] matter?" in text
    assert [line.split() for line in text.splitlines()[1:4]] == [
        ["norm", "done", "parameters", "GFLOP", "state"],
        ["[b]Batch", "0/2", "7,549", "0.000827", "2", "waiting"],
        ["none", "0/2", "7,389", "0.000827", "2", "waiting"],
    ]
    assert "4 trials to run; one after another: no record yet of how long an epoch takes; `--measure`" in text
    assert "seeds show differences" not in text


def test_a_long_plan_holds_the_same_words_in_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    def words(text: str) -> list[list[str]]:
        return [line.split() for line in text.splitlines()]

    fitted = run("plan", "norms")
    monkeypatch.setattr("segbench.cli.plan._MOST_WRAPPED", 0)
    long = run("plan", "norms")
    assert words(long) == words(fitted)
    head, first = long.splitlines()[1:3]
    assert head.index("state") == first.index("2 waiting"), long


@pytest.mark.parametrize(("command", "last"), [("plan", ["2", "waiting"]), ("status", ["0/2", "2"])])
def test_in_a_pipe_a_row_is_a_line(project: Path, command: str, last: list[str]) -> None:
    label = "batch normalisation over the images of a batch, with running means for the test images"
    (project / "experiments" / "norms.yaml").write_text(TEXT.replace("[b]Batch", label))
    done = segbench_(project, command, "norms", env=environment(COLUMNS="80"))
    assert done.returncode == 0, done.stderr
    row = next(line for line in done.stdout.splitlines() if line.strip().startswith(label))
    assert row.split()[-2:] == last
    assert len(row) > 80
    fitted = segbench_(project, command, "norms", env=environment(COLUMNS="80", FORCE_COLOR="1"))
    assert not any(line.strip().startswith(label) for line in fitted.stdout.splitlines()), "a terminal wraps"


def test_plan_reckons_the_time_from_records_of_each_cell(project: Path) -> None:
    leave(project, 0)
    assert "no record yet" in run("plan", "norms")
    leave(project, 1, train_time_s=600.0)
    text = run("plan", "norms")
    assert "2 trials to run; one after another: about 30 min" in text
    assert "31,037,633" in text
    leave(project, 2)
    leave(project, 3)
    assert "Every trial is finished: a sweep has nothing to do." in run("plan", "norms")


def test_plan_as_json_names_every_trial(project: Path) -> None:
    record = leave(project, 0)
    content = json.loads(run("plan", "norms", "--only", "norm=[b]Batch", "--json"))
    assert content["to_run"] == 1
    assert content["time_s"] == 1200
    assert [cell["levels"] for cell in content["cells"]] == [{"norm": "[b]Batch"}]
    assert content["cells"][0]["trials"][0] == {
        "hash": record.hash,
        "seed": 0,
        "fold": 0,
        "state": "complete",
        "reusable": None,
    }
    assert content["findings"] == [
        {
            "code": "SB100",
            "severity": "note",
            "text": "not looked at yet: the pixels of shapes, which are not decoded. "
            "`segbench sweep norms` decodes them once and looks before it trains.",
        }
    ]


def test_plan_says_how_many_guards_looked_and_what_they_found() -> None:
    lines = run("plan", "norms").splitlines()
    assert lines[-2].startswith("note SB100: not looked at yet: the pixels of shapes")
    assert lines[-1] == f"{len(codes())} guards looked: 1 note."


def test_plan_of_a_finished_sweep_looks_at_the_plan_alone(project: Path) -> None:
    for number in range(4):
        leave(project, number)
    num_asked = len(codes("plan", "seeds"))
    assert run("plan", "norms").splitlines()[-1] == f"{num_asked} guards looked: nothing found."


def test_plan_exits_with_2_where_a_sweep_would_be_refused(project: Path) -> None:
    leave(project, 0)
    trial = plan_trials(load_experiment("norms")).entries[0].folder
    trial.record.write_text("{")
    done = CliRunner().invoke(app, ["plan", "norms"])
    assert done.exit_code == 2
    assert "error SB002: " in done.stdout


def test_a_warning_refuses_under_strict_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    found = (Finding("SB119", Severity.WARNING, "norms: arms differ."),)
    monkeypatch.setattr("segbench.guards.check_plan", lambda plan: found)
    assert "warning SB119: norms: arms differ." in run("plan", "norms")
    done = CliRunner().invoke(app, ["plan", "norms", "--strict"])
    assert done.exit_code == 2


def test_plan_refuses_an_unknown_level() -> None:
    with pytest.raises(ExperimentError, match=r"no such level, got 'nono'. Did you mean 'none'\?"):
        run("plan", "norms", "--only", "norm=nono")


def test_status_shows_why_trials_failed_with_their_log(project: Path) -> None:
    record = leave(
        project, 1, state=State.FAILED, failure=FailureKind.CODE, reason="KeyError: [x]", epochs_done=0
    )
    leave(project, 0)
    log = ResultsFolder(project / "results").experiment("norms").trial(record.hash).log
    log.write_text("".join(f"line {n}\n" for n in range(9)))
    text = run("status", "norms")
    assert f"failed (code)  none, seed 0, {record.hash}: KeyError: [x]" in text
    assert "line 4\n" in text
    assert "line 3" not in text
    rows = [line.split() for line in text.splitlines()[1:4]]
    assert rows == [
        ["cell", "done", "waiting", "complete", "failed"],
        ["[b]Batch", "1/2", "1", "1"],
        ["none", "0/2", "1", "1"],
    ]


def test_status_shows_the_epoch_of_running_trials(project: Path) -> None:
    from segbench.store.lease import Lease

    record = leave(project, 0, state=State.RUNNING, epochs_done=0)
    folder = ResultsFolder(project / "results").experiment("norms").trial(record.hash)
    folder.epochs.write_text("epoch,train_loss,val_dice\n1,0.5,0.25\n2,0.4,0.75\n")
    lease = Lease.acquire(folder)
    assert lease is not None
    with lease:
        text = run("status", "norms")
    assert "running  [b]Batch, seed 0: epoch 2 of 10, train_loss 0.4, val_dice 0.75" in text
    assert "interrupted  [b]Batch, seed 0" in run("status", "norms")


def test_status_without_a_name_has_a_line_for_each_experiment(project: Path) -> None:
    assert run("status") == ("No experiment has results here yet. `segbench sweep EXPERIMENT` makes some.\n")
    leave(project, 0)
    plan_trials(load_experiment("norms")).write_index()
    assert json.loads(run("status", "--json")) == [
        {"experiment": "norms", "trials": 4, "states": {"complete": 1, "waiting": 3}}
    ]
    assert run("status").splitlines()[1].split() == ["norms", "4", "1", "complete,", "3", "waiting"]


def test_status_as_json(project: Path) -> None:
    leave(project, 0)
    content = json.loads(run("status", "norms", "--json"))
    assert content["states"] == {"waiting": 3, "complete": 1}
    assert content["cells"][0]["trials"][0]["epochs"] == 10


@pytest.mark.parametrize("command", [["status", "norms"], ["status"]])
def test_status_imports_no_torch(project: Path, command: list[str]) -> None:
    leave(project, 0)
    found, done = heavy_imports(project, *command)
    assert (found, done.returncode) == (set(), 0), done.stderr


def test_a_plan_imports_torch_only_where_something_new_is_to_be_looked_at(project: Path) -> None:
    found, first = heavy_imports(project, "plan", "norms")
    assert "torch" in found, "guards build the networks of a file that was never seen"
    found, second = heavy_imports(project, "plan", "norms")
    assert (found, second.returncode) == (set(), 0), second.stderr
    assert second.stdout == first.stdout
    leave(project, 0)
    (project / "experiments" / "norms.yaml").write_text(TEXT.replace("seeds: 2", "seeds: 3"))
    found, third = heavy_imports(project, "plan", "norms", among=HEAVY - {"pandas"})
    assert (found, third.returncode) == (set(), 0), third.stderr
    assert "1/3" in third.stdout, "other seeds are nothing new"


def test_a_finished_sweep_runs_no_guard_and_imports_no_torch(project: Path) -> None:
    for number in range(4):
        leave(project, number, test={"dice": 0.9})
    found, done = heavy_imports(project, "sweep", "norms")
    assert (found, done.returncode) == (set(), 0), done.stderr
    assert "norms is finished: 4 complete." in done.stdout
    assert not (project / "data" / ".cache" / "guards").exists()
    assert not (project / "data" / "cache").exists()
    # A plan says, by pandas, which differences the seeds can show.
    found, done = heavy_imports(project, "plan", "norms", among=HEAVY - {"pandas"})
    assert (found, done.returncode) == (set(), 0), done.stderr
