"""A tuned design: the winners, the budget, how far the verdicts reach, and what tuning changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from segbench.config.experiment import Cell, Experiment, SearchParameter
from segbench.config.trial import identity
from segbench.records import State, axis_column, parameter_column
from segbench.report.analysis import Analysis
from segbench.report.draw.figure import Facet, Figure, Key, Look, Scale, in_rows
from segbench.report.labels import Labels
from segbench.report.numbers import NONE, Numbers, count
from segbench.report.study import EVIDENCE, Study
from segbench.report.table import Field
from segbench.report.topics.arrangement import slug
from segbench.report.topics.search import (
    Aim,
    Drawn,
    drawn,
    edge_text,
    keys,
    one_trial,
    parameter_columns,
    points,
    positions,
    scale_of,
)
from segbench.report.topics.topic import (
    Column,
    FigurePart,
    Frame,
    Number,
    TablePart,
    Text,
    Topic,
    Words,
    interval,
)
from segbench.report.trace import Measured, Row, Source, is_known, rows_of, show_count, show_of
from segbench.stats.intervals import t_interval
from segbench.store.layout import HASH_DIGITS
from segbench.store.tuning import CellTuning, TuningTrial
from segbench.store.untuned import find_untuned
from segbench.wording import counted, listed

TUNED_PROTOCOL = (
    "Every cell is trained at settings of its own: those that won its tuning on the validation images, with "
    "seeds that no tuning trial had. Tuning trials never saw the test images and enter no contrast; all else "
    "is one protocol."
)
AT_THESE_SETTINGS = (
    "The tuning was done once: verdicts hold at these tuned settings, and the intervals leave out that "
    "another tuning may choose others. `tune: {repeats: ...}` repeats it."
)


def _one_row_per(
    facts: Callable[[CellTuning], Iterable[tuple[Mapping[str, Any], TuningTrial | None]]],
    names: Sequence[str],
    study: Study,
) -> pd.DataFrame:
    """Return a frame with the columns `cell`, the axes, `repeat`, `names` and the parameters.

    `facts` yields what a row says under `names`, and the trial whose parameters it shows.
    """
    experiment = study.experiment
    searched = experiment.tune.search.parameters if experiment.tune is not None else ()
    parameters = {parameter_column(parameter.name): parameter.name for parameter in searched}
    rows = [
        {
            "cell": tuning.cell.label,
            **_levels(experiment, tuning.cell),
            "repeat": tuning.repeat,
            **row,
            **{c: None if trial is None else trial.parameters.get(name) for c, name in parameters.items()},
        }
        for tuning in sorted(study.tunings, key=lambda t: experiment.cells.index(t.cell))
        for row, trial in facts(tuning)
    ]
    return pd.DataFrame(rows, columns=["cell", *study.axes, "repeat", *names, *parameters])


def _levels(experiment: Experiment, cell: Cell) -> dict[str, str | None]:
    return {axis_column(axis.name): cell.levels.get(axis.name) for axis in experiment.axes}


def tuning_frame(study: Study) -> pd.DataFrame:
    """Return one row per cell and repeat of a tuned design; empty for others.

    Returns:
        `cell`, one column per axis, `repeat`, `ended` (tuning trials), `diverged`, `failed`, `trial` (the
        winner; empty: none), `value` (its objective), one column per parameter.
    """

    def won(tuning: CellTuning) -> Iterator[tuple[Mapping[str, Any], TuningTrial | None]]:
        winner = tuning.winner
        counts = {state.value: tuning.count(state) for state in (State.DIVERGED, State.FAILED)}
        trial = {"trial": "", "value": float("nan")}
        if winner is not None:
            trial = {"trial": winner.hash, "value": winner.objective}
        yield {"ended": tuning.num_ended, **counts, **trial}, winner

    return _one_row_per(won, ("ended", "diverged", "failed", "trial", "value"), study)


def tuning_trials_frame(study: Study) -> pd.DataFrame:
    """Return one row per tuning trial of a tuned design; empty for others.

    Returns:
        `cell`, one column per axis, `repeat`, `number`, `trial`, `state`, `value` (objective; NaN unless
        complete), `is_winner`, one column per parameter.
    """

    def tried(tuning: CellTuning) -> Iterator[tuple[Mapping[str, Any], TuningTrial]]:
        for number, trial in sorted(tuning.trials.items()):
            is_complete = trial.state is State.COMPLETE and trial.objective is not None
            row = {
                "number": number,
                "trial": trial.hash,
                "state": trial.state.value,
                "value": trial.objective if is_complete else float("nan"),
                "is_winner": tuning.winner is not None and trial.hash == tuning.winner.hash,
            }
            yield row, trial

    return _one_row_per(tried, ("number", "trial", "state", "value", "is_winner"), study)


def without_hope(table: pd.DataFrame, tunings: Sequence[CellTuning]) -> pd.DataFrame:
    """Have the replicates of a cell that could not be tuned say so: they failed, none will be trained.

    Args:
        table: One row per planned trial, with `cell`, `seed`, `state`.
        tunings: Of the design.
    """
    hopeless = [tuning for tuning in tunings if tuning.is_hopeless]
    if not hopeless:
        return table
    table = table.assign(**{name: None for name in ("failure", "reason") if name not in table})
    table = table.astype({"failure": object, "reason": object, "trial": object})
    for tuning in hopeless:
        of_cell = (table["cell"] == tuning.cell.label) & table["seed"].isin(tuning.seeds)
        table.loc[of_cell, ["state", "reason", "trial"]] = [
            State.FAILED.value,
            tuning.failure_text(),
            "",
        ]
    return table


def unfinished_text(tunings: Sequence[CellTuning]) -> str | None:
    """Say how far an unfinished tuning is; None: every budget is spent."""
    if all(tuning.is_over for tuning in tunings):
        return None
    ended = sum(tuning.num_ended for tuning in tunings)
    return f"partial: {ended} of {sum(tuning.num_trials for tuning in tunings)} tuning trials"


def reach_text(experiment: Experiment) -> str:
    """Say what was tuned and whether the intervals include it, for the head of a report."""
    tune = experiment.tune
    assert tune is not None
    space = listed([_dimension_text(parameter) for parameter in tune.search.parameters])
    trials = f"{counted(tune.search.num_trials, 'trial')} a cell by {tune.search.sampler} over {space}"
    metric = experiment.baseline.objective.metric
    num_seeds = len(experiment.seeds)
    repeats = min(tune.repeats, num_seeds)
    by = f"{trials}; best {metric}"
    if repeats == 1:
        seed = f"seed {tune.seed}"
        return f"at these tuned settings ({by}, {seed})"
    times = f"tuning repeated {repeats} times ({by}, seeds {tune.seed} to {tune.seed + repeats - 1})"
    if repeats == num_seeds:
        return f"{times}; intervals include it"
    return f"{times} for {num_seeds} seeds, which share winners; intervals include a part of its scatter"


def tuned_sentence(experiment: Experiment) -> list[str]:
    """Close the answer with how far it reaches; nothing where nothing is tuned."""
    if experiment.tune is None:
        return []
    repeats = min(experiment.tune.repeats, len(experiment.seeds))
    if repeats == 1:
        return ["Every cell was tuned, once: this holds at these tuned settings."]
    return [f"Every cell was tuned {repeats} times afresh."]


def tuning_notes(study: Study) -> list[str]:
    """Return the caveats of a tuned design."""
    experiment, tunings = study.experiment, study.tunings
    notes = []
    if experiment.tune is not None and min(experiment.tune.repeats, len(experiment.seeds)) == 1:
        notes.append(AT_THESE_SETTINGS)
    failed = [(t, t.count(State.FAILED)) for t in tunings if t.is_over]
    if len({n for _, n in failed}) > 1:
        short = listed([f"{t.cell.label} ({n} of {t.num_trials})" for t, n in failed if n])
        notes.append(f"Budgets were not equal: tuning trials failed in {short}.")
    notes += [f"{t.cell.label} {t.failure_text()}." for t in tunings if t.is_hopeless]
    return notes


def _dimension_text(parameter: SearchParameter) -> str:
    if parameter.levels:
        return f"{parameter.name} ({', '.join(level.label for level in parameter.levels)})"
    log = ", log" if parameter.log else ""
    return f"{parameter.name} ({parameter.low:g} to {parameter.high:g}{log})"


# The tuning of every cell: what its trials reached along each knob, and which settings won.


_HEIGHT_CM = 3.6
_COLUMNS = 4
MOST_CELLS: Final = 12
_MOST_KNOBS = 4
_DEFAULT: Final = "as designed"


def tuning_figure(analysis: Analysis, labels: Labels) -> Figure | None:
    """Return the tuning trials, one column per cell and one row per knob; None where nothing was tuned."""
    trials, tune = analysis.tuning_trials, analysis.experiment.tune
    if trials.empty or tune is None:
        return None
    objective = analysis.experiment.baseline.objective
    aim = Aim(objective.metric, objective.direction == "minimize")
    found = drawn(trials, aim, labels)
    if found is None:
        return None
    found.frame["is_best"] = found.frame["is_winner"].astype(bool)
    cells = list(dict.fromkeys(str(cell) for cell in labels.ordered(trials)["cell"]))
    shown, knobs = cells[:MOST_CELLS], tune.search.parameters[:_MOST_KNOBS]
    numbers = Numbers(labels.style.digits)
    width = labels.style.width_cm / min(_COLUMNS, len(shown)) - 0.8
    rows: list[tuple[Facet, ...]] = []
    has_default = False
    for knob in knobs:
        values = [value for value in found.frame[parameter_column(knob.name)].tolist() if _is_known(value)]
        x = scale_of(knob, values, labels, width)
        facets = []
        for number, cell in enumerate(shown):
            own = found.frame[
                (found.frame["cell"] == cell) & found.frame[parameter_column(knob.name)].map(_is_known)
            ]
            own = own.reset_index(drop=True)
            if own.empty:
                continue  # a knob that the cell has not
            at = _as_designed(analysis.experiment, cell, knob, x)
            has_default |= bool(at)
            marks = points(
                Drawn(own, found.scale),
                positions(knob, own),
                f"c{number + 1}_{slug(knob.name)}",
                aim,
                numbers,
                knob.name,
            )
            facets.append(
                Facet(title=labels.cell(cell), x=x, y=found.scale, marks=tuple(marks), verticals=at)
            )
        rows += in_rows(facets, _COLUMNS)
    left = [f"the first {len(shown)} of {len(cells)} cells"] if len(shown) < len(cells) else []
    if len(knobs) < len(tune.search.parameters):
        left.append(f"the first {len(knobs)} of {len(tune.search.parameters)} knobs")
    line = " Upright line: the cell as it was designed." if has_default else ""
    return Figure(
        name="tuning",
        title="Tuning trials of every cell",
        caption=(
            f"{labels.metric(aim.metric)} of every tuning trial along each knob"
            f"{' (' + ', '.join(left) + ')' if left else ''}.{line}{edge_text([found])} A best setting at an "
            "end of its range asks for a wider one. These are validation values, the winner's the best of "
            "many; no contrast uses them."
        ),
        facets=tuple(rows),
        width_cm=labels.style.width_cm,
        row_height_cm=_HEIGHT_CM,
        left_cm=1.5,
        legend=(
            *keys([found]),
            *([Key(text=_DEFAULT, look=Look(colour="#555555", size=0.6))] if has_default else []),
        ),
    )


def _as_designed(experiment: Experiment, cell: str, knob: SearchParameter, x: Scale) -> tuple[float, ...]:
    """Return where the cell's own setting stands; nothing where it has none, or lies outside the plot."""
    config = next(each.config for each in experiment.cells if each.label == cell)
    if knob.levels:
        return ()
    try:
        value = float(config.at(knob.path))
    except (KeyError, TypeError, ValueError):
        return ()
    return (value,) if x.low <= value <= x.high else ()


