"""The speed benchmark runs: every side measures once on tiny images; its tables say what was measured."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks import naive, pets, speed, speed_cuda
from benchmarks.measured_sides import SIDES
from benchmarks.sides import Setting, Side, in_turn


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pets")
    patch = pytest.MonkeyPatch()
    patch.setattr(pets, "find_shared", lambda: None)
    made = pets.make_pets(root, most_trainval=20, most_test=4)
    patch.undo()
    assert made.words == (
        "500 x 375 JPEG quality 95 and PNG trimaps, synthesised from scenes drawn by segbench "
        "(shared/data is missing)"
    )
    return root


@pytest.fixture(scope="module")
def setting(project: Path) -> Setting:
    return Setting(project, size_px=32, knobs={"width": 4}, steps=2)


@pytest.fixture(autouse=True)
def _threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", SIDES)
def test_every_side_measures(name: str, setting: Setting) -> None:
    images = {"items": 18, "step": 16, "epoch": 18, "test": 4}[name.split()[1]]
    with SIDES[name](setting) as measure:
        for _ in range(2):
            measured = measure()
            assert measured["images"] == images
    if name == "segbench epoch":
        assert 0 < measured["wait_s"] < measured["train_s"]


def test_both_sides_train_the_same_network_on_the_same_images(setting: Setting) -> None:
    from segbench.data import prepare
    from segbench.engine.run import Run

    config = speed_config(setting)
    data = prepare(config, pets_project(setting))
    run = Run(config, data, seed=0)
    theirs = naive.build_model("unet", width=4)
    assert sum(p.numel() for p in theirs.parameters()) == run.parameters
    names = naive.split(pets.pets_folder(setting.project))
    for part, numbers in data.split.items():
        assert names[part] == [data.samples[number].name for number in numbers]
    dataset = naive.Pets(pets.pets_folder(setting.project), names["val"], naive.eval_transform(32))
    image, mask = dataset[0]
    number = data.split["val"][0]
    assert (mask[0].numpy() == data.masks[number]).mean() > 0.9  # another way to resize
    ours = (data.images[number].astype("float32") / 255 - naive.MEAN) / naive.STD
    assert abs(image.permute(1, 2, 0).numpy() - ours).mean() < 0.25


def speed_config(setting: Setting):
    from benchmarks.measured_sides import trial_config

    return trial_config(setting)


def pets_project(setting: Setting):
    from segbench.config.project import Project

    return Project(setting.project)


def test_photographs_are_scaled_up_where_they_are(shared_data: Path, tmp_path: Path) -> None:
    made = pets.make_pets(tmp_path, most_trainval=3, most_test=2, shared=shared_data)
    assert (made.num_trainval, made.num_test) == (3, 2)
    assert "reduced copies scaled up" in made.words
    images = sorted((made.folder / "images").iterdir())
    trimaps = sorted((made.folder / "annotations" / "trimaps").iterdir())
    assert len(images) == len(trimaps) == 5
    for file in [*images, *trimaps]:
        with Image.open(file) as image:
            assert image.size == (500, 375)


def test_sides_are_processes_that_work_in_turn_and_say_what_failed(setting: Setting) -> None:
    sizes = {"few": replace(setting, batch_size=5), "broken": replace(setting, project=Path("/nowhere"))}
    with Side("naive items", sizes["few"], cores=1) as side:
        assert side._process.pid != os.getpid()
        found = in_turn({"few": side}, 2)["few"]
        assert [measured["images"] for measured in found] == [18, 18]
        assert all(measured["seconds"] > 0 for measured in found)
        process = side._process
    assert process.exitcode == 0
    with Side("naive items", sizes["broken"]) as side, pytest.raises(RuntimeError, match="No such file"):
        side.measure()


def test_rows_hold_medians_spread_and_verdict() -> None:
    row = speed.Ratio("step", (4.0, 6.0, 6.0), (2.0, 2.0, 3.0), 1.9, per=2).row()
    assert row == ["step", "3e+03 ms", "1e+03 ms", "2.00 (2.00 to 3.00, n = 3)", "≥ 1.9", "yes"]
    assert speed.Ratio("step", (4.0,), (4.0,), 1.9, unit="s").row()[1:] == [
        *("4 s", "4 s", "1.00 (1.00 to 1.00, n = 1)", "≥ 1.9", "no")
    ]
    assert speed.Ratio("test", (4.0,), (4.0,), None).row()[-2:] == ["", ""]
    assert speed.Waiting("wait", (0.01, 0.02, 0.5)).row()[2:] == [
        *("2.00% (1.00% to 50.00%, n = 3)", "", "< 3%", "yes")
    ]
    assert speed.Waiting("wait", (math.nan,)).row()[-1] == "no"


def test_the_table_has_every_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sides are stand-ins here; `test_every_side_measures` runs the real ones."""

    def compare(sides, plan, cores=None):
        measured = {"seconds": 1.0, "images": 10.0, "wait_s": 0.1, "train_s": 10.0}
        return {name: [measured] * plan.rounds for name in sides}

    made = pets.Pets(project, "made up", 20, 4)
    monkeypatch.setattr(speed, "_compare", compare)
    monkeypatch.setattr(speed, "make_pets", lambda *_, **__: made)
    monkeypatch.setattr(speed_cuda, "has_gpu", lambda: False)
    speed.main(["--tiny"])
    text = capsys.readouterr().out
    assert "made up; 20 to train and validate on" in text
    assert "Nothing is measured here" in text
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0][2:14] for line in lines[2:]] == [
        "data per cor",
        *["step: U-Net,"] * 2,
        *["step: ResNet"] * 2,
        "epoch of dat",
        "of training,",
        "a test image",
    ]
    assert all(line.count(" | ") == len(speed.HEADER) - 1 for line in lines)
    speed.main(["--cuda"])
    said = capsys.readouterr().out
    assert said.startswith("No GPU here.\n")
    rows = [line.split(" | ") for line in said.splitlines() if line.startswith("| ")][2:]
    assert len(rows) == 3 + 2 * 3 + 1 + 3
    assert all(row[2:4] == ["not measured", "not measured"] for row in rows)
    assert {row[1] for row in rows} == {"", *speed_cuda.TARGETS.values()}


