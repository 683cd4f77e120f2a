"""Results as frames: what reports read."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from segbench.errors import ResultsError, message
from segbench.records import SearchPlace, TrialRecord, axis_column, parameter_column
from segbench.store.frames import read_all_epochs, read_all_images
from segbench.store.layout import ExperimentFolder
from segbench.store.samples import read_samples
from segbench.store.scan import scan

if TYPE_CHECKING:
    import pandas as pd

_TEXTS: Final = (
    "trial",
    "config_hash",
    "data_fingerprint",
    "state",
    "failure",
    "reason",
    "device",
    "device_name",
    "commit",
    "host",
    "started",
    "finished",
    "versions",
    "reused_from",
    "folder",
)
_COUNTS: Final = ("seed", "fold", "epochs_done", "attempts")
_NUMBERS: Final = (
    "selected_epoch",
    "objective",
    "parameters",
    "trainable_parameters",
    "flops",
    "train_time_s",
    "threads",
    "loader_workers",
)


@dataclass(frozen=True)
class Results:
    """Every readable trial of one experiment's folder.

    The frames share the key `trial` (the twelve-digit hash).
    """

    trials: pd.DataFrame
    """One row per trial: `trial`, `config_hash`, `data_fingerprint`, `seed`, `fold`, `state`, `failure`,
    `reason`, `attempts`, `epochs_done`, `selected_epoch`, `objective`, `parameters`, `trainable_parameters`,
    `flops`, `train_time_s`, `device`, `device_name`, `threads`, `loader_workers`, `host`, `commit`,
    `is_dirty`, `started`, `finished`, `versions` (text), `reused_from`, `folder` (relative to the
    experiment's); a column `axis:<name>` a recorded level; a column `test_<metric>` a test mean; for a search
    `search_number`, `search_repeats` (further proposals of the same configuration), `search_replicate_of`
    (the proposal that a trial replicates) and a column `search:<parameter>`, for a tuned design these and
    `search_role`. Numbers that may be missing are
    floats."""
    epochs: pd.DataFrame
    """One row per epoch: `trial` and the columns of `epochs.csv`."""
    images: pd.DataFrame
    """One row per image, metric and class: `trial`, `image`, `group`, `split`, `class`, `metric`, `value`."""
    left_out: pd.DataFrame
    """Folders that could not be read: `folder`, `reason`."""
    searches: Mapping[str, SearchPlace] = field(default_factory=dict)
    """Trial -> the `search` block of its record, for trials of searches and of tuned designs."""
    samples: pd.DataFrame | None = None
    """One row per test image: `image`, `group`, attributes as text, facts as floats; None: no file."""


def read_results(path: Path) -> Results:
    """Read `results/<experiment>`; what cannot be read is left out, with the reason.

    Args:
        path: The experiment's folder.

    Raises:
        ResultsError: There is no such folder, or it holds no trial.
    """
    experiment = ExperimentFolder(Path(path))
    if not experiment.trials.is_dir():
        raise ResultsError(
            message(str(path), "there are no trials in this folder", see="segbench sweep makes them")
        )
    found = scan(experiment)
    folders = [experiment.trial(hash) for hash in found.records]
    epochs, bad_epochs = read_all_epochs(folders)
    images, bad_images = read_all_images(folders)
    left_out = {**found.unreadable, **bad_images, **bad_epochs}
    records = [record for hash, record in found.records.items() if hash not in left_out]
    return Results(
        trials=_trials_frame(experiment, records),
        epochs=_without(epochs, left_out),
        images=_without(images, left_out),
        left_out=_left_out_frame(experiment, left_out),
        searches={record.hash: record.search for record in records if record.search is not None},
        samples=read_samples(experiment),
    )


def _trials_frame(experiment: ExperimentFolder, records: Sequence[TrialRecord]) -> pd.DataFrame:
    import pandas as pd

    def column(name: str, values: list[Any], kind: str) -> None:
        columns[name] = pd.Series(values, dtype=kind)

    columns: dict[str, pd.Series] = {}
    for name in _TEXTS:
        column(name, [_text(experiment, record, name) for record in records], "str")
    for name in _COUNTS:
        column(name, [getattr(record, name) for record in records], "int64")
    for name in _NUMBERS:
        column(name, [_number(getattr(record, name)) for record in records], "float64")
    column("is_dirty", [bool(record.is_dirty) for record in records], "bool")
    for axis in _keys(record.levels for record in records):
        column(axis_column(axis), [record.levels.get(axis) for record in records], "str")
    for metric in _keys(record.test for record in records):
        column(f"test_{metric}", [_number(record.test.get(metric)) for record in records], "float64")
    if any(record.search is not None for record in records):
        places = [record.search or SearchPlace() for record in records]
        column("search_number", [_number(place.number) for place in places], "float64")
        column("search_repeats", [len(place.repeats) for place in places], "int64")
        column("search_replicate_of", [place.replicate_of for place in places], "str")
        if any(place.role is not None for place in places):
            column("search_role", [place.role and str(place.role) for place in places], "str")
        asked = [place.parameters for place in places]
        for parameter in _keys(asked):
            columns[parameter_column(parameter)] = pd.Series([a.get(parameter) for a in asked])
    return pd.DataFrame(columns)


def _text(experiment: ExperimentFolder, record: TrialRecord, name: str) -> str | None:
    if name == "trial":
        return record.hash
    if name == "folder":
        return _relative(experiment, record.hash)
    if name == "versions":
        return ", ".join(f"{package} {version}" for package, version in sorted(record.versions.items()))
    value = getattr(record, name)
    return None if value is None else str(value)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _keys(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the keys of all mappings, in the order in which they first stand."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def _without(frame: pd.DataFrame, left_out: Mapping[str, str]) -> pd.DataFrame:
    return frame[~frame["trial"].isin(list(left_out))].reset_index(drop=True) if left_out else frame


def _left_out_frame(experiment: ExperimentFolder, left_out: Mapping[str, str]) -> pd.DataFrame:
    import pandas as pd

    folders = [_relative(experiment, hash) for hash in sorted(left_out)]
    # Reports are shared: the reasons name files from the experiment's folder on.
    reasons = [left_out[hash].replace(f"{experiment.root}{os.sep}", "") for hash in sorted(left_out)]
    return pd.DataFrame(
        {"folder": pd.Series(folders, dtype="str"), "reason": pd.Series(reasons, dtype="str")}
    )


def _relative(experiment: ExperimentFolder, hash: str) -> str:
    return experiment.trial(hash).path.relative_to(experiment.root).as_posix()
