"""A changed file: what is printed, what runs, what is kept, and when a sweep asks first."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

import pytest
from sweep_stand_in import TEXT, StandIn, make_stand_in
from typer.testing import CliRunner

from segbench.cli.app import app
from segbench.cli.report import report
from segbench.cli.sweep import sweep
from segbench.config.load import load_experiment
from segbench.errors import ExperimentError, Interrupted
from segbench.store.trials import read_trial

NORMS = "norm: {levels: {BN: batch, none: none}}"
RATES = "lr: {path: optimizer.lr, levels: [1e-3, 1e-2]}"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    return make_stand_in(tmp_path, monkeypatch)


def run(capsys: pytest.CaptureFixture[str], name: str = "exp", **options: object) -> list[str]:
    """Sweep; return what was said of changes."""
    with suppress(Interrupted):  # where the stand-in was asked to stop
        sweep(name, device="cpu", no_study=True, **options)  # type: ignore[arg-type]
    return changes_in(capsys.readouterr().out)


def changes_in(out: str) -> list[str]:
    lines = out.splitlines()
    if "changed since the last sweep:" not in lines:
        return []
    after = lines[lines.index("changed since the last sweep:") + 1 :]
    return [line.strip() for line in takewhile(lambda line: line.startswith("  "), after)]


def changed(old: str, new: str, text: str = TEXT) -> str:
    assert old in text
    return text.replace(old, new)


def test_an_unchanged_file_says_nothing(project: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys) == []
    assert run(capsys) == []


@pytest.mark.parametrize(
    ("old", "new", "said", "num_run"),
    [
        ("seeds: 2", "seeds: 3", ["seeds: 2 -> 3", "new: 2 trials"], 2),
        (
            "none: none}",
            "none: none, dy: dyt}",
            ["norm: level added: dy", "new: 2 trials"],
            2,
        ),
        (
            "BN: batch",
            "batch norm: batch",
            ["norm: level renamed: BN -> batch norm", "every trial stays as it is"],
            0,
        ),
        (
            ", none: none}",
            "}",
            [
                "norm: level removed: none",
                "kept, no longer in the design, not reported: 2 trials",
            ],
            0,
        ),
        (
            "seeds: 2",
            "seeds: 1",
            ["seeds: 2 -> 1", "kept, no longer in the design, not reported: 2 trials"],
            0,
        ),
        (
            "seeds: 2",
            "seeds: 2\nmargin: 0.01\nclaims: [{norm: BN > none}]",
            [
                "margin: null -> 0.01 (verdicts change, no trial does)",
                "claim added: norm: BN > none",
                "every trial stays as it is",
            ],
            0,
        ),
        (
            "  norm: {",
            "  lr: {path: optimizer.lr, levels: [1e-3, 1e-2]}\n  norm: {",
            ["axis added: lr (1e-3, 1e-2)", "new: 4 trials"],
            4,
        ),
        (
            "seeds: 2",
            "seeds: {start: 2, max: 4}",
            ["seeds: 2 -> looks at 2, 4", "every trial stays as it is"],
            None,
        ),
    ],
)
def test_growth_needs_no_consent(
    project: StandIn,
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    said: list[str],
    num_run: int | None,
) -> None:
    run(capsys)
    project.write(changed(old, new))
    assert run(capsys) == said
    if num_run is not None:
        assert sum(map(len, project.batches[1:])) == num_run


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("epochs: 1", "epochs: 2", "baseline: epochs 1 -> 2"),
        ("adam: {lr: 1e-3}", "adam: {lr: 1e-2}", "baseline: optimizer.adam.lr 0.001 -> 0.01"),
        ("none: none", "none: group", "norm: level none means something else: norm none -> norm group"),
    ],
)
def test_what_leaves_finished_trials_behind_needs_consent(
    project: StandIn, capsys: pytest.CaptureFixture[str], old: str, new: str, said: str
) -> None:
    run(capsys)
    document = project.folder().experiment_yaml.read_bytes()
    project.write(changed(old, new))
    num_left = 2 if "none" in old else 4
    with pytest.raises(ExperimentError) as error:
        run(capsys)
    assert said in changes_in(capsys.readouterr().out)
    assert str(error.value) == (
        "exp: the baseline or a level means something else than at the last sweep, which leaves "
        f"{num_left} finished trials behind. --supersede goes on in the same folder: they are kept, listed "
        "and not reported; --as NAME runs the changed file under another name and leaves these results as "
        "they are."
    )
    assert len(project.batches) == 1
    assert project.folder().experiment_yaml.read_bytes() == document
    lines = run(capsys, supersede=True)
    assert f"superseded, kept and not reported: {num_left} trials" in lines
    assert len(project.batches[-1]) == num_left
    assert len(list(project.folder().trial_folders())) == 4 + num_left
    assert run(capsys) == []  # consent is asked for once


def test_plan_says_that_a_sweep_would_refuse(project: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys)
    project.write(changed("epochs: 1", "epochs: 2"))
    done = CliRunner().invoke(app, ["plan", "exp"])
    assert done.exit_code == 2
    assert "baseline: epochs 1 -> 2" in done.stdout
    assert "--supersede goes on in the same folder" in done.stderr
    content = json.loads(CliRunner().invoke(app, ["plan", "exp", "--json"]).stdout)
    assert content["changes"] == [
        "baseline: epochs 1 -> 2",
        "new: 4 trials",
        "superseded, kept and not reported: 4 trials",
    ]


def test_trials_that_never_finished_need_no_consent(
    project: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    project.stops_after = 0
    run(capsys)
    project.stops_after = None
    project.write(changed("epochs: 1", "epochs: 2"))
    assert run(capsys) == ["baseline: epochs 1 -> 2", "new: 4 trials"]


def test_a_smoke_test_needs_no_consent(project: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, smoke=True)
    project.write(changed("adam: {lr: 1e-3}", "adam: {lr: 1e-2}"))
    assert "superseded, kept and not reported: 2 trials" in run(capsys, smoke=True)


def test_another_name_leaves_the_results_as_they_are(
    project: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys)
    before = {p: p.read_bytes() for p in sorted(project.folder().root.rglob("*")) if p.is_file()}
    project.write(changed("epochs: 1", "epochs: 2"))
    run(capsys, as_="longer")
    assert [len(batch) for batch in project.batches] == [4, 4]
    assert {p: p.read_bytes() for p in before} == before
    assert all(read_trial(f).experiment == "longer" for f in project.folder("longer").trial_folders())
    for words in (
        ["status", "exp", "--as", "longer"],
        ["plan", "exp", "--as", "longer"],
        ["status", "longer"],
    ):
        done = CliRunner().invoke(app, words, catch_exceptions=False)
        assert done.exit_code == 0
    report("exp", as_="longer", no_pdf=True)
    assert (project.root / "reports" / "longer" / "report.md").is_file()
    assert not (project.root / "reports" / "exp").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../x", "--as: an experiment's name begins with"),
        (".hidden", "--as: an experiment's name begins with"),
        ("a/b", "--as: an experiment's name cannot hold /"),
        ("", "--as: an experiment's name begins with"),
        ("x_smoke", "--as: a name must not end in _smoke: smoke tests do, got 'x_smoke'"),
        ("other", "--as: experiments/other.yaml has this name, got 'other'"),
        ("other_small", "--as: this is the scale small of experiments/other.yaml, got 'other_small'"),
    ],
)
def test_another_name_must_be_free_and_safe(project: StandIn, name: str, said: str) -> None:
    project.write(TEXT + "scales: {small: {seeds: 1}}\n", "other")
    with pytest.raises(ExperimentError) as error:
        load_experiment("exp", name=name)
    assert said in str(error.value)
    assert load_experiment("exp", name="exp-2.1").name == "exp-2.1"
    assert load_experiment("other", scale="small", name="other_small").name == "other_small"


def test_results_whose_file_is_gone_keep_their_name(
    project: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write(changed("Does it matter?", "Does the rate matter?", changed(NORMS, RATES)), "old")
    run(capsys, "old")
    (project.root / "experiments" / "old.yaml").unlink()
    record = project.folder("old").experiment_yaml
    before = record.read_bytes()
    for command in ("plan", "sweep", "status", "report"):
        done = CliRunner().invoke(app, [command, "exp", "--as", "old"])
        assert isinstance(done.exception, ExperimentError)
        assert str(done.exception) == (
            "--as: results/old has the results of another experiment, got 'old'. "
            "It asked: Does the rate matter? Choose another name."
        )
    assert record.read_bytes() == before


@pytest.mark.parametrize(("old", "new"), [("Does it matter?", "Does it, then?"), (NORMS, RATES)])
def test_a_name_goes_on_after_the_file_was_changed_again(
    project: StandIn, capsys: pytest.CaptureFixture[str], old: str, new: str
) -> None:
    project.write(changed("epochs: 1", "epochs: 2"))
    run(capsys, as_="longer")
    project.write(changed(old, new, changed("epochs: 1", "epochs: 2")))
    run(capsys, as_="longer")
    assert load_experiment("longer").document == load_experiment("exp").document


def test_an_arm_that_a_reviewer_asks_for_trains_its_trials_alone(
    project: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys)
    project.write("extends: exp.yaml\naxes: {norm: {levels: {dy: dyt}}}\n", "revision")
    run(capsys, "revision")
    assert project.batches[-1] == [("dy", 0), ("dy", 1)]
    records = [read_trial(folder) for folder in project.folder("revision").trial_folders()]
    sources = {record.reused_from for record in records}
    assert sources == {None, *(f"exp/{folder.hash}" for folder in project.folder().trial_folders())}
    assert {(r.levels["norm"], r.seed) for r in records} == {
        (n, s) for n in ("BN", "none", "dy") for s in (0, 1)
    }
    assert run(capsys, "revision") == []
    assert len(project.batches) == 2


def test_code_of_a_variant_that_changed_needs_consent(
    project: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    own = project.root / "axes" / "norm" / "mine.py"
    own.parent.mkdir(parents=True)
    own.write_text(VARIANT)
    project.write(changed("none: none", "mine: mine"))
    run(capsys)
    own.write_text(VARIANT + "# better\n")
    with pytest.raises(ExperimentError, match="which leaves 2 finished trials behind"):
        run(capsys)
    project.stops_after = 1
    run(capsys, supersede=True)
    project.stops_after = None
    assert run(capsys) == []
    assert [len(batch) for batch in project.batches] == [4, 1, 1]


VARIANT = '''"""A norm of my own."""

from torch import nn

from segbench.axes.norm import variant


@variant
def mine(channels: int) -> nn.Module:
    """Do nothing."""
    return nn.Identity()
'''


def test_results_of_an_older_file_keep_their_values(
    project: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    def second(levels: Mapping[str, str], seed: int) -> float:
        return 0.1

    run(capsys)
    before = {f.hash: f.record.read_bytes() for f in project.folder().trial_folders()}
    project.dice = second
    project.write(changed("epochs: 1", "epochs: 2"))
    run(capsys, supersede=True)
    project.write(TEXT)
    run(capsys, supersede=True)  # back again: the first trials are there
    assert len(project.batches) == 2
    assert {hash: project.folder().trial(hash).record.read_bytes() for hash in before} == before
