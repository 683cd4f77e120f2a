"""What a trial measures of a search's goals and constraints, from its record and its epochs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median

from segbench.errors import SegbenchError
from segbench.metrics import COST_METRICS
from segbench.records import State, TrialRecord
from segbench.store import trials
from segbench.store.layout import TrialFolder


def measure_trial(record: TrialRecord, folder: TrialFolder, metrics: Iterable[str]) -> dict[str, float]:
    """Return goals and constraints of a trial as reports measure them: metric -> value.

    Validation metrics at the selected epoch; `epoch_time_s` as the median without the first epoch, which
    pays for warming up; `peak_memory_mib` as the largest; `parameters` and `flops`, which alone are known of
    a trial that is not complete. What is not known is left out.
    """
    wanted = set(metrics)
    static = {"parameters": record.parameters, "flops": record.flops}
    found: dict[str, float | None] = {name: value for name, value in static.items() if name in wanted}
    if wanted - static.keys() and record.state is State.COMPLETE:
        for name in wanted - static.keys():
            column = read_column(folder, name)
            if name in COST_METRICS:
                found[name] = _cost(name, column)
            else:
                found[name] = column.get(record.selected_epoch or 0)
    return {name: float(value) for name, value in found.items() if value is not None and value == value}


def _cost(name: str, column: Mapping[int, float]) -> float | None:
    if not column:
        return None
    if name == "peak_memory_mib":
        return max(column.values())
    return median([value for epoch, value in column.items() if epoch > 1] or column.values())


def read_column(folder: TrialFolder, metric: str) -> dict[int, float]:
    """Return epoch -> value of a column of `epochs.csv`; empty where there is none yet."""
    try:
        header, body = trials.split_epochs(str(folder.epochs), folder.epochs.read_bytes())
    except (OSError, SegbenchError):
        return {}
    columns = header.split(",")
    if metric not in columns:
        return {}
    rows = [line.split(",") for line in body.splitlines()]
    return {int(row[0]): float(row[columns.index(metric)]) for row in rows}
