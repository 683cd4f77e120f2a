"""What tuning changed: each cell at its settings as designed against its winners, where both are recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from segbench.config.experiment import Experiment
from segbench.config.trial import identity
from segbench.records import State, axis_column
from segbench.report.analysis import Analysis
from segbench.report.labels import Labels
from segbench.report.numbers import NONE, count
from segbench.report.study import EVIDENCE
from segbench.report.table import Field
from segbench.report.topics.topic import Column, Frame, Number, TablePart, Text, Topic, Words, interval
from segbench.report.trace import Measured, Row, Source, is_known, rows_of, show_of
from segbench.stats.intervals import t_interval
from segbench.store.layout import HASH_DIGITS
from segbench.store.tuning import CellTuning, TuningTrial
from segbench.store.untuned import UntunedTrial
from segbench.wording import counted, listed

_COLUMNS: Final = (
    *("n_default", "default", "n_tuned", "tuned", "n", "difference", "low", "high"),
    *("val_default", "val_winner", "source", "missing", "trials"),
    *EVIDENCE,
)
NO_DEFAULT: Final = "test outcome as designed: no record"
NO_TUNED: Final = "test outcome tuned: no record"
NO_COMMON: Final = "no seed has both"
NO_VAL: Final = "the tuning never tried the settings as designed"


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


# The topic.


def _columns(analysis: Analysis) -> list[Column]:
    outcome, objective = analysis.experiment.outcome, analysis.experiment.baseline.objective.metric

    def mean(name: str, title: Words, words: str, of: str) -> Number:
        def with_seeds(labels: Labels, row: Row, found: Field) -> Field:
            n = row[f"n_{name}"]
            return replace(found, text=f"{found.text} ({count(n)})") if n else Field(text=NONE)

        return Number(
            name=name,
            title=title,
            words=f"mean {outcome} {words}",
            formula=f"Mean over seeds of {outcome} {of}.",
            show=show_of(outcome),
            dress=with_seeds,
        )

    def of_tuning(name: str, title: Words) -> Number:
        return Number(
            name=f"val_{name}",
            title=title,
            words=f"{objective} of the {name}",
            formula=f"{objective} of the tuning trial with these settings; mean over repeats with both.",
            show=show_of(objective),
            behind="tuning",
            is_optional=True,
        )

    return [
        Text(name="cell", title="Cell", text=lambda labels, row: labels.cell(row["cell"])),
        Text(
            name="settings",
            title="As designed",
            text=lambda labels, row: _settings(labels.analysis, row["cell"], labels),
        ),
        mean(
            "default",
            lambda labels: f"{labels.metric(outcome)}, as designed",
            "as designed",
            "at the settings of the file",
        ),
        mean("tuned", "tuned", "tuned", "of the winner's replicates"),
        Number(
            name="difference",
            title="Difference",
            words="difference",
            formula="Mean over seeds of tuned minus as designed, paired by seed.",
            show=show_of(outcome, is_difference=True),
        ),
        interval(
            "95 % interval",
            "Difference ± t(0.975, n − 1) · sd / √n over the seeds that have both.",
            show_of(outcome),
            title="95 % interval",
        ),
        of_tuning("default", lambda labels: f"{labels.metric(objective)}, as designed"),
        of_tuning("winner", "winner"),
        Text(name="missing", title="Missing", text=lambda labels, row: row["missing"] or NONE),
    ]


def _source(measured: Measured, row: Row, number: Number) -> Source:
    if number.behind == "tuning":
        trials = measured.analysis.tuning_trials
        own = trials[trials["cell"] == row["cell"]] if trials is not None else None
        return Source(trials=() if own is None else tuple(str(trial) for trial in own["trial"]))
    by_seed = {
        "tuned": row["level_by_seed"],
        "as designed": row["baseline_by_seed"],
        "difference": row["difference_by_seed"],
    }
    return Source(trials=row["trials"], seeds=row["seeds"], by_seed=by_seed if row["seeds"] else {})


def _settings(analysis: Analysis, cell: str, labels: Labels) -> str:
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


def _ordered(labels: Labels) -> list[Row]:
    frame, tune = labels.analysis.untuned, labels.analysis.experiment.tune
    return [] if frame is None or tune is None else list(rows_of(labels.ordered(frame)))


def _note(labels: Labels, rows: Sequence[Row]) -> str:
    experiment = labels.analysis.experiment
    assert experiment.tune is not None
    sources = [name for row in rows_of(labels.analysis.untuned) for name in row["source"].split(", ") if name]
    others = [name for name in dict.fromkeys(sources) if name != experiment.name]
    note = (
        "Tuned minus as designed, paired by seed over replicates on the test images, (n) seeds each; "
        "exploratory, and for this one tuning. No tuning trial enters it."
    )
    if others:
        note += f" Trials as designed are those of {', '.join(others)}."
    if any(is_known(row["val_default"]) for row in rows):
        note += (
            f" {labels.metric(experiment.baseline.objective.metric)}: tuning trials of one seed; the "
            f"winner's is the best of {count(experiment.tune.search.num_trials)}, so its lead flatters."
        )
    return note


UNTUNED: Final = Frame(
    name="untuned",
    subject=lambda analysis, row: f"{row['cell']}: tuned - as designed",
    columns=_columns,
    source=_source,
)

TOPIC: Final = Topic(
    name="untuned",
    section="tuning",
    frames=(UNTUNED,),
    tables=(
        TablePart(
            name="untuned",
            frame=UNTUNED,
            caption="Tuned against untuned.",
            rows=_ordered,
            note=_note,
        ),
    ),
)
