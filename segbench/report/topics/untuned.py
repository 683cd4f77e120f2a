"""What tuning changed: each cell at its settings as designed against its winners, where both are recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd

from segbench.config.experiment import Experiment
from segbench.config.trial import identity
from segbench.records import State, axis_column, parameter_column
from segbench.report.analysis import Analysis
from segbench.report.columns import Numbered, rows_of
from segbench.report.labels import Labels
from segbench.report.numbers import NONE, Numbers, count, counted, listed
from segbench.report.study import EVIDENCE
from segbench.report.table import Column, Field, Table
from segbench.report.trace_frames import untuned_subject
from segbench.stats.intervals import t_interval
from segbench.store.layout import HASH_DIGITS
from segbench.store.tuning import CellTuning, TuningTrial
from segbench.store.untuned import UntunedTrial

_COLUMNS: Final = (
    *("n_default", "default", "n_tuned", "tuned", "n", "difference", "low", "high"),
    *("val_default", "val_winner", "source", "missing", "trials"),
    *EVIDENCE,
)
NO_DEFAULT: Final = "test outcome as designed: no record"
NO_TUNED: Final = "test outcome tuned: no record"
NO_COMMON: Final = "no seed has both"
NO_VAL: Final = "the tuning never tried the settings as designed"


def tuning_trials_frame(experiment: Experiment, tunings: Sequence[CellTuning]) -> pd.DataFrame:
    """Return `Analysis.tuning_trials`: a row a tuning trial."""
    assert experiment.tune is not None
    axes = {axis_column(axis.name): axis.name for axis in experiment.axes}
    parameters = {parameter_column(p.name): p.name for p in experiment.tune.search.parameters}
    rows = []
    for tuning in sorted(tunings, key=lambda t: experiment.cells.index(t.cell)):
        winner = tuning.winner
        for number, trial in sorted(tuning.trials.items()):
            is_complete = trial.state is State.COMPLETE and trial.objective is not None
            rows.append(
                {
                    "cell": tuning.cell.label,
                    **{column: tuning.cell.levels.get(axis) for column, axis in axes.items()},
                    "repeat": tuning.repeat,
                    "number": number,
                    "trial": trial.hash,
                    "state": trial.state.value,
                    "value": trial.objective if is_complete else float("nan"),
                    "is_winner": winner is not None and trial.hash == winner.hash,
                    **{column: trial.parameters.get(name) for column, name in parameters.items()},
                }
            )
    names = ("repeat", "number", "trial", "state", "value", "is_winner")
    return pd.DataFrame(rows, columns=["cell", *axes, *names, *parameters])


def untuned_frame(
    experiment: Experiment,
    table: pd.DataFrame,
    tunings: Sequence[CellTuning],
    found: Sequence[UntunedTrial],
) -> pd.DataFrame:
    """Return `Analysis.untuned`: a row a cell.

    Only replicates are compared with replicates, seed by seed, and tuning trials with tuning trials.

    Args:
        experiment: A tuned design.
        table: The measured table: the replicates of the winners.
        tunings: Of the design.
        found: Trials of the cells as designed.
    """
    axes = {axis_column(axis.name): axis.name for axis in experiment.axes}
    metric = experiment.outcome.removeprefix("test_")
    rows = []
    for cell in experiment.cells:
        mine = [trial for trial in found if trial.cell == cell and metric in trial.record.test]
        default = {trial.record.seed: float(trial.record.test[metric]) for trial in mine}
        own = table[(table["cell"] == cell.label) & (table["state"] == State.COMPLETE.value)]
        measured = own[own[experiment.outcome].notna()] if experiment.outcome in own else own.iloc[:0]
        tuned = {
            int(seed): float(value)
            for seed, value in zip(measured["seed"], measured.get(experiment.outcome, ()), strict=True)
        }
        seeds = tuple(sorted(default.keys() & tuned.keys()))
        hashes = [trial.record.hash for trial in mine] + [str(trial) for trial in measured["trial"]]
        rows.append(
            {
                "cell": cell.label,
                **{column: cell.levels.get(axis) for column, axis in axes.items()},
                "n_default": len(default),
                "default": _mean(default.values()),
                "n_tuned": len(tuned),
                "tuned": _mean(tuned.values()),
                "source": ", ".join(dict.fromkeys(trial.experiment for trial in mine)),
                "trials": tuple(dict.fromkeys(hashes)),
                **_paired(seeds, tuned, default),
                **_validation([tuning for tuning in tunings if tuning.cell == cell]),
            }
        )
        rows[-1]["missing"] = _missing(rows[-1])
    return pd.DataFrame(rows, columns=["cell", *axes, *_COLUMNS])


def untuned_notes(frame: pd.DataFrame) -> list[str]:
    """Return what the comparison lacks, a sentence each."""
    lacking = [str(row["cell"]) for row in frame.to_dict("records") if not row["n_default"]]
    if not lacking:
        return []
    cells = "any cell" if len(lacking) == len(frame) else listed(lacking)
    return [
        f"What tuning changed on the test images is not known of {cells}: no record of it as designed, "
        "without tuning. The same file without `tune:`, swept under another name, would make them."
    ]


def _paired(seeds: Sequence[int], tuned: Mapping[int, float], default: Mapping[int, float]) -> dict[str, Any]:
    differences = tuple(tuned[seed] - default[seed] for seed in seeds)
    low, high = t_interval(differences)
    return {
        "n": len(seeds),
        "difference": _mean(differences),
        "low": low,
        "high": high,
        "seeds": tuple(seeds),
        "level_by_seed": tuple(tuned[seed] for seed in seeds),
        "baseline_by_seed": tuple(default[seed] for seed in seeds),
        "difference_by_seed": differences,
        "sd": float(np.std(differences, ddof=1)) if len(seeds) > 1 else float("nan"),
        "num_units": 0,
        "images_variance": float("nan"),
    }


def _validation(tunings: Sequence[CellTuning]) -> dict[str, float]:
    """Return the objective of the settings as designed and of the winner, where a study tried both."""
    pairs = []
    for tuning in tunings:
        default, winner = _as_designed(tuning), tuning.winner
        if default is not None and default.objective is not None and winner is not None:
            assert winner.objective is not None
            pairs.append((default.objective, winner.objective))
    return {
        "val_default": _mean([default for default, _ in pairs]),
        "val_winner": _mean([winner for _, winner in pairs]),
    }


def _as_designed(tuning: CellTuning) -> TuningTrial | None:
    """Return the complete tuning trial at the settings as designed; None: it was never tried."""
    for trial in tuning.trials.values():
        if trial.state is State.COMPLETE:
            whole = identity(
                tuning.cell.config, seed=trial.seed, fold=0, data_fingerprint=trial.data_fingerprint
            )
            if whole[:HASH_DIGITS] == trial.hash:
                return trial
    return None


def _missing(row: Mapping[str, Any]) -> str:
    parts = [] if row["n_default"] else [NO_DEFAULT]
    parts += [] if row["n_tuned"] else [NO_TUNED]
    if row["n_default"] and row["n_tuned"]:
        if not row["n"]:
            parts.append(NO_COMMON)
        elif row["n"] < row["n_tuned"]:
            parts.append(f"as designed {counted(row['n'], 'seed')} of {row['n_tuned']}")
    elif row["val_default"] != row["val_default"]:
        parts.append(NO_VAL)
    return "; ".join(parts)


def _mean(values: Any) -> float:
    values = list(values)
    return float(np.mean(values)) if values else float("nan")


# The table of what tuning changed.


def untuned_table(analysis: Analysis, labels: Labels) -> Table:
    """Return a row a cell: as designed, tuned, and the difference where seeds have both."""
    frame = analysis.untuned
    if frame is None or frame.empty or analysis.experiment.tune is None:
        return Table(name="untuned", caption="", columns=(), rows=())
    experiment = analysis.experiment
    outcome, objective = experiment.outcome, experiment.baseline.objective.metric
    numbers = Numbers(labels.style.digits)
    has_val = frame["val_default"].notna().any()
    metric = labels.metric(objective)
    compared = Numbered(
        labels,
        "untuned",
        (
            ("Difference", "difference"),
            ("95 % interval", "interval"),
            *(((f"{metric}, as designed", "val_default"), ("winner", "val_winner")) if has_val else ()),
        ),
    )
    rows = []
    for row in rows_of(labels.ordered(frame)):
        subject = untuned_subject(analysis, row)
        hover = partial(labels.traces.hover, "untuned", subject)
        rows.append(
            (
                Field(text=labels.cell(row["cell"])),
                Field(text=_as_designed_column(analysis, row["cell"], labels)),
                _mean_column(
                    numbers.of(outcome, row["default"]), row["n_default"], row["default"], hover("default")
                ),
                _mean_column(numbers.of(outcome, row["tuned"]), row["n_tuned"], row["tuned"], hover("tuned")),
                *compared.fields(subject),
                Field(text=row["missing"] or NONE),
            )
        )
    columns = (
        Column(title="Cell", is_number=False),
        Column(title="As designed", is_number=False),
        Column(title=f"{labels.metric(outcome)}, as designed"),
        Column(title="tuned"),
        *compared.columns,
        Column(title="Missing", is_number=False),
    )
    sources = [name for text in frame["source"] for name in text.split(", ") if name]
    others = [name for name in dict.fromkeys(sources) if name != experiment.name]
    note = (
        "Tuned minus as designed, paired by seed over replicates on the test images, (n) seeds each; "
        "exploratory, and for this one tuning. No tuning trial enters it."
    )
    if others:
        note += f" Trials as designed are those of {', '.join(others)}."
    if has_val:
        note += (
            f" {metric}: tuning trials of one seed; the winner's is the best of "
            f"{count(experiment.tune.search.num_trials)}, so its lead flatters."
        )
    return Table(
        name="untuned",
        caption="Tuned against untuned.",
        columns=columns,
        rows=tuple(rows),
        note=note,
    )


def _mean_column(text: str, n: int, value: float, hover: str) -> Field:
    return Field(text=f"{text} ({count(n)})" if n else NONE, sort=value, hover=hover if n else "")


def _as_designed_column(analysis: Analysis, cell: str, labels: Labels) -> str:
    """Return the tuned knobs as the cell was designed: `lr 0.001, momentum 0.9`."""
    tune = analysis.experiment.tune
    assert tune is not None
    found = next(each for each in analysis.experiment.cells if each.label == cell)
    parts = []
    for knob in tune.search_of(found).parameters:
        if knob.levels:
            continue
        try:
            value = found.config.at(knob.path)
        except KeyError:
            continue
        shown = f"{value:.3g}" if isinstance(value, int | float) else str(value)
        parts.append(f"{labels.name(knob.name)} {shown}")
    return ", ".join(parts) or NONE
