from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from messages import said

import segbench
from segbench import memory
from segbench.config import load
from segbench.config.experiment import Experiment
from segbench.config.load import experiment_names, load_experiment
from segbench.config.project import Project
from segbench.errors import ExperimentError

Write = Callable[..., Path]
ROOT = Path(segbench.__file__).parents[1]

TEXT = """\
question: q
baseline: {dataset: {shapes: {size_px: 32}}, augment: [HorizontalFlip], early_stopping: {patience: 1}}
axes: {norm: [batch, none]}
margin: 0.01
claims: [{norm: batch / none, metric: epoch_time_s, between: [1, 2]}, {text: words}]
"""
SEARCH = """\
question: q
baseline: {dataset: shapes}
search: {space: {norm: [batch, none], lr: {path: optimizer.lr, low: 1e-5, high: 1}}, trials: 3}
"""


def test_a_name_is_looked_up_in_the_project_around(
    write: Write, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(TEXT)
    (project / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(project / "deep" / "er")
    found = load_experiment("x")
    assert (found.name, found.source, found.project.root) == ("x", file, project)
    assert load_experiment("../../experiments/x.yaml") == found
    assert load_experiment(file, start=project.parent) == found
    assert load_experiment("x", start=project) == found


@pytest.mark.parametrize("name", ["spa ce", "do.t", "ünï"])
def test_odd_names_of_files(write: Write, name: str) -> None:
    write(TEXT, name)
    assert load_experiment(name).name == name
    assert load_experiment(f"experiments/{name}.yaml").name == name


@pytest.mark.parametrize("name", ["it's", 'quo"te', "new\nline"])
def test_names_that_no_report_can_take_are_refused(write: Write, name: str) -> None:
    write(TEXT, name)
    with pytest.raises(ExperimentError, match="an experiment's name"):
        load_experiment(name)


def test_unknown_names_and_paths(write: Write) -> None:
    write(TEXT, "norm_study")
    write(TEXT, "flips")
    for asked, problem in {
        "norm_stdy": "experiments: there is no experiment of this name, got 'norm_stdy'. "
        "Did you mean 'norm_study'?",
        "norm_study_big": "experiments: there is no experiment of this name, got 'norm_study_big'. "
        "Did you mean 'norm_study'?",
        "experiments/flip.yaml": "experiments/flip.yaml: there is no such file, got 'flip.yaml'. "
        "Did you mean 'flips.yaml'?",
        "nowhere/x.yaml": "nowhere/x.yaml: there is no such file, got 'x.yaml'.",
    }.items():
        with pytest.raises(ExperimentError) as caught:
            load_experiment(asked)
        assert tuple(map(said, caught.value.problems)) == (problem,)


def test_a_project_without_experiments(project: Path) -> None:
    with pytest.raises(ExperimentError) as caught:
        load_experiment("x")
    assert caught.value.problems == (
        "experiments: there is no experiment of this name, got 'x'. "
        "There is no experiment in experiments; `segbench init` makes one.",
    )
    assert experiment_names(Project(project)) == ()


def test_the_record_has_one_scale(write: Write, project: Path) -> None:
    record = project / "results" / "y" / "experiment.yaml"
    record.parent.mkdir(parents=True)
    record.write_text(TEXT)
    with pytest.raises(ExperimentError) as caught:
        load_experiment(record, scale="small")
    assert caught.value.problems == (
        "results/y/experiment.yaml: the record beside results has one scale, the one it was run at, "
        "got 'small'.",
    )


@pytest.mark.parametrize("text", [TEXT, SEARCH])
def test_an_experiment_survives_json(write: Write, text: str) -> None:
    write(text)
    found = load_experiment("x", overrides=["epochs=2"])
    written = json.loads(json.dumps(load.experiment_to_json(found)))
    assert load.experiment_from_json(written, found.project) == found


def entries() -> list[Path]:
    return sorted(memory.user_folder().glob("*"))


def test_a_right_file_is_remembered_until_it_changes(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(TEXT)
    first = load_experiment("x")
    assert [entry.suffix for entry in entries()] == [".json"]
    calls: list[str] = []
    monkeypatch.setattr("segbench.config.load._read_all", lambda *a: calls.append("read") or (first, []))
    assert load_experiment("x") == first
    assert calls == []
    load_experiment("x", overrides=["epochs=2"])
    write(TEXT.replace("0.01", "0.02"))
    load_experiment("x")
    assert calls == ["read", "read"]


def test_a_change_of_an_extended_file_counts(write: Write) -> None:
    write(TEXT, "base")
    write("extends: base\nseeds: 1", "more")
    assert load_experiment("more").margin == 0.01
    write(TEXT.replace("0.01", "0.02"), "base")
    assert load_experiment("more").margin == 0.02


def test_wrong_files_are_not_remembered(write: Write) -> None:
    write(TEXT.replace("batch,", "bach,"))
    with pytest.raises(ExperimentError):
        load_experiment("x")
    assert entries() == []


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b"\xff", b'{"files": {}, "experiment": {"name": 1}}'])
def test_a_damaged_entry_is_as_good_as_none(write: Write, damage: bytes) -> None:
    write(TEXT)
    first = load_experiment("x")
    (entry,) = entries()
    entry.write_bytes(damage)
    assert load_experiment("x") == first
    assert len(entry.read_bytes()) > 1000


def test_an_entry_under_another_ones_name_is_as_good_as_none(write: Write, project: Path) -> None:
    write(TEXT)
    load_experiment("x")
    (kept,) = entries()
    content = kept.read_bytes()
    write(TEXT.replace("epochs: ", "epochs: 1"))
    second = load_experiment("x")
    for entry in entries():
        entry.write_bytes(content)
    write(TEXT)
    (project / "experiments" / "y.yaml").write_text(TEXT.replace("epochs: ", "epochs: 1"))
    load_experiment("y")
    for entry in entries():
        entry.write_bytes(content)
    assert load_experiment("y").baseline == second.baseline


def test_a_memory_that_cannot_be_written_is_no_problem(
    write: Write, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "file").write_text("")
    monkeypatch.setenv("SEGBENCH_CACHE", str(project / "file" / "cache"))
    write(TEXT)
    assert load_experiment("x") == load_experiment("x")


HEAVY = ("torch", "cv2", "albumentations", "numpy", "pandas", "optuna")


def loaded_in_a_fresh_process() -> tuple[int, set[str]]:
    """Return how many trials `x` has, and what a new process imported to find that out."""
    code = (
        "import sys\n"
        "from segbench.config.expand import expand\n"
        "from segbench.config.load import load_experiment\n"
        "print(len(expand(load_experiment('x'))))\n"
        "print(*sys.modules)\n"
    )
    lines = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ).stdout.splitlines()
    return int(lines[0]), set(lines[1].split())