def _is_known(value: Any) -> bool:
    return value is not None and value is not pd.NA and not (isinstance(value, float) and math.isnan(value))


# The topic.


def _columns(analysis: Analysis) -> list[Column]:
    objective, tune = analysis.experiment.baseline.objective.metric, analysis.experiment.tune
    if tune is None:
        return []
    num_trials = tune.search.num_trials

    def counted_trials(name: str, title: str, formula: str, **others: Any) -> Number:
        return Number(
            name=name,
            title=title,
            words=f"tuning trials, {name}",
            formula=formula,
            show=show_count,
            **others,
        )

    return [
        Text(name="cell", title="Cell", text=lambda labels, row: labels.cell(row["cell"])),
        Text(
            name="repeat",
            title="Repeat",
            text=lambda labels, row: Field(text=count(row["repeat"]), sort=row["repeat"]),
            is_number=True,
            when=lambda labels, rows: len({row["repeat"] for row in rows}) > 1,
        ),
        *parameter_columns(tune.search.parameters),
        Number(
            name="value",
            title=lambda labels: labels.metric(objective),
            words=f"{objective} of the winner",
            formula=f"The best {objective} of the cell's complete tuning trials.",
            show=show_of(objective),
        ),
        counted_trials(
            "ended",
            "Tuning trials",
            "Tuning trials of the cell that ended.",
            dress=lambda labels, row, found: replace(found, text=f"{found.text}/{count(num_trials)}"),
        ),
        counted_trials("diverged", "Diverged", "Tuning trials of the cell that have diverged."),
        counted_trials("failed", "Failed", "Tuning trials of the cell that have failed."),
        Text(name="trial", title="Trial", text=lambda labels, row: row["trial"] or NONE, in_print=False),
    ]


