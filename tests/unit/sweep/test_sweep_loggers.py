"""TensorBoard and wandb from the files: what they show, again without change, and never in a sweep's way."""

from __future__ import annotations

import importlib.util
import shutil
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import pytest
from command_line import environment
from sweep_fakes import FakeEngine
from typer.testing import CliRunner

from segbench.cli.app import app
from segbench.config.experiment import Experiment
from segbench.errors import ExperimentError, ResultsError
from segbench.store import trials
from segbench.store.layout import ExperimentFolder
from segbench.store.queue import QueuedTrial
from segbench.sweep import loggers as logs
from segbench.sweep.launch import write_document
from segbench.sweep.loggers import Log, Logger, logging, read_logged
from segbench.trial.run import Resources, run_trial

needs_tensorboard = pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="tensorboard (an extra) is not installed"
)
needs_wandb = pytest.mark.skipif(
    importlib.util.find_spec("wandb") is None, reason="wandb (an extra) is not installed"
)
RESOURCES = Resources(device="cpu", threads=1)


def png() -> bytes:
    """Return a picture of 3 x 2 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 3, 2, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + b"\x10\x80\xf0" * 3 for _ in range(2))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.fixture
def trained(
    experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> list[QueuedTrial]:
    """Two of the four trials ended, the first with a picture."""
    write_document(experiment, folder)
    for trial in queued[:2]:
        run_trial(trial, experiment.project, folder, RESOURCES)
    panels = folder.trial(queued[0].hash).panels
    panels.parent.mkdir(exist_ok=True)
    panels.write_bytes(png())
    return queued


def run_of(folder: ExperimentFolder, trial: QueuedTrial) -> Path:
    (found,) = (folder.root / "tensorboard").glob(f"*_{trial.hash}")
    return found


def read_scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run))
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def write(folder: ExperimentFolder, logger: Logger = Logger.TENSORBOARD) -> tuple[int, int]:
    log = Log(logger, folder)
    try:
        return log.update()
    finally:
        log.close()


@needs_tensorboard
def test_tensorboard_shows_every_number_of_the_files(
    folder: ExperimentFolder, trained: list[QueuedTrial]
) -> None:
    assert write(folder) == (2, 2)
    trial = folder.trial(trained[0].hash)
    epochs, record = trials.read_epochs(trial), trials.read_trial(trial)
    scalars = read_scalars(run_of(folder, trained[0]))
    for name in epochs.columns.drop("epoch"):
        expected = list(zip(epochs["epoch"], epochs[name], strict=True))
        assert [step for step, _ in scalars[name]] == [step for step, _ in expected]
        assert [v for _, v in scalars[name]] == pytest.approx([v for _, v in expected], rel=1e-6, nan_ok=True)
    for name, value in record.test.items():
        assert scalars[f"test_{name}"] == [(len(epochs), pytest.approx(value, rel=1e-6))]


@needs_tensorboard
def test_tensorboard_has_configuration_and_picture(
    folder: ExperimentFolder, trained: list[QueuedTrial]
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    write(folder)
    events = EventAccumulator(str(run_of(folder, trained[0])))
    events.Reload()
    (image,) = events.Images("test_images")
    assert (image.width, image.height, image.encoded_image_string) == (3, 2, png())
    metadata = events.SummaryMetadata("_hparams_/session_start_info")
    content = HParamsPluginData.FromString(metadata.plugin_data.content).session_start_info.hparams
    levels = trials.read_trial(folder.trial(trained[0].hash)).levels
    for axis, label in levels.items():
        assert content[f"axis/{axis}"].string_value == label
    assert content["epochs"].number_value == trained[0].config["epochs"]
    assert content["seed"].number_value == trained[0].seed


@needs_tensorboard
def test_a_second_time_changes_nothing_and_a_lost_folder_comes_back_alike(
    folder: ExperimentFolder, trained: list[QueuedTrial]
) -> None:
    def content() -> dict[str, bytes]:
        root = folder.root / "tensorboard"
        return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}

    write(folder)
    first = content()
    assert write(folder) == (0, 2)
    assert content() == first
    shutil.rmtree(folder.root / "tensorboard")
    assert write(folder) == (2, 2)
    assert content() == first


def test_what_an_epoch_did_not_measure_is_not_shown(
    folder: ExperimentFolder, trained: list[QueuedTrial]
) -> None:
    trial = folder.trial(trained[0].hash)
    lines = trial.epochs.read_text().splitlines()
    assert lines[0].endswith(",data_wait_s")
    lines[1] = lines[1].rpartition(",")[0] + ",nan"
    trial.epochs.write_text("\n".join(lines) + "\n")
    logged = read_logged(trial)
    assert logged is not None
    assert ["data_wait_s" in row for row in logged.epochs] == [False, *[True] * (len(lines) - 2)]
    assert logged == read_logged(trial)


@needs_tensorboard
def test_rows_of_a_running_trial_are_added(
    experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> None:
    """A look after every event: what was written stays, and the end is what one look would have made."""
    write_document(experiment, folder)
    log = Log(Logger.TENSORBOARD, folder)
    steps: list[int] = []

    def look(event: object) -> None:
        log.update()
        runs = list((folder.root / "tensorboard").glob("*"))
        steps.append(len(read_scalars(runs[0]).get("val_dice", [])) if runs else 0)

    run_trial(queued[0], experiment.project, folder, RESOURCES, on_event=look)
    log.update()
    log.close()
    assert steps == sorted(steps)
    assert set(steps) >= {0, 1, 2, 3}
    one_by_one = read_scalars(run_of(folder, queued[0]))
    shutil.rmtree(folder.root / "tensorboard")
    write(folder)
    assert read_scalars(run_of(folder, queued[0])) == one_by_one
    assert len(one_by_one["val_dice"]) == 4


@needs_tensorboard
def test_a_changed_record_is_written_anew(folder: ExperimentFolder, trained: list[QueuedTrial]) -> None:
    from dataclasses import replace

    write(folder)
    trial = folder.trial(trained[0].hash)
    record = trials.read_trial(trial)
    trials.write_trial(trial, replace(record, test={**record.test, "dice": 0.25}))
    assert write(folder) == (1, 2)
    assert read_scalars(run_of(folder, trained[0]))["test_dice"] == [(4, 0.25)]


def test_settings_are_flat(folder: ExperimentFolder, trained: list[QueuedTrial]) -> None:
    trial = read_logged(folder.trial(trained[0].hash))
    assert trial is not None
    assert trial.settings["optimizer.adam.lr"] == trained[0].config["optimizer"]["adam"]["lr"]
    assert all(isinstance(value, str | int | float | bool) for value in trial.settings.values())
    assert trial.run_name.endswith(f"_{trained[0].hash}")
    assert set(trial.run_name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-")


def test_a_logger_that_breaks_is_said_once_and_the_sweep_goes_on(
    folder: ExperimentFolder, trained: list[QueuedTrial], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(logger: Logger, folder: ExperimentFolder) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(logs, "make_sink", broken)
    monkeypatch.setattr(logs, "EVERY_S", 0.01)
    said: list[str] = []
    with logging([Logger.TENSORBOARD], folder, said.append):
        while not said:
            threading.Event().wait(0.01)
    assert said == [
        "tensorboard failed (no space left); the sweep goes on. "
        "`segbench results log exp --to tensorboard` writes what it lacks."
    ]


def test_a_logger_that_hangs_does_not_hold_the_end(
    folder: ExperimentFolder, trained: list[QueuedTrial], monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr(Log, "update", lambda self: release.wait(30))
    monkeypatch.setattr(logs, "EVERY_S", 0.01)
    monkeypatch.setattr(logs, "LAST_S", 0.1)
    said: list[str] = []
    with logging([Logger.WANDB], folder, said.append):
        pass
    release.set()
    assert said == [
        "wandb is slower than the sweep; `segbench results log exp --to wandb` writes what it lacks."
    ]


@needs_tensorboard
def test_a_sweep_is_followed_to_its_end(folder: ExperimentFolder, trained: list[QueuedTrial]) -> None:
    said: list[str] = []
    with logging([Logger.TENSORBOARD, Logger.TENSORBOARD], folder, said.append):
        pass
    assert said == []
    assert len(read_scalars(run_of(folder, trained[1]))["val_dice"]) == 4


def test_a_missing_package_names_the_extra_before_work_starts(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segbench.sweep.loggers.find_spec", lambda name: None)
    monkeypatch.chdir(experiment.project.root)
    for words, option in (
        (["sweep", "exp", "--log", "wandb"], "--log"),
        (["results", "log", "--to", "wandb"], "--to"),
    ):
        with pytest.raises(ExperimentError) as error:
            CliRunner().invoke(app, words, catch_exceptions=False)
        assert str(error.value) == (
            f"{option}: the package wandb is not installed. pip install 'segbench[wandb]'."
        )
    assert not (experiment.project.results / "exp").exists()


@needs_tensorboard
def test_the_command_says_what_it_wrote(
    experiment: Experiment,
    folder: ExperimentFolder,
    trained: list[QueuedTrial],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(experiment.project.root)

    def call(*words: str) -> str:
        return CliRunner().invoke(app, ["results", "log", *words], catch_exceptions=False).output

    assert call("exp", "--to", "tensorboard") == "exp: 2 of 2 trials written to results/exp/tensorboard\n"
    assert call("--to", "tensorboard") == "exp: 0 of 2 trials written to results/exp/tensorboard\n"
    with pytest.raises(ResultsError, match="there are no results of this name, got 'axp'"):
        call("axp", "--to", "tensorboard")
    with pytest.raises(ExperimentError, match="say which logger with --to"):
        call("exp")


READ_WANDB = """
import struct, sys
from pathlib import Path
from wandb.proto.wandb_internal_pb2 import Record

