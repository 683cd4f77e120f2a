"""A trial as a logger sees it, from its files."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segbench.errors import SegbenchError
from segbench.quantities import TRIAL_COSTS
from segbench.records import TrialRecord
from segbench.store import trials
from segbench.store.layout import TrialFolder
from segbench.trial.events import label_trial


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
        """Return the configuration with one key a knob, the levels, seed and fold."""
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
    try:
        record = trials.read_trial(folder)
    except SegbenchError:
        return None
    try:
        header, body = trials.split_epochs(str(folder.epochs), folder.epochs.read_bytes())
        columns = header.split(",")
        rows = tuple(_measured(columns, line) for line in body.splitlines())
    except (OSError, ValueError, SegbenchError):
        rows = ()
    try:
        picture = folder.panels.read_bytes() if record.state.is_finished else None
    except OSError:
        picture = None
    return LoggedTrial(record, rows, picture)


def _measured(columns: list[str], line: str) -> dict[str, float]:
    values = dict(zip(columns, map(float, line.split(",")), strict=True))
    return {name: value for name, value in values.items() if not math.isnan(value)}


def _flatten(prefix: str, value: Any, into: dict[str, str | float | bool]) -> None:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            _flatten(f"{prefix}.{key}" if prefix else str(key), inner, into)
    elif isinstance(value, bool | int | float | str):
        into[prefix] = value
    else:
        into[prefix] = "none" if value in (None, {}) else str(value)
