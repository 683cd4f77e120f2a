"""The world changes under a sweep: clocks, hosts, other sweeps, the experiment's file, code, images."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chaos.counts import count
from chaos.harness import PATIENCE_S, SMALL, Project, wait_until
from command_line import command
from PIL import Image

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600)]


def has_begun(project: Project) -> bool:
    return any(project.folder.trials.glob("*/epochs.csv"))


def test_the_clock_is_set_back_an_hour(project: Project, small: dict[str, Any]) -> None:
    """All processes see it jump back in the middle of trials, and never come forward again."""
    switch = project.root / "behind"
    sweep = project.start(CHAOS_CLOCK=str(switch))
    assert wait_until(lambda: has_begun(project)), project.said
    switch.touch()
    assert sweep.wait(timeout=PATIENCE_S) == 0, project.said
    records = [json.loads(t.record.read_text()) for t in project.trials()]
    assert any(r["finished"] < r["started"] for r in records)  # the jump was seen
    count("fault", "the clock set back an hour in the middle")
    project.assert_whole(small)


def test_a_host_that_vanishes_with_its_lease(project: Project, small: dict[str, Any]) -> None:
    """A claim made elsewhere, whose counter stands still, is taken over after a while."""
    stopped = project.start()
    assert wait_until(lambda: has_begun(project)), project.said
    held = list(project.folder.trials.glob("*/lease.*"))
    for pid in [stopped.pid, *project.processes()]:
        subprocess.run(["kill", "-9", str(pid)], check=False)
    stopped.wait()
    project.wait_for_orphans()
    held = [p for p in held if p.exists()]
    assert held
    for claim in held:  # as another host would have written it
        content = json.loads(claim.read_text())
        claim.write_text(json.dumps({**content, "place": "0" * 16}))
    done = project.sweep(SEGBENCH_LEASE_S="3")
    assert done.returncode == 0, done.stdout + done.stderr
    count("fault", "a host that vanished with its claims", 1)
    project.assert_whole(small)


def test_garbage_as_a_claim(project: Project, small: dict[str, Any]) -> None:
    assert project.sweep().returncode == 0
    for trial, content in zip(project.trials(), [b"", b"\xff\xfe{", b'{"token": 1}', b"[]"], strict=True):
        trial.record.unlink()
        trial.lease(3).write_bytes(content)
        count("damage", "lease.<n>: taken over when it stood still")
    done = project.sweep(SEGBENCH_LEASE_S="3")
    assert done.returncode == 0, done.stdout + done.stderr
    project.assert_whole(small)


def test_two_supervisors(project: Project, small: dict[str, Any]) -> None:
    """One wins, the other says whose the sweep is; both started in the same instant."""
    said = [(project.root / f"said-{n}.txt") for n in range(2)]
    both = []
    for file in said:
        with file.open("w") as out:
            both.append(
                subprocess.Popen(
                    command("sweep", "tiny", "--workers", "2", "--threads", "1", "--device", "cpu"),
                    cwd=project.root,
                    env=project.environment(),
                    stdout=out,
                    stderr=subprocess.STDOUT,
                )
            )
    codes = [each.wait(timeout=PATIENCE_S) for each in both]
    assert sorted(codes) == [0, 3], [file.read_text() for file in said]
    refused = said[codes.index(3)].read_text()
    assert "a sweep of this experiment is running already, process" in refused
    count("fault", "two supervisors at once")
    project.assert_whole(small)


def test_the_experiment_is_edited_while_it_runs(project: Project, small: dict[str, Any], data: Path) -> None:
    """A sweep runs what it was started with; the next one what the file says then."""
    sweep = project.start()
    assert wait_until(lambda: has_begun(project)), project.said
    project.yaml.write_text("question: [unfinished\n")  # as an editor may leave it for a moment
    assert wait_until(lambda: "[2/4]" in project.said), project.said
    project.yaml.write_text(SMALL.replace("seeds: 2", "seeds: 3"))
    assert sweep.wait(timeout=PATIENCE_S) == 0, project.said
    count("fault", "an experiment's file edited while it ran")
    project.assert_whole(small)
    done = project.sweep()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 to run, 4 done" in done.stdout
    assert {k: v for k, v in project.records().items() if k in small and k != "index.csv"} == {
        k: v for k, v in small.items() if k != "index.csv"
    }


def test_a_users_code_is_edited_while_it_runs(project: Project, small: dict[str, Any]) -> None:
    """No record is accepted that other code has computed than the plan knows."""
    sweep = project.start(workers=1)
    assert wait_until(lambda: has_begun(project)), project.said
    augment = project.root / "axes" / "augment" / "slow_flips.py"
    text = augment.read_text()
    augment.write_text(text.replace("seed % 2", "seed % 3"))
    worker = next(pid for pid in project.processes() if pid != sweep.pid)
    subprocess.run(["kill", "-9", str(worker)], check=False)  # the next one imports the new code
    assert sweep.wait(timeout=PATIENCE_S) == 3, project.said
    why = "the code is not that of the plan any more (your own: model/slow_unet, augment/slow_flips)"
    assert why in project.said, project.said
    assert "complete" not in project.states()
    augment.write_text(text)
    count("fault", "a user's code edited while it ran")
    project.finish(small)


def make_images(folder: Path, seed: int) -> None:
    """Write 12 images of 32 px with masks."""
    draw = np.random.default_rng(seed)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number in range(12):
        mask = np.zeros((32, 32), np.uint8)
        row, column = draw.integers(4, 16, 2)
        mask[row : row + 12, column : column + 12] = 255
        image = draw.integers(0, 90, (32, 32, 3)) + mask[..., None] // 2
        Image.fromarray(image.astype(np.uint8)).save(folder / "images" / f"{number:02}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number:02}.png")


def test_an_image_disappears(tmp_path: Path, data: Path) -> None:
    """What needs it fails, what does not is run; back again, `--retry failed` completes."""
    text = SMALL.replace(
        "dataset: {shapes: {num_train: 16, num_val: 8, num_test: 8, size_px: 32}}",
        "dataset: {folder: {images: a/images, masks: a/masks, size_px: 32}}\n"
        "  split: {fraction: {val: 0.25, test: 0.25}}",
    ).replace(
        "axes:\n  norm: [batch, none]\n",
        "axes:\n  dataset:\n    levels:\n"
        "      a: {folder: {images: a/images, masks: a/masks, size_px: 32}}\n"
        "      b: {folder: {images: b/images, masks: b/masks, size_px: 32}}\n",
    )
    twins = [Project(tmp_path / name, data, text) for name in ("calm", "project")]
    for twin in twins:
        make_images(twin.root / "a", 1)
        make_images(twin.root / "b", 2)
    calm, project = twins
    done = calm.sweep(workers=1)
    assert done.returncode == 0, done.stdout + done.stderr
    sweep = project.start(workers=1)
    assert wait_until(lambda: has_begun(project)), project.said
    image = project.root / "b" / "images" / "07.png"
    shutil.move(image, tmp_path / "07.png")
    assert sweep.wait(timeout=PATIENCE_S) == 3, project.said
    records = [json.loads(t.record.read_text()) for t in project.trials()]
    failed = [r for r in records if r["state"] == "failed"]
    assert {r["levels"]["dataset"] for r in failed} == {"b"}
    assert {r["failure"] for r in failed} == {"data"}
    why = "the files have changed since the sweep was planned"
    assert all(why in r["reason"] for r in failed), [r["reason"] for r in failed]
    assert sum(r["state"] == "complete" for r in records) == 2
    assert why in project.said
    shutil.move(tmp_path / "07.png", image)
    done = project.sweep("--retry", "failed", workers=1)
    assert done.returncode == 0, done.stdout + done.stderr
    count("fault", "an image that disappeared")
    project.assert_whole(calm.records())
