"""The block `slurm:`: its keys, its mistakes, and that it is no part of what an experiment is."""

from __future__ import annotations

from pathlib import Path

import pytest

from segbench.config.experiment import Experiment
from segbench.config.load import load_experiment
from segbench.config.slurm import defaults
from segbench.errors import ExperimentError

HEAD = """\
question: Which?
baseline: {dataset: shapes, epochs: 2}
axes: {norm: [batch, none]}
"""


def load(tmp_path: Path, block: str = "", **options: object) -> Experiment:
    file = tmp_path / "experiments" / "a.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(HEAD + block)
    return load_experiment(file, **options)  # type: ignore[arg-type]


def problems(tmp_path: Path, block: str, **options: object) -> list[str]:
    with pytest.raises(ExperimentError) as caught:
        load(tmp_path, block, **options)
    return [text.partition("a.yaml:")[2] or text for text in caught.value.problems]


def test_a_block_is_read_with_its_defaults(tmp_path: Path) -> None:
    block = "slurm: {partition: gpu, time: 1-02:30:10, memory_gib: 16, extra: {constraint: a100}}\n"
    assert load(tmp_path, block).slurm == {
        "partition": "gpu",
        "account": None,
        "qos": None,
        "workers": 1,
        "gpus": 1,
        "cpus": 4,
        "memory_gib": 16,
        "time": 24 * 60 + 151,
        "notice_s": 120,
        "requeue": True,
        "setup": [],
        "extra": {"constraint": "a100"},
    }
    assert load(tmp_path).slurm == {}
    assert defaults()["notice_s"] == 120


@pytest.mark.parametrize(("written", "minutes"), [("90", 90), ("8:00:00", 480), ("0:00:30", 1)])
def test_time_is_in_minutes(tmp_path: Path, written: str, minutes: int) -> None:
    slurm = load(tmp_path, f"slurm: {{time: {written}}}\n").slurm
    assert slurm["time"] == minutes
    assert slurm["notice_s"] == min(120, 15 * minutes)


def test_every_mistake_is_told_at_its_place(tmp_path: Path) -> None:
    block = """\
slurm:
  partition: 3
  tim: 4
  time: 8:00
  gpus: 2
  cpus: true
  workers: 0
  setup: [module load cuda, 3]
  extra: {q: null}
"""
    found = problems(tmp_path, block)
    assert found == [
        "5:14: partition must be text, got 3.",
        found[1],
        "7:9: time must be minutes (90) or text such as 8:00:00 or 1-12:00:00, got '8:00'.",
        "8:9: gpus must be at most 1, got 2.",
        "9:9: cpus must be a whole number, got True.",
        "10:12: workers must be greater than 0, got 0.",
        "11:29: setup must be text, got 3.",
        "12:14: q must be text, a number, or true for an option without a value, got None.",
    ]
    assert found[1].startswith("6:3: there is no such key, got 'tim'. Did you mean 'time'?")


def test_parts_must_go_together(tmp_path: Path) -> None:
    block = "slurm: {time: 1, notice_s: 60, extra: {constraint: a100, --mem: 3G, J: x}}\n"
    assert problems(tmp_path, block) == [
        "4:28: notice_s must be shorter than time (60 s), got 60.",
        "4:58: segbench sets this option of sbatch, got '--mem'. The key `memory_gib` of `slurm` sets it.",
        "4:69: segbench sets this option of sbatch, got 'J'.",
    ]


def test_the_block_changes_neither_experiment_nor_trials(tmp_path: Path) -> None:
    without = load(tmp_path)
    with_block = load(tmp_path, "slurm: {partition: gpu}\n")
    assert with_block.document == without.document
    assert with_block.cells == without.cells


def test_options_lie_over_the_block(tmp_path: Path) -> None:
    asked = load(tmp_path, "slurm: {partition: gpu, time: 60}\n", slurm=["time=2:00:00", "workers=3"]).slurm
    assert (asked["partition"], asked["time"], asked["workers"]) == ("gpu", 120, 3)
    assert load(tmp_path, slurm=["partition=cpu"]).slurm["partition"] == "cpu"
    assert load(tmp_path).slurm == {}
    assert problems(tmp_path, "", slurm=["time=soon", "workers"]) == [
        "--slurm time=soon: time must be minutes (90) or text such as 8:00:00 or 1-12:00:00, got 'soon'.",
        "--slurm workers: write --slurm KEY=VALUE, such as --slurm time=2:00:00.",
    ]


def test_a_scale_has_its_own_block(tmp_path: Path) -> None:
    block = "slurm: {partition: gpu}\nscales: {small: {slurm: {partition: cpu, gpus: 0}}}\n"
    small = load(tmp_path, block, scale="small")
    assert (small.slurm["partition"], small.slurm["gpus"]) == ("cpu", 0)
