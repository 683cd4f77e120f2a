"""What a trial leaves in its folder besides weights and epochs.

That is: the record when it begins, the means and values of the test images, the masks, the picture, the log,
and what it measured of a search's goals and constraints.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

import numpy as np

from segbench.config.trial import TrialConfig, identity, variant_digests
from segbench.data.pictures import as_rgb, overlay
from segbench.errors import ResultsError, message
from segbench.quantities import QUANTITIES, OverEpochs
from segbench.records import State, TrialRecord
from segbench.store import trials
from segbench.store.atomic import sweep_temporaries, write_bytes
from segbench.store.layout import ExperimentFolder, TrialFolder
from segbench.store.queue import QueuedTrial
from segbench.store.trials import ImageValue, format_number, write_images
from segbench.trial.events import TrialFinished
from segbench.trial.provenance import hash_host, name_device, now, read_commit, read_versions

if TYPE_CHECKING:
    from segbench.data import PreparedData
    from segbench.engine.passes import Evaluation
    from segbench.engine.protocol import TrainingRun


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a trial may use; recorded, and no part of its identity."""

    device: str
    """`cpu` or `cuda`."""
    threads: int
    loader_workers: int = 0


def check_identity(trial: QueuedTrial) -> None:
    """Return if this process would compute the trial that was planned.

    Raises:
        ResultsError: A user's variant was edited since, or this segbench is another one than the planner's.
    """
    config = TrialConfig.from_json(trial.config)
    data = trial.data_fingerprint
    if identity(config, seed=trial.seed, fold=trial.fold, data_fingerprint=data) != trial.identity:
        own = ", ".join(variant_digests(config))
        rule = "the code is not that of the plan any more" + (f" (your own: {own})" if own else "")
        see = "Run segbench sweep again: it plans with the code as it is now"
        raise ResultsError(message(f"trial {trial.hash}", rule, see=see))


def new_record(trial: QueuedTrial, experiment: ExperimentFolder) -> TrialRecord:
    """Return the record of a trial that has never run."""
    digests = variant_digests(TrialConfig.from_json(trial.config))
    asked = {name: value for name, value in vars(trial).items() if name != "is_tested"}
    return TrialRecord(hash=trial.hash, experiment=experiment.name, variant_digests=digests, **asked)


def begin(before: TrialRecord, trial: QueuedTrial, resources: Resources, root: Path) -> TrialRecord:
    """Return the record of one more attempt, by this process.

    Args:
        before: The record so far.
        trial: As it is asked for now.
        resources: What it runs on.
        root: The project's folder, whose commit is recorded.
    """
    commit = read_commit(root)
    return replace(
        before,
        levels=trial.levels,
        search=trial.search if trial.search is not None else before.search,
        state=State.RUNNING,
        failure=None,
        reason=None,
        attempts=before.attempts + 1,
        started=before.started or now(),
        finished=None,
        device=resources.device,
        threads=resources.threads,
        loader_workers=resources.loader_workers,
        fitting_batch_size=None,
        device_name=name_device(resources.device),
        host=hash_host(),
        commit=commit.sha,
        is_dirty=commit.is_dirty,
        versions=read_versions(),
    )


def finished_event(record: TrialRecord) -> TrialFinished:
    """Return what the end of a trial tells its supervisor."""
    return TrialFinished(
        hash=record.hash,
        state=record.state,
        failure=str(record.failure) if record.failure else None,
        reason=record.reason,
        objective=record.objective,
        test=dict(record.test),
        commit=record.commit,
    )


# What a finished trial says about the test images: means, values per image, masks.


FOREGROUND = "foreground"
"""The one class of a binary task, in the column `class`."""


def write_outcome(run: TrainingRun, data: PreparedData, folder: TrialFolder) -> dict[str, float]:
    """Evaluate the test images once with the selected and once with the last weights, and write what came
    out.

    Returns:
        Means over the test images, and metrics of all of them together: `dice`, ... at the selected weights,
        `dice_last`, ... at the last; empty where the split has no test images.
    """
    from segbench.store.masks import write_masks

    if len(data.split["test"]) == 0:
        return {}
    selected = run.evaluate("test", which="selected", with_masks=True)
    # the same weights give the same numbers
    last = selected if run.selected_epoch == len(run.history) else run.evaluate("test", which="last")
    write_images(folder, _rows(data, selected, last))
    assert selected.masks is not None
    write_masks(folder.masks, selected.masks, [data.samples[n].name for n in selected.sample_numbers])
    write_panels(data, selected, folder)
    means = {**selected.means(), **{f"{name}_last": mean for name, mean in last.means().items()}}
    return {name: float(format_number(means[name])) for name in means if name not in ("loss", "loss_last")}


