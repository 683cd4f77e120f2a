"""What one experiment has otherwise than another: its file's keys, axes and levels, seeds and claims."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from segbench.config.document import scalar_text
from segbench.config.experiment import Axis, Experiment


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return dotted path -> (value before, value now) of the leaves that differ; None where one lacks it."""
    old, new = flat(before), flat(now)
    return {
        path: (old.get(path), new.get(path))
        for path in dict.fromkeys([*old, *new])
        if path not in old or path not in new or old[path] != new[path]
    }


def renamed(old: Axis | None, new: Axis, label: str) -> str:
    """Return what a level is called now: another label that sets the same, where its own is gone."""
    if old is None or label in new.labels:
        return label
    changes = next((level.changes for level in old.levels if level.label == label), None)
    return next((level.label for level in new.levels if level.changes == changes), label)


def describe_changes(before: Experiment, now: Experiment) -> Iterator[str]:
    """Say what one experiment has otherwise than another, a line each; its words come last."""
    yield from _baseline_lines(before, now)
    yield from _axis_lines(before, now)
    if before.seeds != now.seeds or before.looks != now.looks:
        yield f"seeds: {_seeds(before)} -> {_seeds(now)}"
    if before.design != now.design:
        yield f"design: {before.design.kind} -> {now.design.kind}"
    for name in ("outcome", "margin"):
        old, new = getattr(before, name), getattr(now, name)
        if old != new:
            yield f"{name}: {short(old)} -> {short(new)} (verdicts change, no trial does)"
    added = [c.source for c in now.claims if c.source not in {c.source for c in before.claims}]
    gone = [c.source for c in before.claims if c.source not in {c.source for c in now.claims}]
    yield from (f"claim added: {text}" for text in added)
    yield from (f"claim removed: {text}" for text in gone)
    if before.search != now.search:
        yield "search: the space, sampler or budget"
    if before.tune != now.tune:
        yield "tune: the space, sampler or budget"
    if before.question != now.question:
        yield "question: its words"


def _baseline_lines(before: Experiment, now: Experiment) -> Iterator[str]:
    old, new = flat(before.baseline.to_json()), flat(now.baseline.to_json())
    for path in dict.fromkeys([*old, *new]):
        if path not in new:
            yield f"baseline: {path} {short(old[path])} removed"
        elif path not in old:
            yield f"baseline: {path} {short(new[path])} added"
        elif old[path] != new[path]:
            yield f"baseline: {path} {short(old[path])} -> {short(new[path])}"


def _axis_lines(before: Experiment, now: Experiment) -> Iterator[str]:
    old, new = {a.name: a for a in before.axes}, {a.name: a for a in now.axes}
    for name, axis in new.items():
        if name not in old:
            yield f"axis added: {name} ({', '.join(axis.labels)})"
    for name, axis in old.items():
        if name not in new:
            yield f"axis removed: {name} ({', '.join(axis.labels)})"
            continue
        yield from _level_lines(axis, new[name])


def _level_lines(old: Axis, new: Axis) -> Iterator[str]:
    then = {level.label: level.changes for level in old.levels}
    now = {level.label: level.changes for level in new.levels}
    moved = {label: renamed(old, new, label) for label in then if label not in now}
    moved = {label: to for label, to in moved.items() if to != label and to not in then}
    for label, to in moved.items():
        yield f"{new.name}: level renamed: {label} -> {to}"
    for label in now:
        if label not in then and label not in moved.values():
            yield f"{new.name}: level added: {label}"
        elif label in then and then[label] != now[label]:
            meanings = f"{_sets(then[label])} -> {_sets(now[label])}"
            yield f"{new.name}: level {label} means something else: {meanings}"
    yield from (
        f"{new.name}: level removed: {label}" for label in then if label not in now and label not in moved
    )
    if old.baseline != new.baseline and moved.get(old.baseline) != new.baseline:
        yield f"{new.name}: compared with {new.baseline} instead of {old.baseline}"


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return dotted path -> value of every leaf; an empty mapping is a leaf."""
    found: dict[str, Any] = {}
    for key, inner in value.items():
        path = f"{prefix}{key}"
        if isinstance(inner, Mapping) and inner:
            found |= flat(inner, f"{path}.")
        else:
            found[path] = inner
    return found


def _sets(changes: Mapping[str, Any]) -> str:
    return ", ".join(f"{target} {short(value)}" for target, value in changes.items())


def short(value: Any, most: int = 60) -> str:
    """Write a value as a file has it, cut where it is long; an empty mapping is nothing."""
    if isinstance(value, Mapping) and not value:
        return ""
    text = scalar_text(value) if not isinstance(value, Mapping | list | tuple) else repr(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _seeds(experiment: Experiment) -> str:
    seeds: Sequence[int] = experiment.seeds
    if experiment.looks:
        return f"looks at {', '.join(map(str, experiment.looks))}"
    if tuple(seeds) == tuple(range(len(seeds))):
        return f"{len(seeds)}"
    return f"[{', '.join(map(str, seeds))}]"
