"""Axes: what each level sets, which level is the baseline, and which mistakes make a comparison void."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from segbench.config.document import Node
from segbench.config.experiment import Axis, Level
from segbench.config.labels import find_label
from segbench.config.problems import Place, Problems
from segbench.config.resolve import FIELDS, Fields, resolve_field, set_path
from segbench.config.structure import INVALID

RESERVED: Final = (
    *("at", "between", "metric", "on", "text"),  # words of a claim
    *("axis", "baseline", "cell", "diverged", "epoch", "failed", "failure", "flops", "fold", "high", "level"),
    *(
        "instability",
        "low",
        "mean",
        "missing",
        "n",
        "number",
        "parameters",
        "reason",
        "sd",
        "seed",
        "seeds",
        "state",
        "trial",
    ),
    *("value", "epoch_time_s", "images_per_s", "peak_memory_mib", "selected_epoch", "val_mean", "mean_last"),
    "value_last",  # columns of a report
    "asked",  # a column of index.csv
)
"""No axis has one of these names."""


@dataclass(frozen=True)
class Change:
    """One thing that a level sets."""

    target: str
    place: Place
    """Where the target stands."""
    node: Node


@dataclass(frozen=True)
class Setting:
    """A level with its values resolved."""

    label: str
    place: Place
    changes: tuple[Change, ...]
    whole: Mapping[str, tuple[Any, Place]]
    """Field -> its resolved value and place."""
    is_broken: bool
    """Whether a problem was recorded about it."""

    @property
    def paths(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.target not in FIELDS)

    def level(self) -> Level:
        return Level(self.label, {change.target: change.node.plain() for change in self.changes})


@dataclass(frozen=True)
class Dimension:
    """An axis as read: settings by label."""

    name: str
    place: Place
    settings: Mapping[str, Setting]
    baseline: str | None
    """The label that the file names, if any."""

    @property
    def targets(self) -> dict[str, Place]:
        return {
            change.target: change.place for setting in self.settings.values() for change in setting.changes
        }

    @property
    def is_broken(self) -> bool:
        return any(setting.is_broken for setting in self.settings.values())


def read_dimensions(axes: Node, problems: Problems) -> list[Dimension]:
    """Read every axis."""
    found: list[Dimension] = []
    for name, node in axes.items():
        place = axes.key_place(name)
        if name in RESERVED:
            problems.add(place, "an axis must not have this name: reports use it", got=name)
        found.append(read_dimension(name, place, node, problems))
    return found


def read_dimension(name: str, place: Place, node: Node, problems: Problems) -> Dimension:
    """Read one axis whose levels are a mapping by label."""
    path = node.get("path")
    target = path.value if path is not None else name if name in FIELDS else None
    target_place = place if path is None else path.place
    levels = node["levels"]
    count = len(problems)
    if target is not None:
        check_target(target, target_place, problems)
    is_target_broken = len(problems) > count
    settings: dict[str, Setting] = {}
    for label, body in levels.items():
        if not label.strip():
            problems.add(levels.key_place(label), "a level's label must not be empty", got=label)
        if target is not None:
            changes = [Change(target, target_place, body)]
        elif body.is_mapping and body.value:
            changes = [Change(key, body.key_place(key), value) for key, value in body.items()]
        else:
            rule = "an axis that is no field and has no `path:` needs levels such as {label: {norm: none}}"
            problems.add(place, rule, got=name, known=FIELDS)
            settings[label] = Setting(label, levels.key_place(label), (), {}, True)
            continue
        settings[label] = _setting(
            label, levels.key_place(label), changes, problems, is_checked=target is not None
        )
        if is_target_broken:
            settings[label] = Setting(label, levels.key_place(label), (), {}, True)
    return Dimension(name, place, settings, _named_baseline(name, node, settings, problems))


def check_target(target: str, place: Place, problems: Problems) -> None:
    """Record it if a target is neither a field nor a path that starts with one."""
    name, dot, rest = target.partition(".")
    if name not in FIELDS:
        problems.add(place, "there is no such field", got=name, known=FIELDS)
    elif dot and not rest:
        problems.add(place, "a knob's path is FIELD.KNOB", got=target)


def apply(fields: Fields, settings: Sequence[Setting], problems: Problems) -> Fields | None:
    """Apply levels to a configuration: first whole fields, then paths; None where that is impossible."""
    for setting in settings:
        for name, (value, place) in setting.whole.items():
            fields = fields.having(name, value, place)
    for setting in settings:
        for change in setting.paths:
            changed = set_path(fields, change.target, change.place, change.node, problems)
            if changed is None:
                return None
            fields = changed
    return None if any(setting.is_broken for setting in settings) else fields


def finish(
    dimension: Dimension, base: Fields, problems: Problems, when: Mapping[str, tuple[str, ...]] | None = None
) -> Axis:
    """Find the baseline level, and refuse levels that are one configuration.

    Args:
        dimension: The axis as read.
        base: The baseline; of a conditional axis, as it is where the condition holds.
        problems: Takes what is wrong.
        when: The condition.
    """
    results: dict[str, Fields] = {}
    for label, setting in dimension.settings.items():
        result = apply(base, [setting], problems)
        if result is None:
            continue
        for other, earlier in results.items():
            if earlier.values == result.values:
                rule = f"the levels {other!r} and {label!r} of {dimension.name} are one configuration"
                problems.add(setting.place, rule, see="Take one of them out")
        results[label] = result
    labels = list(dimension.settings)
    unchanged = [label for label, result in results.items() if result.values == base.values]
    baseline = dimension.baseline or (unchanged[0] if unchanged else None)
    if baseline is None:
        if len(results) == len(labels):
            where = "" if not when else f" with {', '.join(f'{k}: {v[0]}' for k, v in when.items())}"
            rule = f"no level of {dimension.name} is what `baseline:` of the experiment holds{where}"
            see = f"Name the level to compare with: {{levels: ..., baseline: {labels[0]}}}"
            problems.add(dimension.place, rule, known=labels, see=see)
        baseline = labels[0]
    levels = tuple(setting.level() for setting in dimension.settings.values())
    return Axis(dimension.name, levels, baseline, dict(when or {}))


def _setting(
    label: str, place: Place, changes: list[Change], problems: Problems, *, is_checked: bool
) -> Setting:
    count = len(problems)
    whole: dict[str, tuple[Any, Place]] = {}
    for change in changes:
        if change.target in FIELDS:
            value = resolve_field(change.target, change.node, problems)
            if value is not INVALID:
                whole[change.target] = (value, change.node.place)
        elif not is_checked:
            check_target(change.target, change.place, problems)
    return Setting(label, place, tuple(changes), whole, len(problems) > count)


def _named_baseline(name: str, node: Node, settings: Mapping[str, Setting], problems: Problems) -> str | None:
    named = node.get("baseline")
    if named is None or (named.value is None and "null" not in settings):
        return None
    label = find_label(named, settings)
    if label is None:
        problems.add(named.place, f"{name} has no level of this label", got=named.text, known=settings)
        return next(iter(settings))  # so that its lack is not reported again
    return label