def _rows(data: PreparedData, selected: Evaluation, last: Evaluation) -> list[ImageValue]:
    columns = [(name, selected.sample_numbers, values) for name, values in selected.metrics.items()]
    columns.append(("dice_last", last.sample_numbers, last.metrics["dice"]))
    return [
        ImageValue(
            data.samples[number].name, data.samples[number].group, "test", FOREGROUND, metric, float(value)
        )
        for metric, numbers, values in columns
        for number, value in zip(numbers, values, strict=True)
    ]


# `panels/test.png`: a few test images of a trial as the dashboard shows them: image, mask, prediction.


MOST_IMAGES: Final = 4
TILE_PX: Final = 128
_GAP_PX: Final = 4


def write_panels(data: PreparedData, selected: Evaluation, folder: TrialFolder) -> None:
    """Draw one row per image: the image, its mask, the prediction (white: found, vermilion: false positive,
    blue: missed, grey: not counted).

    Args:
        data: Where the test images are.
        selected: The evaluation of the test images at the selected weights, with masks.
        folder: The trial's.

    Raises:
        ResultsError: The disk refuses.
    """
    from PIL import Image

    if selected.masks is None or selected.masks.shape[1:] != data.masks.shape[1:]:
        return  # an engine of the user's own, which predicts at another size
    chosen = choose([data.samples[n].name for n in selected.sample_numbers])
    step = TILE_PX + _GAP_PX
    canvas = Image.new("RGB", (3 * step - _GAP_PX, len(chosen) * step - _GAP_PX), "white")
    for row, k in enumerate(chosen):
        number = int(selected.sample_numbers[k])
        labels = np.asarray(data.masks[number])
        tiles = [
            as_rgb(np.asarray(data.images[number])),
            overlay(labels, labels == 1),
            overlay(labels, selected.masks[k]),
        ]
        for column, tile in enumerate(tiles):
            method = Image.Resampling.NEAREST if column else Image.Resampling.BILINEAR
            picture = Image.fromarray(tile).resize((TILE_PX, TILE_PX), method)
            canvas.paste(picture, (column * step, row * step))
    buffer = io.BytesIO()
    canvas.save(buffer, format="PNG", compress_level=1)
    folder.panels.parent.mkdir(exist_ok=True)
    sweep_temporaries(folder.panels.parent)
    write_bytes(folder.panels, buffer.getvalue())


def choose(names: Sequence[str]) -> list[int]:
    """Choose images evenly spaced among the sorted names, so that trials of one test set show the same.

    Args:
        names: Of the test images.

    Returns:
        Their positions, at most four.
    """
    order = sorted(range(len(names)), key=lambda k: (names[k], k))
    count = min(MOST_IMAGES, len(order))
    return [order[k * len(order) // count] for k in range(count)]


# A trial's `log.txt`: what happened while it ran, tracebacks included.


LOGGER: Final = logging.getLogger("segbench.trial")


@contextmanager
def logging_to(path: Path) -> Iterator[logging.Logger]:
    """Append what is logged, and what Python warns of, to a file for as long as the trial runs.

    A disk that refuses the log does not stop a trial: its records do, where they are refused too.
    """
    handler: logging.Handler
    try:
        handler = logging.FileHandler(path, encoding="utf-8", delay=False)
    except OSError:
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.handleError = lambda record: None  # type: ignore[method-assign]
    loggers = (logging.getLogger("segbench"), logging.getLogger("py.warnings"))
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield LOGGER
    finally:
        logging.captureWarnings(False)
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
        with suppress(OSError):  # what a full disk did not take is still in the buffer
            handler.close()


# What a trial measures of a search's goals and constraints, from its record and its epochs.


def measure_trial(record: TrialRecord, folder: TrialFolder, metrics: Iterable[str]) -> dict[str, float]:
    """Return goals and constraints of a trial as reports measure them: metric -> value.

    What the epochs measured becomes one value as the quantity says (`OverEpochs`). `parameters` and `flops`
    alone are known of a trial that is not complete. What is not known is left out.
    """
    found: dict[str, float | None] = {}
    for name in set(metrics):
        how = QUANTITIES[name].over_epochs
        if how is None:
            found[name] = getattr(record, name)
        elif record.state is State.COMPLETE:
            found[name] = _over_epochs(how, read_column(folder, name), record.selected_epoch)
    return {name: float(value) for name, value in found.items() if value is not None and value == value}


def _over_epochs(how: OverEpochs, column: Mapping[int, float], selected: int | None) -> float | None:
    if not column or how is OverEpochs.SELECTED:
        return column.get(selected or 0)
    if how is OverEpochs.LARGEST:
        return max(column.values())
    return median([value for epoch, value in column.items() if epoch > 1] or column.values())


def read_column(folder: TrialFolder, metric: str) -> dict[int, float]:
    """Return epoch -> value of a column of `epochs.csv`; empty where there is none yet."""
    return {int(row["epoch"]): row[metric] for row in trials.read_rows(folder) if metric in row}
