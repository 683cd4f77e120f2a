"""`segbench sweep` over looks: what is trained, judged and noted, and when it stops."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from sweep_stand_in import TEXT, StandIn, make_stand_in
from typer.testing import CliRunner

from segbench.cli.app import app
from segbench.cli.sweep import sweep
from segbench.errors import ExperimentError, Interrupted, ResultsError, TrialError
from segbench.records import State
from segbench.store.history import read_history
from segbench.store.index import read_index

LOOKS = TEXT.replace("seeds: 2", "seeds: {start: 3, max: 7, looks: [3, 5, 7]}\nmargin: 0.01")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    return make_stand_in(tmp_path, monkeypatch)


def unsettled(levels: Mapping[str, str], seed: int) -> float:
    """No difference, as large as the margin from seed to seed."""
    return 0.8 + (0.02 * (-1) ** seed if levels["norm"] == "none" else 0.0)


def settled_later(levels: Mapping[str, str], seed: int) -> float:
    return 0.8 + (0.05 + 0.03 * (seed == 0) if levels["norm"] == "none" else 0.001 * seed)


def run(capsys: pytest.CaptureFixture[str], **options: object) -> str:
    sweep("exp", device="cpu", no_study=True, **options)  # type: ignore[arg-type]
    return capsys.readouterr().out


def test_a_sweep_stops_at_the_look_that_resolves_everything(
    project: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write(LOOKS)
    project.dice = lambda levels, seed: 0.8 + 0.001 * seed + (0.1 + 0.001 * seed) * (levels["norm"] == "none")
    out = run(capsys)
    assert [len(batch) for batch in project.batches] == [6]
    assert (
        "look 1 of 3 (3 seeds, alpha 0.0167): resolved: norm: none against BN in test_dice better. "
        "No more seeds are needed." in out
    )
    assert [(r.seeds, r.looks, r.unresolved) for r in read_history(project.folder())] == [
        ("0 1 2", "3 5 7", "0")
    ]
    before = project.folder().history.read_bytes()
    assert "is finished: 6 complete" in run(capsys)
    assert project.folder().history.read_bytes() == before
    assert len(project.batches) == 1


def test_a_sweep_goes_on_until_the_last_look(project: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    project.write(LOOKS)
    project.dice = unsettled
    out = run(capsys)
    assert [sorted({seed for _, seed in batch}) for batch in project.batches] == [[0, 1, 2], [3, 4], [5, 6]]
    open_ = "resolved: nothing. Unresolved: norm: none against BN in test_dice"
    assert f"look 1 of 3 (3 seeds, alpha 0.0167): {open_}; on to 5 seeds." in out
    assert f"look 2 of 3 (5 seeds, alpha 0.0167): {open_}; on to 7 seeds." in out
    assert f"look 3 of 3 (7 seeds, alpha 0.0167): {open_}; this was the last look." in out
    assert [r.unresolved for r in read_history(project.folder())] == ["1", "1", "1"]
    assert [r.changed for r in read_history(project.folder())] == ["", "seeds", "seeds"]
    run(capsys)
    assert len(read_history(project.folder())) == 3


def test_a_killed_sweep_judges_the_look_it_had_trained(
    project: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write(LOOKS)
    project.dice = settled_later
    with monkeypatch.context() as patch:
        patch.setattr("segbench.report.analyse.judge_look", _die)
        with pytest.raises(KeyboardInterrupt):
            run(capsys)
    assert read_history(project.folder()) == []
    out = run(capsys)
    assert "look 1 of 3 (3 seeds" in out
    assert "look 2 of 3 (5 seeds, alpha 0.0167): resolved: norm: none against BN in test_dice better" in out
    assert [len(batch) for batch in project.batches] == [6, 4]


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def test_without_its_history_a_sweep_finds_its_way_again(
    project: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write(LOOKS)
    project.dice = settled_later
    run(capsys)
    rows = [(r.seeds, r.unresolved) for r in read_history(project.folder())]
    project.folder().history.unlink()
    run(capsys)
    assert [(r.seeds, r.unresolved) for r in read_history(project.folder())] == rows
    assert len(project.batches) == 2


def test_plan_status_and_index_know_what_is_asked_for_now(
    project: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write(LOOKS)
    content = json.loads(CliRunner().invoke(app, ["plan", "exp", "--json"]).stdout)
    assert (content["to_run"], content["later"]) == (6, 8)
    text = CliRunner().invoke(app, ["plan", "exp"]).stdout
    assert "look 1 of 3: the first 3 of at most 7 seeds; 8 further trials only if a later look" in text
    project.dice = settled_later
    run(capsys)
    rows = read_index(project.folder())
    assert [row.is_later for row in rows] == [False] * 10 + [True] * 4
    header = project.folder().index.read_text().splitlines()[0]
    assert header == "hash,norm,asked,seed,fold,state,folder"
    status = CliRunner().invoke(app, ["status", "exp"]).stdout
    assert "look 2 of 3: the first 5 of at most 7 seeds" in status
    content = json.loads(CliRunner().invoke(app, ["status", "exp", "--json"]).stdout)
    assert (content["trials"], content["look"]) == (10, "look 2 of 3: the first 5 of at most 7 seeds")
    everything = json.loads(CliRunner().invoke(app, ["status", "--json"]).stdout)
    assert everything == [{"experiment": "exp", "trials": 10, "states": {"complete": 10}}]


def test_parts_are_trained_without_looks(project: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    project.write(LOOKS)
    assert "look" not in run(capsys, seeds="6")
    assert project.batches == [[("BN", 6), ("none", 6)]]
    assert "look" not in run(capsys, only=["norm=BN"])
    assert project.batches[-1] == [("BN", 0), ("BN", 1), ("BN", 2)]
    assert not project.folder().history.exists()
    status = json.loads(CliRunner().invoke(app, ["status", "exp", "--json"]).stdout)
    assert status["orphans"] == 0


def test_a_look_with_failed_trials_is_not_judged(
    project: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write(LOOKS)
    project.state = lambda levels, seed: (
        State.FAILED if (levels["norm"], seed) == ("BN", 1) else State.COMPLETE
    )
    with pytest.raises(TrialError, match="1 trial failed"):
        run(capsys)
    assert "the look at 3 seeds is not judged: 1 trial failed" in capsys.readouterr().out
    assert not project.folder().history.exists()


def test_other_claims_are_judged_anew_at_the_look_that_was_reached(
    project: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write(LOOKS)
    project.dice = settled_later
    run(capsys)
    project.write(LOOKS + "claims: [{norm: none > BN}]\n")
    out = run(capsys)
    assert "look 1 of 3" not in out
    assert "look 2 of 3 (5 seeds, alpha 0.0167): resolved" in out
    assert read_history(project.folder())[-1].changed == "claims"


def test_a_damaged_history_is_refused_before_anything_is_trained(
    project: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys)
    project.folder().history.write_text("garbage")
    project.write(TEXT.replace("seeds: 2", "seeds: 3"))
    with pytest.raises(ResultsError, match=r"history\.csv"):
        run(capsys)
    assert len(project.batches) == 1


def test_each_sweep_that_ends_complete_leaves_one_line(
    project: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    project.stops_after = 1
    with pytest.raises(Interrupted):
        run(capsys)
    assert not project.folder().history.exists()
    project.stops_after = None
    for _ in range(3):
        run(capsys)
    with project.folder().history.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["cells"], r["seeds"], r["looks"], r["unresolved"]) for r in rows] == [("2", "0 1", "", "")]
    project.write(TEXT.replace("seeds: 2", "seeds: 3"))
    run(capsys)
    assert [r.changed for r in read_history(project.folder())] == ["", "seeds"]


def test_results_without_a_history_get_one_before_they_grow(
    project: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys)
    project.folder().history.unlink()
    project.write(TEXT.replace("seeds: 2", "seeds: 3"))
    run(capsys)
    rows = read_history(project.folder())
    assert [row.seeds for row in rows] == ["0 1", "0 1 2"]
    assert rows[0].ended == "2026-02-03T04:05:06+00:00"
    from segbench.config.load import load_experiment
    from segbench.report.analyse import analyse
    from segbench.store.results import read_results

    grown = load_experiment("exp")
    analysis = analyse(grown, read_results(project.folder().root), project=grown.project)
    assert (
        "Unplanned growth: the seeds grew from 2 to 3 after results were seen on 2026-02-03"
        in analysis.answer
    )


def test_seeds_beyond_the_design_are_refused(project: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    project.write(LOOKS)
    with pytest.raises(ExperimentError, match=r"the seeds of exp are 0, 1, 2, 3, 4, 5, 6, got '7'"):
        run(capsys, seeds="7")
