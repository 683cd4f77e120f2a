"""Loggers: what the files say, once more for TensorBoard and wandb.

They read files alone (docs/adr/0017), once or from a thread beside a sweep. An experiment's logger wraps
its package in a `Sink`, which is told of one trial after another.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
import struct
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from segbench.errors import ExperimentError, message
from segbench.quantities import TRIAL_COSTS
from segbench.records import TrialRecord
from segbench.store import trials
from segbench.store.layout import ExperimentFolder, TrialFolder
from segbench.trial.events import label_trial

if TYPE_CHECKING:
    from tensorboard.summary.writer.record_writer import RecordWriter


@dataclass(frozen=True)
class LoggedTrial:
    """What the files said at one moment."""

    record: TrialRecord
    epochs: tuple[Mapping[str, float], ...]
    """Rows of `epochs.csv`, each with what was measured: NaN stands for nothing."""
    picture: bytes | None
    """PNG of a few test images, where the trial has one and has ended."""

    @property
    def has_ended(self) -> bool:
        return self.record.state.has_ended

    @property
    def label(self) -> str:
        """Return its name for people."""
        record = self.record
        fold = f", fold {record.fold}" if record.fold else ""
        return f"{label_trial(record.levels, record.search)}, seed {record.seed}{fold}"

    @property
    def run_name(self) -> str:
        """Return its name as a folder's: the label's plain letters, and the hash."""
        plain = re.sub(r"[^A-Za-z0-9.+-]+", "_", self.label).strip("_.")[:80]
        return f"{plain}_{self.record.hash}"

    @property
    def settings(self) -> dict[str, str | float | bool]:
        """Return the configuration with one key per knob, the levels, seed and fold."""
        flat: dict[str, str | float | bool] = {
            f"axis/{axis}": label for axis, label in self.record.levels.items()
        }
        flat |= {"seed": self.record.seed, "fold": self.record.fold}
        _flatten("", self.record.config, flat)
        return flat

    @property
    def results(self) -> dict[str, float]:
        """Return what was measured at the end: test means, the objective, the selected epoch."""
        record = self.record
        found = {f"test_{name}": value for name, value in record.test.items()}
        for name in ("objective", "selected_epoch", *TRIAL_COSTS):
            value = getattr(record, name)
            if value is not None:
                found[name] = float(value)
        return {name: value for name, value in found.items() if value is not None and math.isfinite(value)}

    @property
    def digest(self) -> str:
        """Return what tells whether anything has changed."""
        record = self.record
        content = repr((record, self.epochs)).encode() + (self.picture or b"")
        return hashlib.sha256(content).hexdigest()


def read_logged(folder: TrialFolder) -> LoggedTrial | None:
    """Read a trial; None where its record cannot be read (others say why)."""
    record = trials.peek_trial(folder)
    if record is None:
        return None
    rows = tuple(
        {name: value for name, value in row.items() if not math.isnan(value)}
        for row in trials.read_rows(folder)
    )
    try:
        picture = folder.panels.read_bytes() if record.state.is_finished else None
    except OSError:
        picture = None
    return LoggedTrial(record, rows, picture)


def _flatten(prefix: str, value: Any, into: dict[str, str | float | bool]) -> None:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            _flatten(f"{prefix}.{key}" if prefix else str(key), inner, into)
    elif isinstance(value, bool | int | float | str):
        into[prefix] = value
    else:
        into[prefix] = "none" if value in (None, {}) else str(value)


MARK: Final = "segbench.digest"
"""Beside a finished trial's events: what they were written from."""


@dataclass
class _Open:
    """A running trial's file."""

    writer: RecordWriter
    attempt: int
    epochs: list[Any] = field(default_factory=list)
    """Rows that are written."""