def test_the_file_of_the_readme_needs_neither_torch_nor_image_libraries(write: Write) -> None:
    found = re.search(
        r"```yaml\n(question:.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    assert found is not None
    write(found[1])
    num_trials, modules = loaded_in_a_fresh_process()
    assert (num_trials, modules & set(HEAVY)) == (30, set())
    assert "pydantic" in modules  # it was read, not remembered


def test_a_remembered_file_needs_no_heavy_import(write: Write) -> None:
    write(TEXT)
    load_experiment("x")
    num_trials, modules = loaded_in_a_fresh_process()
    assert (num_trials, modules & {*HEAVY, "pydantic", "annotated_types", "yaml"}) == (6, set())


LOOKS = """
question: q
baseline: {{dataset: {{shapes: {{size_px: 32}}}}, model: {{unet: {{width: 4}}}}}}
axes: {{norm: [batch, none]}}
seeds: {seeds}
"""


@pytest.mark.parametrize(
    ("seeds", "looks"),
    [
        ("{start: 3, max: 10, looks: [3, 5, 10]}", (3, 5, 10)),
        ("{start: 2, max: 4}", (2, 4)),
        ("3", ()),
        ("[2, 5]", ()),
    ],
)
def test_seeds_may_grow_from_look_to_look(
    load: Callable[..., Experiment], seeds: str, looks: tuple[int, ...]
) -> None:
    for _ in range(2):  # the second time remembered
        experiment = load(LOOKS.format(seeds=seeds))
        assert experiment.looks == looks
        if looks:
            assert experiment.seeds == tuple(range(looks[-1]))
            assert experiment.first_seeds(looks[0]).seeds == tuple(range(looks[0]))


def test_a_smoke_test_has_no_looks(load: Callable[..., Experiment]) -> None:
    experiment = load(LOOKS.format(seeds="{start: 3, max: 5}"), smoke=True)
    assert (experiment.seeds, experiment.looks) == ((0,), ())


def test_set_may_give_looks(load: Callable[..., Experiment]) -> None:
    experiment = load(LOOKS.format(seeds="3"), overrides=["seeds={start: 2, max: 6}"])
    assert experiment.looks == (2, 6)
