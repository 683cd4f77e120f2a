"""TensorBoard: one event file per trial, with the package's own writer and without torch."""

from __future__ import annotations

import shutil
import struct
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from segbench.sweep.loggers.trial import LoggedTrial

if TYPE_CHECKING:
    from tensorboard.summary.writer.record_writer import RecordWriter

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