# A LevelDB log behind a header of 7 bytes: blocks of 32 KiB, records in parts (1 whole, 2 first, 3, 4 last).
content, place, parts = Path(sys.argv[1]).read_bytes(), 7, b""
while place + 7 <= len(content):
    if 32768 - place % 32768 < 7:
        place += 32768 - place % 32768
        continue
    length, kind = struct.unpack("<HB", content[place + 4 : place + 7])
    parts = (b"" if kind in (1, 2) else parts) + content[place + 7 : place + 7 + length]
    place += 7 + length
    if kind in (1, 4):
        record = Record.FromString(parts)
        kinds = record.config.update, record.summary.update, record.run.config.update
        for where, items in ("history", record.history.item), *(("end", kind) for kind in kinds):
            for item in items:
                print(where, "/".join([item.key, *item.nested_key]).lstrip("/"), item.value_json)
"""


@needs_wandb
@pytest.mark.slow
def test_wandb_writes_an_offline_run_a_trial(
    experiment: Experiment, folder: ExperimentFolder, trained: list[QueuedTrial]
) -> None:
    """Read back from the run's own file: the history, the configuration, the summary, the picture."""
    env = {key: value for key, value in environment().items() if not key.startswith("WANDB_")}
    words = [sys.executable, "-m", "segbench", "results", "log", "exp", "--to", "wandb"]
    said = [
        subprocess.run(
            words, cwd=experiment.project.root, env=env, capture_output=True, text=True, timeout=300
        )
        for _ in range(2)
    ]
    assert [done.stdout for done in said] == [
        f"exp: {n} of 2 trials written to results/exp/wandb\n" for n in (2, 0)
    ], said[0].stderr
    (run,) = (folder.root / "wandb" / "wandb").glob(f"offline-run-*-{trained[0].hash}")
    file = run / f"run-{trained[0].hash}.wandb"
    done = subprocess.run(
        [sys.executable, "-c", READ_WANDB, str(file)], env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found = [line.split(" ", 2) for line in done.stdout.splitlines()]
    epochs = trials.read_epochs(folder.trial(trained[0].hash))
    seen = [float(value) for where, key, value in found if (where, key) == ("history", "val_dice")]
    assert seen == pytest.approx(list(epochs["val_dice"]))
    record = trials.read_trial(folder.trial(trained[0].hash))
    keys = {key for _, key, _ in found}
    assert {"optimizer.adam.lr", "seed", *(f"test_{name}" for name in record.test)} <= keys
    assert any(key.startswith("test_images") for key in keys)
    assert list(run.rglob("*.png"))