TUNING: Final = Frame(
    name="tuning",
    compute=tuning_frame,
    subject=lambda analysis, row: f"{row['cell']}, repeat {int(row['repeat'])}",
    columns=_columns,
    source=one_trial,
    measured=lambda analysis, row: "objective",
)


def _note(labels: Labels, rows: Sequence[Row]) -> str:
    tune = labels.analysis.experiment.tune
    assert tune is not None
    return (
        f"Each cell's best of {count(tune.search.num_trials)} tuning trials on the validation images: as the "
        "largest of many its value flatters, and no contrast uses it."
    )


TRIALS: Final = Frame(name="tuning_trials", compute=tuning_trials_frame)

TOPIC: Final = Topic(
    name="tuning",
    section="tuning",
    frames=(TUNING, TRIALS),
    tables=(
        TablePart(
            name="tuning",
            frame=TUNING,
            caption="Tuned settings of every cell.",
            rows=lambda labels: rows_of(labels.ordered(labels.analysis.tuning)),
            note=_note,
        ),
    ),
    figures=(FigurePart(name="tuning", make=tuning_figure),),
)


_UNTUNED_COLUMNS: Final = (
    *("n_default", "default", "n_tuned", "tuned", "n", "difference", "low", "high"),
    *("val_default", "val_winner", "source", "missing", "trials"),
    *EVIDENCE,
)
NO_DEFAULT: Final = "test outcome as designed: no record"
NO_TUNED: Final = "test outcome tuned: no record"
NO_COMMON: Final = "no seed has both"
NO_VAL: Final = "the tuning never tried the settings as designed"