class TensorBoard:
    """`tensorboard/RUN/events...`: scalars named as in `epochs.csv`, test means, configuration, a picture.

    Rows of a running trial are added to its file; anything else that has changed writes the run anew. Times
    are those of the record, so that the same files give the same bytes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, _Open] = {}

    def write(self, trial: LoggedTrial) -> bool:
        run = self._folder / trial.run_name
        mark = run / MARK
        digest = trial.digest
        if mark.is_file() and mark.read_text() == digest:
            return False
        opened = self._open.get(trial.record.hash)
        rows = list(trial.epochs)
        if opened is None or opened.epochs != rows[: len(opened.epochs)] or mark.is_file():
            opened = self._begin(run, trial)
        started = _seconds(trial.record.started)
        for number in range(len(opened.epochs), len(rows)):
            row = rows[number]
            time_s = started + sum(each.get("epoch_time_s", 0.0) for each in rows[: number + 1])
            values = {name: value for name, value in row.items() if name != "epoch"}
            _scalars(opened.writer, values, int(row["epoch"]), time_s)
            opened.epochs.append(row)
        opened.writer.flush()
        if trial.has_ended:
            self._end(opened, trial, started + sum(each.get("epoch_time_s", 0.0) for each in rows))
            mark.write_text(digest)
        return True

    def close(self) -> None:
        for opened in self._open.values():
            opened.writer.close()
        self._open.clear()

    def _begin(self, run: Path, trial: LoggedTrial) -> _Open:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        old = self._open.pop(trial.record.hash, None)
        if old is not None:
            old.writer.close()
        for earlier in self._folder.glob(f"*_{trial.record.hash}"):  # its label may have been another
            shutil.rmtree(earlier)
        run.mkdir(parents=True)
        started = _seconds(trial.record.started)
        file = run / f"events.out.tfevents.{int(started):010d}.{trial.record.hash}"
        opened = _Open(RecordWriter(file.open("wb")), trial.record.attempts)
        _put(opened.writer, Event(wall_time=started, file_version="brain.Event:2"))
        _put(opened.writer, _settings(trial, started))
        self._open[trial.record.hash] = opened
        return opened

    def _end(self, opened: _Open, trial: LoggedTrial, time_s: float) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        step = len(trial.epochs)
        _scalars(opened.writer, trial.results, step, time_s)
        if trial.picture is not None:
            width, height = struct.unpack(">II", trial.picture[16:24])  # of a PNG's header
            image = Summary.Image(
                width=width, height=height, colorspace=3, encoded_image_string=trial.picture
            )
            value = Summary.Value(tag="test_images", image=image)
            _put(opened.writer, Event(wall_time=time_s, step=step, summary=Summary(value=[value])))
        opened.writer.close()
        del self._open[trial.record.hash]


def _scalars(writer: RecordWriter, values: dict[str, float], step: int, time_s: float) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
    _put(writer, Event(wall_time=time_s, step=step, summary=summary))


def _settings(trial: LoggedTrial, time_s: float) -> Any:
    """Return the event that the HParams page reads."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.plugins.hparams.metadata import PLUGIN_DATA_VERSION, PLUGIN_NAME, SESSION_START_INFO_TAG
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo

    session = SessionStartInfo(group_name=trial.run_name, start_time_secs=time_s)
    for name, value in sorted(trial.settings.items()):
        if isinstance(value, bool):
            session.hparams[name].bool_value = value
        elif isinstance(value, int | float):
            session.hparams[name].number_value = float(value)
        else:
            session.hparams[name].string_value = value
    content = HParamsPluginData(session_start_info=session, version=PLUGIN_DATA_VERSION)
    plugin = SummaryMetadata.PluginData(
        plugin_name=PLUGIN_NAME, content=content.SerializeToString(deterministic=True)
    )
    value = Summary.Value(tag=SESSION_START_INFO_TAG, metadata=SummaryMetadata(plugin_data=plugin))
    return Event(wall_time=time_s, summary=Summary(value=[value]))


def _put(writer: RecordWriter, event: Any) -> None:
    writer.write(event.SerializeToString(deterministic=True))


def _seconds(moment: str | None) -> float:
    return datetime.fromisoformat(moment).timestamp() if moment else 0.0


class Wandb:
    """Runs in `wandb/`, one per trial that has ended: `wandb sync` uploads them.

    Args:
        folder: Where runs lie.
        project: Their project: the experiment's name.
    """

    def __init__(self, folder: Path, project: str) -> None:
        self._folder, self._project = folder, project

    def write(self, trial: LoggedTrial) -> bool:
        if not trial.has_ended:
            return False
        mark = self._folder / "segbench" / trial.record.hash
        if mark.is_file() and mark.read_text() == trial.digest:
            return False
        for earlier in (self._folder / "wandb").glob(f"offline-run-*-{trial.record.hash}"):
            shutil.rmtree(earlier)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._write(trial)
        mark.parent.mkdir(exist_ok=True)
        mark.write_text(trial.digest)
        return True

    def close(self) -> None:
        """Nothing stays open between trials."""

    def _write(self, trial: LoggedTrial) -> None:
        import wandb

        record = trial.record
        run = wandb.init(
            project=self._project,
            id=record.hash,
            name=trial.label,
            group=", ".join(record.levels.values()) or "baseline",
            config=trial.settings,
            dir=str(self._folder),
            mode=os.environ.get("WANDB_MODE", "offline"),
            settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False),
        )
        for row in trial.epochs:
            run.log({name: value for name, value in row.items() if name != "epoch"}, step=int(row["epoch"]))
        if trial.picture is not None:
            with tempfile.NamedTemporaryFile(suffix=".png") as file:
                file.write(trial.picture)
                file.flush()
                run.log({"test_images": wandb.Image(file.name)}, step=len(trial.epochs) + 1)
        run.summary.update({**trial.results, "state": str(record.state)})
        run.finish()


