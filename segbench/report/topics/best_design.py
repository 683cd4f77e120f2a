"""A search's result as an experiment: its best configuration against its baseline, over fresh seeds."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from segbench.config.document import Node, dump
from segbench.config.expand import apply_parameters
from segbench.config.experiment import Experiment
from segbench.config.trial import Target, TrialConfig
from segbench.errors import ExperimentError
from segbench.report.topics.search import Best
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


def best_design(
    experiment: Experiment, points: Sequence[Best], *, used: Sequence[int], partial: str | None
) -> tuple[str, str]:
    """Write the design as a file that `segbench plan` and `sweep` take.

    Args:
        experiment: A search.
        points: The best proposal, or the Pareto front.
        used: Seeds that a trial of the search had: the design has others.
        partial: What the search still lacks.

    Returns:
        The file and why there is none; one of the two is empty.
    """
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
            return _head(experiment, chosen, partial) + dump(document), ""
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