def untuned_frame(study: Study) -> pd.DataFrame:
    """Return one row per cell of a tuned design: its settings as designed against its winners; exploratory.

    Only replicates are compared with replicates, seed by seed, and tuning trials with tuning trials.

    Returns:
        `cell`, one column per axis, `n_default`, `default`, `n_tuned`, `tuned` (means of the outcome over
        seeds), `n` (seeds in both), `difference`, `low`, `high` (95 %, paired by seed), `val_default`,
        `val_winner` (objectives of tuning trials, mean over the repeats that tried both), `source`
        (experiments that hold the records), `missing` (text), `trials` and the columns of `study.EVIDENCE`.
        Empty for other experiments.
    """
    experiment, table = study.experiment, study.table
    columns = ["cell", *study.axes, *_UNTUNED_COLUMNS]
    if experiment.tune is None:
        return pd.DataFrame(columns=columns)
    found = find_untuned(experiment, study.results.trials["data_fingerprint"].unique())
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
                **_levels(experiment, cell),
                "n_default": len(default),
                "default": _mean(default.values()),
                "n_tuned": len(tuned),
                "tuned": _mean(tuned.values()),
                "source": ", ".join(dict.fromkeys(trial.experiment for trial in mine)),
                "trials": tuple(dict.fromkeys(hashes)),
                **_paired(seeds, tuned, default),
                **_validation([tuning for tuning in study.tunings if tuning.cell == cell]),
            }
        )
        rows[-1]["missing"] = _missing(rows[-1])
    return pd.DataFrame(rows, columns=columns)


def untuned_notes(study: Study) -> list[str]:
    """Return what the comparison lacks, a sentence each; nothing while trials are missing."""
    frame = study.once(untuned_frame)
    lacking = [str(row["cell"]) for row in frame.to_dict("records") if not row["n_default"]]
    if not lacking or study.partial is not None:
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
        default, winner = _untuned_as_designed(tuning), tuning.winner
        if default is not None and default.objective is not None and winner is not None:
            assert winner.objective is not None
            pairs.append((default.objective, winner.objective))
    return {
        "val_default": _mean([default for default, _ in pairs]),
        "val_winner": _mean([winner for _, winner in pairs]),
    }


def _untuned_as_designed(tuning: CellTuning) -> TuningTrial | None:
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


def _untuned_columns(analysis: Analysis) -> list[Column]:
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
        return Source(trials=tuple(map(str, trials.loc[trials["cell"] == row["cell"], "trial"])))
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


def _untuned_note(labels: Labels, rows: Sequence[Row]) -> str:
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
    compute=untuned_frame,
    subject=lambda analysis, row: f"{row['cell']}: tuned - as designed",
    columns=_untuned_columns,
    source=_source,
)

UNTUNED_TOPIC: Final = Topic(
    name="untuned",
    section="tuning",
    frames=(UNTUNED,),
    tables=(
        TablePart(
            name="untuned",
            frame=UNTUNED,
            caption="Tuned against untuned.",
            rows=lambda labels: rows_of(labels.ordered(labels.analysis.untuned)),
            note=_untuned_note,
        ),
    ),
)