class Logger(StrEnum):
    """Where scalars, pictures and configurations go besides the files; each needs the extra of its name."""

    TENSORBOARD = "tensorboard"
    WANDB = "wandb"

    def folder(self, experiment: ExperimentFolder) -> Path:
        """Return where it writes."""
        return experiment.root / self.value


def check_installed(loggers: Iterable[Logger], option: str) -> None:
    """Refuse loggers whose package is missing.

    Raises:
        ExperimentError: One is; the message names the extra.
    """
    for logger in loggers:
        if find_spec(logger.value) is None:
            rule, see = f"the package {logger} is not installed", f"pip install 'segbench[{logger}]'"
            raise ExperimentError(message(option, rule, see=see))


def make_sink(logger: Logger, experiment: ExperimentFolder) -> Sink:
    """Return what writes."""
    if logger is Logger.TENSORBOARD:
        return TensorBoard(logger.folder(experiment))
    return Wandb(logger.folder(experiment), experiment.name)


# Brings loggers up to what the files say: once, or beside a sweep until it ends.


EVERY_S: Final = 5.0
"""The files are looked at this often while a sweep runs."""

LAST_S: Final = 20.0
"""The sweep's end waits at most so long for what is left to write."""


class Sink(Protocol):
    """What a logger's package is wrapped in."""

    def write(self, trial: LoggedTrial) -> bool:
        """Show a trial as it is now; False: it was shown so already."""
        ...

    def close(self) -> None: ...


class Log:
    """One logger of one experiment; a trial whose files are as they were costs two questions to the disk."""

    def __init__(self, logger: Logger, folder: ExperimentFolder) -> None:
        self._logger, self._folder = logger, folder
        self._sink: Sink | None = None
        self._seen: dict[str, tuple[object, ...]] = {}

    def update(self) -> tuple[int, int]:
        """Write what has changed; return how many trials were written, and how many have a record."""
        num_written = num_found = 0
        for folder in self._folder.trial_folders():
            stamp = tuple(map(_stamp, (folder.record, folder.epochs, folder.panels)))
            if stamp[0] is None:
                continue
            num_found += 1
            if self._seen.get(folder.hash) == stamp:
                continue
            num_written += self._write(folder)
            self._seen[folder.hash] = stamp
        return num_written, num_found

    def _write(self, folder: TrialFolder) -> bool:
        trial = read_logged(folder)
        if trial is None:
            return False
        if self._sink is None:
            self._sink = make_sink(self._logger, self._folder)
        return self._sink.write(trial)

    def close(self) -> None:
        if self._sink is not None:
            self._sink.close()


@contextmanager
def logging(
    loggers: Sequence[Logger], folder: ExperimentFolder, note: Callable[[str], None]
) -> Iterator[None]:
    """Keep loggers like the files while a block runs, each in its own thread; what fails is said once.

    Args:
        loggers: Which; none: nothing happens.
        folder: The experiment's.
        note: Told what the user should know.
    """
    stop = threading.Event()
    threads = [
        threading.Thread(target=_follow, args=(each, folder, stop, note), name=each.value, daemon=True)
        for each in dict.fromkeys(loggers)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(LAST_S)
            if thread.is_alive():
                note(f"{thread.name} is slower than the sweep; {_remedy(folder, thread.name)}")


def _follow(
    logger: Logger, folder: ExperimentFolder, stop: threading.Event, note: Callable[[str], None]
) -> None:
    log = Log(logger, folder)
    try:
        is_last = False
        while not is_last:
            is_last = stop.wait(EVERY_S)
            log.update()
        log.close()
    except Exception as error:  # whatever a logger does, the sweep goes on
        first = (str(error).splitlines() or [type(error).__name__])[0]
        note(f"{logger.value} failed ({first}); the sweep goes on. {_remedy(folder, logger.value)}")


def _remedy(folder: ExperimentFolder, logger: str) -> str:
    return f"`segbench results log {folder.name} --to {logger}` writes what it lacks."


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
