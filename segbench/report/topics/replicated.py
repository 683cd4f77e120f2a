"""What the best of a search is worth with seeds that did not choose it, and the experiment that asks."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from segbench.config.document import Node, dump
from segbench.config.expand import apply_parameters
from segbench.config.experiment import Experiment
from segbench.config.trial import Target, TrialConfig
from segbench.errors import ExperimentError
from segbench.report.analysis import Analysis
from segbench.report.labels import Labels
from segbench.report.numbers import Numbers
from segbench.report.study import Study
from segbench.report.topics.search import Best, best_points, proposal_column
from segbench.report.topics.topic import Column, Frame, Number, TablePart, Text, Topic, interval
from segbench.report.trace import Measured, Row, Source, show_count, show_of
from segbench.stats.intervals import t_interval
from segbench.stats.pareto import spread_out
from segbench.wording import counted

AXIS: Final = "settings"
BASELINE: Final = "baseline"
NUM_SEEDS: Final = 5
MOST_POINTS: Final = 8
"""Points of a Pareto front that become arms."""
_KEPT: Final = (
    "baseline",
    "objective",
    "outcome",
    "margin",
    "expected_seed_sd",
    "subgroups",
    "allow_flawed",
    "slurm",
)


def file_name(name: str) -> str:
    """Return what the file is called beside the report: the name of the experiment that it is."""
    return f"{name}_best.yaml"


def best_design(study: Study) -> tuple[str, str]:
    """Write the design of a search's best as a file that `segbench plan` and `sweep` take.

    Its seeds are none of those that a trial of the search had.

    Returns:
        The file and why there is none; one of the two is empty, both if the experiment is no search.
    """
    experiment, points = study.experiment, study.once(best_points)
    if experiment.search is None:
        return "", ""
    used = study.results.trials["seed"].astype(int).tolist()
    chosen = [points[k] for k in spread_out(list(range(len(points))), MOST_POINTS)]
    if not chosen:
        return "", "There is no complete proposal yet that a design could take up."
    try:
        wanted = {label: _config(experiment, point) for label, point in _labelled(experiment, chosen)}
    except ExperimentError as error:
        return "", f"The best configuration cannot be written as a design: {error}"
    arms = {label: config for label, config in wanted.items() if config != experiment.baseline}
    if not arms:
        return "", "The best proposal is the search's own baseline: there is nothing to compare."
    problem = ""
    for is_whole in (False, True):
        try:
            document = _document(experiment, arms, used=used, is_whole=is_whole)
            made = _assembled(experiment, document)
        except (ExperimentError, KeyError) as error:
            problem = str(error)
            continue
        if [cell.config for cell in made.cells] == [experiment.baseline, *arms.values()]:
            return _head(experiment, chosen, study.partial) + dump(document), ""
    return "", f"The best configuration cannot be written as a design: {problem}"


def _labelled(experiment: Experiment, points: Sequence[Best]) -> list[tuple[str, Best]]:
    assert experiment.search is not None
    if not experiment.search.goals:
        return [("best", points[0])]
    return [(f"proposal {point.number}", point) for point in points]


def _config(experiment: Experiment, point: Best) -> TrialConfig:
    return apply_parameters(experiment, point.parameters).config


def _targets(experiment: Experiment) -> list[str]:
    """Return everything that a proposal sets."""
    assert experiment.search is not None
    found: dict[str, None] = {}
    for parameter in experiment.search.parameters:
        paths = [path for level in parameter.levels for path in level.changes] or [parameter.path]
        found |= dict.fromkeys(paths)
    return list(found)


def _document(
    experiment: Experiment, arms: Mapping[str, TrialConfig], *, used: Sequence[int], is_whole: bool
) -> dict[str, Any]:
    assert experiment.search is not None
    targets = _targets(experiment)
    if is_whole:
        targets = list(dict.fromkeys(Target.of(target).field for target in targets))
    levels = {
        label: {target: config.at(target) for target in targets}
        for label, config in {BASELINE: experiment.baseline, **arms}.items()
    }
    first = max([*used, *experiment.seeds]) + 1
    kept = {key: experiment.document[key] for key in _KEPT if key in experiment.document}
    is_one = not experiment.search.goals
    what = "the best proposal" if is_one else "the Pareto front"
    return {
        "question": f"What is {what} of {experiment.name} worth against the search's baseline?",
        **kept,
        "axes": {AXIS: {"levels": levels, "baseline": BASELINE}},
        "seeds": list(range(first, first + NUM_SEEDS)),
        **({"claims": [{AXIS: f"best > {BASELINE}"}]} if is_one else {}),
    }


def _assembled(experiment: Experiment, document: Mapping[str, Any]) -> Experiment:
    from segbench.config.assemble import assemble
    from segbench.config.document import Place, Problems

    name = file_name(experiment.name).removesuffix(".yaml")
    node = Node.of(document, Place(file_name(experiment.name)))
    return assemble(
        node, Problems(), name=name, project=experiment.project, source=Path(f"{name}.yaml"), overrides={}
    )


def _head(experiment: Experiment, points: Sequence[Best], partial: str | None) -> str:
    assert experiment.search is not None
    metric = experiment.baseline.objective.metric
    path = f"reports/{experiment.name}/{file_name(experiment.name)}"
    num = counted(points[0].num_completed, "complete proposal")
    so_far = f" so far ({partial})" if partial else ""
    if experiment.search.goals:
        goals = " and ".join(goal.metric for goal in experiment.search.goals)
        lines = [f"Points of the Pareto front of {goals} among {num}{so_far}, and the baseline."]
    else:
        best = points[0]
        lines = [f"Proposal {best.number}, the best of {num}{so_far} by {metric} ({best.objective:.4f})."]
    lines += [
        "As the best of many its validation value flatters. This design asks what it is worth on the test",
        "images, with seeds that the search had none of; the baseline is trained with the same seeds.",
        "",
        f"    segbench plan {path}",
        f"    segbench sweep {path}",
    ]
    lines[:1] = textwrap.wrap(f"Written by `segbench report {experiment.name}`. {lines[0]}", 100)
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


_COLUMNS = (
    *("number", "trial", "n", "value", "val_mean", "mean", "sd", "low", "high"),
    *("seeds", "by_seed", "trials"),
)


def replicated_frame(study: Study) -> pd.DataFrame:
    """Return one row per best proposal of a search that was trained with other seeds.

    Returns:
        `number`, `trial`, `n` (seeds), `value` (the objective that chose it), `val_mean` (the objective with
        the other seeds), `mean` (of the outcome), `sd`, `low`, `high` (95 %, over seeds), `seeds`, `by_seed`,
        `trials`.
    """
    experiment, table = study.experiment, study.table
    rows = []
    is_known = "search_replicate_of" in table and experiment.outcome in table
    for point in study.once(best_points) if is_known else []:
        chosen_by = table.loc[table["trial"] == point.trial, "seed"].iloc[0]
        mine = table[(table["search_replicate_of"] == point.trial) & (table["seed"] != chosen_by)]
        mine = mine[mine[experiment.outcome].notna()]
        by_seed = mine.groupby("seed")[[experiment.outcome, "objective"]].mean()
        if by_seed.empty:
            continue
        values = by_seed[experiment.outcome].to_numpy(float)
        low, high = t_interval(values)
        rows.append(
            {
                "number": point.number,
                "trial": point.trial,
                "n": len(values),
                "value": point.objective,
                "val_mean": float(by_seed["objective"].mean()),
                "mean": float(values.mean()),
                "sd": float(values.std(ddof=1)) if len(values) > 1 else np.nan,
                "low": low,
                "high": high,
                "seeds": tuple(int(seed) for seed in by_seed.index),
                "by_seed": tuple(float(value) for value in values),
                "trials": tuple(str(trial) for trial in mine["trial"]),
            }
        )
    return pd.DataFrame(rows, columns=list(_COLUMNS))


# The topic.


_MOST_VALUES = 6
"""Values by seed that are printed; the trace has all."""


def _by_seed(labels: Labels, row: Row) -> str:
    outcome, numbers = labels.analysis.experiment.outcome, Numbers(labels.style.digits)
    by_seed = [numbers.of(outcome, value) for value in row["by_seed"]]
    more = f" and {len(by_seed) - _MOST_VALUES} more" if len(by_seed) > _MOST_VALUES else ""
    return ", ".join(by_seed[:_MOST_VALUES]) + more


def _columns(analysis: Analysis) -> list[Column]:
    outcome, objective = analysis.experiment.outcome, analysis.experiment.baseline.objective.metric
    return [
        proposal_column(analysis),
        Number(
            name="n",
            title="Seeds",
            words="other seeds",
            formula="Seeds that did not choose it.",
            show=show_count,
            after="val_mean",
        ),
        Number(
            name="value",
            title=lambda labels: f"{labels.metric(objective)}, as chosen",
            words=f"{objective} as chosen",
            formula=f"{objective} of the proposal's own trial: the best of the search, and so flattering.",
            show=show_of(objective),
        ),
        Number(
            name="val_mean",
            title="the same, other seeds",
            words=f"{objective} with other seeds",
            formula=f"Mean over the other seeds of {objective} at their selected epochs.",
            show=show_of(objective),
        ),
        Number(
            name="mean",
            title=lambda labels: labels.metric(outcome),
            words=f"mean {outcome}",
            formula=f"Mean over the other seeds of {outcome}.",
            show=show_of(outcome),
        ),
        interval(
            "95 % interval of the mean",
            "Mean ± t(0.975, n − 1) · sd / √n over the other seeds.",
            show_of(outcome),
            title="95 % interval",
        ),
        Number(
            name="sd",
            title="sd",
            words="standard deviation",
            formula=f"sd over the other seeds of {outcome}.",
            show=show_of(outcome),
        ),
        Text(name="by_seed", title="By seed", text=_by_seed),
    ]


def _source(measured: Measured, row: Row, number: Number) -> Source:
    if number.name == "value":
        return Source(trials=(str(row["trial"]),))
    outcome = measured.analysis.experiment.outcome
    return Source(trials=row["trials"], seeds=row["seeds"], by_seed={outcome: row["by_seed"]})


REPLICATED: Final = Frame(
    name="replicated",
    compute=replicated_frame,
    subject=lambda analysis, row: f"proposal {int(row['number'])} with other seeds",
    columns=_columns,
    source=_source,
)


def _lines(analysis: Analysis) -> tuple[str, ...]:
    if not analysis.best_design:
        return ()
    file = file_name(analysis.experiment.name)
    return (
        f"{file} beside this page is an experiment as it stands: the best settings and the search's baseline "
        f"over {NUM_SEEDS} seeds that the search had none of. segbench sweep "
        f"reports/{analysis.experiment.name}/{file} trains it.",
    )


TOPIC: Final = Topic(
    name="replicated",
    section="search",
    frames=(REPLICATED,),
    tables=(
        TablePart(
            name="replicated",
            frame=REPLICATED,
            caption="The best with seeds that did not choose it.",
            note=lambda labels, rows: (
                "The value that chose a proposal is the best of many and flatters; what the same settings "
                "reach with seeds that did not choose them does not. The interval is over seeds, for this "
                "test set; it knows nothing of what another search would have found."
            ),
        ),
    ),
    lines=_lines,
)
