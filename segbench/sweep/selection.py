"""`--only norm=DyT --seeds 0-1`: a part of the design, parsed and checked in one place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from segbench.config.experiment import Experiment, PlannedTrial
from segbench.errors import ExperimentError, message

_SEEDS: Final = re.compile(r"(\d+)(?:-(\d+))?")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which trials of a design are meant. Without conditions: all."""

    levels: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Axis -> labels, any of which will do; all axes must agree."""
    seeds: frozenset[int] | None = None

    @property
    def is_all(self) -> bool:
        return not self.levels and self.seeds is None

    def takes_cell(self, levels: Mapping[str, str]) -> bool:
        """Whether a cell of these levels is meant."""
        return all(levels.get(axis) in labels for axis, labels in self.levels.items())

    def takes(self, levels: Mapping[str, str], seed: int) -> bool:
        """Whether a trial of these levels and this seed is meant."""
        return self.takes_cell(levels) and (self.seeds is None or seed in self.seeds)


def parse_selection(
    experiment: Experiment, *, only: Sequence[str] | None = None, seeds: str | None = None
) -> Selection:
    """Read `--only` and `--seeds`.

    Args:
        experiment: What they are about.
        only: Conditions such as `norm=DyT` or `norm=DyT,none`; a label that holds a comma is taken whole.
        seeds: A list such as `0-1` or `0,2,4`.

    Raises:
        ExperimentError: An axis, level or seed is not in the experiment, or the text is none of these forms.
    """
    problems: list[str] = []
    levels: dict[str, frozenset[str]] = {}
    for condition in only or ():
        axis, labels = _condition(condition, experiment, problems)
        levels[axis] = levels[axis] & labels if axis in levels else labels
    wanted = None if seeds is None else _seeds(seeds, experiment, problems)
    if problems:
        raise ExperimentError(problems)
    return Selection(levels=levels, seeds=wanted)


def select(
    trials: Sequence[PlannedTrial],
    experiment: Experiment,
    *,
    only: Sequence[str] | None = None,
    seeds: str | None = None,
) -> tuple[PlannedTrial, ...]:
    """Return the trials that `--only` and `--seeds` mean, in their order.

    Raises:
        ExperimentError: As `parse_selection`; or no trial is left.
    """
    selection = parse_selection(experiment, only=only, seeds=seeds)
    chosen = tuple(trial for trial in trials if selection.takes(trial.cell.levels, trial.seed))
    if trials and not chosen:
        raise ExperimentError(
            message(
                experiment.name,
                "no trial of the design is left",
                got=" ".join([*(only or ()), seeds or ""]).strip(),
            )
        )
    return chosen


def _condition(text: str, experiment: Experiment, problems: list[str]) -> tuple[str, frozenset[str]]:
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not value:
        problems.append(message("--only", "a condition has the form AXIS=LEVEL", got=text))
        return name, frozenset()
    axes = {axis.name: axis for axis in experiment.axes}
    if name not in axes:
        problems.append(message("--only", f"{experiment.name} has no such axis", got=name, known=axes))
        return name, frozenset()
    known = axes[name].labels
    labels = [value] if value in known else [label.strip() for label in value.split(",")]
    problems += [
        message("--only", f"the axis {name} has no such level", got=label, known=known)
        for label in labels
        if label not in known
    ]
    return name, frozenset(labels)


def _seeds(text: str, experiment: Experiment, problems: list[str]) -> frozenset[int]:
    wanted: set[int] = set()
    for part in text.split(","):
        found = _SEEDS.fullmatch(part.strip())
        if found is None or (found[2] and int(found[2]) < int(found[1])):
            problems.append(message("--seeds", "a list of seeds has the form 0-1 or 0,2,4", got=text))
            return frozenset()
        # A range is clipped before it is counted out: 0-999999999 must not fill the memory.
        last = int(found[2] or found[1])
        named = {s for s in experiment.seeds if int(found[1]) <= s <= last}
        if not named:
            shown = ", ".join(map(str, experiment.seeds))
            problems.append(
                message("--seeds", f"the seeds of {experiment.name} are {shown}", got=part.strip())
            )
        wanted |= named
    return frozenset(wanted)
