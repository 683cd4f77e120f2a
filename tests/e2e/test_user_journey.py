"""A data set of one's own, from two folders to a report, by commands alone."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

REPOSITORY = Path(__file__).parents[2]
HAS_TENSORBOARD = importlib.util.find_spec("tensorboard") is not None


def segbench(project: Path, *words: str, code: int = 0) -> str:
    """Run a command in a project and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "segbench", *words],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "SEGBENCH_CACHE": str(project / ".cache")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == code, f"{words}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def draw_data_set(folder: Path) -> None:
    """Write 24 JPEGs of six patients in three sizes, and PNG masks called NAME_mask with values 0 and 255."""
    (folder / "scans").mkdir(parents=True)
    (folder / "labels").mkdir()
    rng = np.random.default_rng(0)
    for number in range(24):
        width, height = [(48, 40), (64, 64), (40, 56)][number % 3]
        noise = Image.fromarray(rng.integers(0, 90, (height, width, 3), dtype=np.uint8))
        mask = Image.new("L", (width, height), 0)
        left, top = (int(v) for v in rng.integers(2, 12, 2))
        box = (left, top, left + 22, top + 20)
        ImageDraw.Draw(noise).ellipse(box, fill=(200, 160, 120))
        ImageDraw.Draw(mask).ellipse(box, fill=255)
        noise.save(folder / "scans" / f"patient{number % 6}_slice{number}.jpg", quality=95)
        mask.save(folder / "labels" / f"patient{number % 6}_slice{number}_mask.png")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after init, a smoke sweep and its report."""
    project = tmp_path_factory.mktemp("my project")
    draw_data_set(project / "raw")
    words = ["--images", "raw/scans", "--masks", "raw/labels", "--group", r"(patient\d+)", "--size-px", "32"]
    said = segbench(project, "init", "my_study", *words)
    assert "24" in said.split("images")[1].split("\n")[0]
    logged = ["--log", "tensorboard"] if HAS_TENSORBOARD else []
    segbench(project, "sweep", "my_study", "--smoke", "--device", "cpu", *logged)
    segbench(project, "report", "my_study", "--smoke", "--no-pdf")
    return project


def test_init_writes_a_file_that_plans(project: Path) -> None:
    plan = json.loads(segbench(project, "plan", "my_study", "--json"))
    assert plan["experiment"] == "my_study"
    written = (project / "experiments" / "my_study.yaml").read_text()
    assert written.startswith("# yaml-language-server: $schema=")
    assert str(project) not in written, "paths in an experiment are relative, so that it runs elsewhere"


def test_init_does_not_overwrite(project: Path) -> None:
    before = (project / "experiments" / "my_study.yaml").read_bytes()
    assert "my_study" in segbench(project, "init", "my_study", code=2)
    assert (project / "experiments" / "my_study.yaml").read_bytes() == before


@pytest.mark.skipif(not HAS_TENSORBOARD, reason="tensorboard (an extra) is not installed")
def test_the_sweep_has_logged_every_trial(project: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    results = project / "results" / "my_study_smoke"
    for trial in sorted((results / "trials").iterdir()):
        (run,) = (results / "tensorboard").glob(f"*_{trial.name}")
        events = EventAccumulator(str(run))
        events.Reload()
        record = json.loads((trial / "trial.json").read_text())
        assert len(events.Scalars("val_dice")) == record["epochs_done"]
        assert events.Scalars("test_dice")[0].value == pytest.approx(record["test"]["dice"], rel=1e-6)
        assert events.Images("test_images")
    said = segbench(project, "results", "log", "my_study_smoke", "--to", "tensorboard")
    assert said.startswith("my_study_smoke: 0 of 4 trials written")


def test_the_sweep_leaves_complete_records(project: Path) -> None:
    trials = sorted((project / "results" / "my_study_smoke" / "trials").iterdir())
    assert len(trials) == 4
    for trial in trials:
        record = json.loads((trial / "trial.json").read_text())
        assert record["state"] == "complete"
        assert record["levels"].keys() == {"norm", "flips"}
        assert len((trial / "epochs.csv").read_text().splitlines()) == 1 + record["epochs_done"]
        assert (trial / "images.csv.gz").stat().st_size > 0
        assert str(project) not in (trial / "trial.json").read_text()


def test_a_second_sweep_has_nothing_to_do(project: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in (project / "results").rglob("trial.json")}
    said = segbench(project, "sweep", "my_study", "--smoke", "--device", "cpu")
    assert "segbench report my_study" in said
    assert {p: p.stat().st_mtime_ns for p in (project / "results").rglob("trial.json")} == before


def test_the_report_answers_the_question(project: Path) -> None:
    folder = project / "reports" / "my_study_smoke"
    page = (folder / "report.html").read_text()
    assert "Do batch normalisation and flips help here?" in page
    assert "http://" not in page.replace("http://www.w3.org/", "")
    for name in ("report.md", "report.tex", "style.yaml"):
        assert (folder / name).stat().st_size > 0
    assert list(folder.glob("figures/*.png"))
    assert list(folder.glob("figures/*.svg"))
    assert list(folder.glob("tables/*.tex"))


def test_a_copy_of_the_results_alone_can_be_reported(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project / "results", tmp_path / "results", ignore=shutil.ignore_patterns("*.pt"))
    segbench(tmp_path, "report", "my_study_smoke", "--no-pdf")
    assert (tmp_path / "reports" / "my_study_smoke" / "report.html").stat().st_size > 0


def test_a_saved_trial_predicts_and_evaluates(project: Path) -> None:
    trial = next((project / "results" / "my_study_smoke" / "trials").iterdir())
    image = next((project / "raw" / "scans").iterdir())
    segbench(project, "predict", trial.name, str(image), "--out", "out")
    with Image.open(project / "out" / f"{image.stem}_mask.png") as mask, Image.open(image) as photograph:
        assert mask.mode == "L"
        assert mask.size == photograph.size
        assert set(np.unique(np.asarray(mask))) <= {0, 255}
    assert "They are the same to the last digit of the record." in segbench(project, "evaluate", trial.name)


def test_status_counts_the_trials(project: Path) -> None:
    said = segbench(project, "status", "my_study", "--smoke")
    assert "complete" in said or "done" in said
    json.loads(segbench(project, "status", "my_study", "--smoke", "--json"))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("grad_clip: 1.0", "grad_clipp: 1.0", "Did you mean 'grad_clip'?"),
        ("norm: [batch, none]", "norm: [batch, groop]", "Did you mean 'group'?"),
        ("batch_size: 8 ", "batch_size: true ", "batch_size"),
        ("flips: on > off", "flips: on > of", "'of'"),
        ('images: "raw/scans"', 'images: "raw/none"', "raw/none"),
    ],
)
def test_a_mistake_is_named_with_its_place(project: Path, old: str, new: str, expected: str) -> None:
    text = (project / "experiments" / "my_study.yaml").read_text()
    assert old in text
    broken = project / "experiments" / "broken.yaml"
    broken.write_text(text.replace(old, new))
    try:
        said = segbench(project, "sweep", "broken", "--device", "cpu", code=2)
    finally:
        broken.unlink()
    assert expected in said
    assert "broken.yaml" in said or "raw/none" in said
    assert not (project / "results" / "broken").exists()