def test_the_table_of_a_gpu_on_a_cpu(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sides are real and tiny, in this process, on a CPU."""
    plan = replace(speed_cuda.Plan.tiny(), size_px=32)

    class HereOnACpu:
        def __init__(self, name: str, setting: Setting) -> None:
            assert setting.device == "cuda"
            setting = replace(setting, device="cpu", threads=1, workers=0)
            self._side = SIDES[name](setting)

        def __enter__(self):
            self._measure = self._side.__enter__()
            return self

        def __exit__(self, *error: object) -> None:
            self._side.__exit__(*error)

        def measure(self) -> dict[str, float]:
            return {"seconds": 2.0, **(self._measure() or {})}

    monkeypatch.setattr(speed_cuda, "Side", HereOnACpu)
    monkeypatch.setattr(speed_cuda, "ThreadPoolExecutor", lambda count: ThreadPoolExecutor(1))
    rows = [row for each in speed_cuda.comparisons(plan, project) for row in each.measured()]
    assert [len(row) for row in rows] == [len(speed_cuda.HEADER)] * (3 + 3 + 1 + 2)
    assert rows[0] == [
        *(
            "train U-Net, 32 px, batch 8, images/s, against A",
            speed_cuda.TARGETS["train U-Net 8 A"],
            "9",
            "9",
            "1.00 (1.00 to 1.00, n = 1)",
        )
    ]
    assert [row[3] for row in rows[-2:]] == ["9 (9 to 9, n = 1)", "18 (18 to 18, n = 1)"]


def test_segbench_augments_on_the_device_there(
    project: Path, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, str] = {}

    def in_turn(sides, rounds):
        seen.update({name: setting.augment_backend for name, (_, setting) in sides.items()})
        return {name: [{"images": 1.0, "seconds": 1.0}] for name in sides}

    monkeypatch.setattr(speed_cuda, "_in_turn", in_turn)
    next(speed_cuda.comparisons(speed_cuda.Plan.tiny(), project)).measured()
    assert seen == {"A": "cpu", "B": "cpu", "A8": "cpu", "segbench": "device"}
    assert speed_config(replace(setting, augment_backend="device")).augment_backend == "device"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_table_of_a_gpu() -> None:
    text = "\n".join(speed_cuda.report(rounds=1, is_tiny=True))
    assert "against A8" in text
    assert "2 trials on one GPU" in text


def test_the_yardstick_trains_as_a_script(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(pets.pets_folder(project))
    monkeypatch.setattr("sys.argv", ["naive", folder, "--size", "32", "--width", "4", "--epochs", "2"])
    naive.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0].split(":")[0] for line in lines] == ["epoch 1", "epoch 2", "test"]
    assert "nan" not in " ".join(lines)
