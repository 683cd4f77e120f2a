"""What a search is after: several goals, constraints, and the points that it must try."""

from __future__ import annotations

from typing import Any, Final

from segbench.config.document import Node, scalar_text
from segbench.config.experiment import Constraint, Goal, Search, SearchParameter
from segbench.config.problems import Problems
from segbench.metrics import COST_METRICS, TEST_METRICS, VAL_METRICS, is_lower_better

MEASURES: Final = (*VAL_METRICS, *COST_METRICS)
"""What goals and constraints are about: known of every complete trial, and of no test image."""

_GRID: Final = 1e-9
"""A value stands on a grid of steps where it is within this share of a step from it."""


def read_goals(node: Node | None, problems: Problems) -> tuple[Goal, ...]:
    """Return the goals; none where the objective alone counts."""
    goals: list[Goal] = []
    for each in () if node is None or not node.is_list else node.elements():
        metric = each["metric"] if each.is_mapping else each
        best = _direction(metric, problems)
        if best is None:
            continue
        direction = each.get("direction") if each.is_mapping else None
        if direction is not None and direction.value not in (None, best):
            problems.add(direction.place, f"{metric.value} is to {best}", got=direction.value)
        if any(goal.metric == metric.value for goal in goals):
            problems.add(metric.place, "a goal is listed twice", got=metric.value)
        goals.append(Goal(metric=str(metric.value), direction=best))
    return tuple(goals)


def read_constraints(node: Node | None, problems: Problems) -> tuple[Constraint, ...]:
    """Return the constraints, each with a bound at least."""
    constraints: list[Constraint] = []
    for each in () if node is None or not node.is_list else node.elements():
        metric = each["metric"]
        if _direction(metric, problems) is None:
            continue
        low, high = (_number(each.get(end)) for end in ("low", "high"))
        if low is None and high is None:
            problems.add(each.place, "a constraint needs `low` or `high`", got=metric.value)
            continue
        if low is not None and high is not None and low > high:
            problems.add(each["high"].place, "high must not be less than low", got=high)
        if any(constraint.metric == metric.value for constraint in constraints):
            problems.add(metric.place, "a metric is constrained twice", got=metric.value)
        constraints.append(Constraint(metric=str(metric.value), low=low, high=high))
    return tuple(constraints)


def read_enqueue(node: Node | None, search: Search, problems: Problems) -> tuple[dict[str, Any], ...]:
    """Return the points that come first, each complete and within the space."""
    points: list[dict[str, Any]] = []
    known = {parameter.name: parameter for parameter in search.parameters}
    for each in () if node is None or not node.is_list else node.elements():
        count = len(problems)
        point = {}
        for name, value in each.items():
            if name not in known:
                problems.add(each.key_place(name), "the space has no such parameter", got=name, known=known)
                continue
            point[name] = _point_value(known[name], value, problems)
        for name in known:
            if name not in each:
                problems.add(each.place, f"a point must be complete: it lacks {name}")
        if len(problems) > count:
            continue
        point = {name: point[name] for name in known}
        if point in points:
            problems.add(each.place, "a point is listed twice", got=each.plain())
        points.append(point)
    if node is not None and len(points) > search.num_trials:
        rule = f"these are {len(points)} proposals, and `trials` allows {search.num_trials}"
        problems.add(node.place, rule)
    return tuple(points)


def _point_value(parameter: SearchParameter, node: Node, problems: Problems) -> Any:
    """Return a parameter's value as samplers propose it: the text of a label, a number within bounds."""
    if parameter.levels:
        labels = [level.label for level in parameter.levels]
        text = scalar_text(node.value)
        if text not in labels:
            problems.add(node.place, f"{parameter.name} has no level of this label", got=text, known=labels)
        return text
    value, name = _number(node), parameter.name
    if value is None:
        problems.add(node.place, f"{name} must be a number", got=node.value)
        return None
    low, high = parameter.low, parameter.high
    assert low is not None
    assert high is not None
    if parameter.is_integer and not value.is_integer():
        problems.add(node.place, f"{name} takes whole numbers", got=node.value)
    elif not low <= value <= high:
        problems.add(node.place, f"{name} must be within {low:g} and {high:g}", got=node.value)
    elif parameter.step is not None and not _is_on_grid(value, low, parameter.step):
        problems.add(node.place, f"{name} must be {low:g} plus a multiple of {parameter.step:g}", got=value)
    return int(value) if parameter.is_integer and value.is_integer() else value


def _is_on_grid(value: float, low: float, step: float) -> bool:
    steps = (value - low) / step
    return abs(steps - round(steps)) < _GRID


def _direction(metric: Node, problems: Problems) -> str | None:
    """Return which way a metric is better; None, and a problem, for one that a search cannot be after."""
    name = str(metric.value)
    if name not in MEASURES:
        if name in TEST_METRICS:
            rule = "a search must not choose by the images that judge it"
            problems.add(metric.place, rule, got=name, see="Test images are looked at once (SB117)")
        else:
            problems.add(
                metric.place, "a search is after validation metrics and costs", got=name, known=MEASURES
            )
        return None
    return "minimize" if name in COST_METRICS or is_lower_better(name) else "maximize"


def _number(node: Node | None) -> float | None:
    value = None if node is None else node.value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None  # type: ignore[arg-type]
