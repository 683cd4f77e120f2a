"""Search spaces: the dimensions that a sampler proposes values of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from segbench.config.agreement import check_agreement
from segbench.config.document import Node
from segbench.config.experiment import Goal, Search, SearchParameter
from segbench.config.goals import read_constraints, read_enqueue, read_goals
from segbench.config.levels import RESERVED, apply, check_target, read_dimension
from segbench.config.problems import Place, Problems
from segbench.config.resolve import FIELDS, Fields, resolve_field, set_path
from segbench.config.samplers import check_sampler, read_pruner, read_sampler
from segbench.config.structure import INVALID
from segbench.metrics import VAL_METRICS

_BOUNDS: Final = ("low", "high", "log", "step")
_OWN_COLUMNS: Final = ("is_feasible", "is_best", "last_epoch", "last_value")
"""Columns of the report's frame of proposals."""
_FRONT_REPLICATED: Final = 3
"""Pareto points that are replicated where the file does not say how many."""


def read_search(node: Node, base: Fields, problems: Problems, *, name: str = "") -> Search:
    """Read `search:`; every bound and every level is tried on the baseline.

    Args:
        node: The block, its structure checked.
        base: The baseline.
        problems: Takes what is wrong.
        name: The experiment's, which must not warm its own search.
    """
    parameters: list[SearchParameter] = []
    writers: dict[str, str] = {}
    for parameter_name, body in node["space"].items():
        place = node["space"].key_place(parameter_name)
        if parameter_name in (*RESERVED, *VAL_METRICS, *_OWN_COLUMNS):
            problems.add(place, "a parameter must not have this name: reports use it", got=parameter_name)
        parameter = _parameter(parameter_name, place, body, base, problems)
        if parameter is None:
            continue
        for target in _targets(parameter):
            if target in writers:
                problems.add(place, f"the parameter {writers[target]} sets {target} too; one may set it")
            writers.setdefault(target, parameter_name)
        parameters.append(parameter)
    trials = node.get("trials")
    sampler, sampler_settings = read_sampler(node.get("sampler"), problems)
    pruner, pruner_settings = read_pruner(node.get("pruner"), problems)
    goals = read_goals(node.get("goals"), problems)
    search = Search(
        parameters=tuple(parameters),
        sampler=sampler,
        sampler_seed=sampler_settings.pop("seed"),
        sampler_settings=sampler_settings,
        pruner=pruner,
        pruner_warmup_epochs=pruner_settings.pop("warmup_epochs", 0),
        pruner_settings=pruner_settings,
        num_trials=1 if trials is None else trials.value,
        goals=goals,
        constraints=read_constraints(node.get("constraints"), problems),
        warm_start=_warm_start(node.get("warm_start"), name, problems),
        num_replicated=_num_replicated(node.get("replicate"), goals, problems),
    )
    check_sampler(search, node, problems)
    if len(parameters) < len(node["space"].value):
        return search  # what is enqueued cannot be judged by part of the space
    return replace(search, enqueue=read_enqueue(node.get("enqueue"), search, problems))


def _targets(parameter: SearchParameter) -> set[str]:
    levels = {target for level in parameter.levels for target in level.changes}
    return levels or {parameter.path}


def _parameter(
    name: str, place: Place, body: Node, base: Fields, problems: Problems
) -> SearchParameter | None:
    if not body.is_mapping:
        return None
    nulls = [key for key, value in body.items() if value.is_scalar and value.value is None]
    body = body.without(*nulls)
    bounds = [key for key in _BOUNDS if key in body]
    if "levels" in body:
        if bounds:
            problems.add(body.key_place(bounds[0]), "a parameter has levels or bounds, not both", got=name)
            return None
        dimension = read_dimension(name, place, body, problems)
        count = len(problems)
        for setting in dimension.settings.values():
            applied = apply(base, [setting], problems)
            if applied is not None:
                check_agreement(applied, base, problems)
        if dimension.is_broken or len(problems) > count:
            return None
        levels = tuple(setting.level() for setting in dimension.settings.values())
        return SearchParameter(name=name, path=_path(name, body), levels=levels)
    if "low" not in body or "high" not in body:
        rule = "a parameter needs `low` and `high`, or `levels`"
        problems.add(place, rule, got=name)
        return None
    count = len(problems)
    path_node = body.get("path")
    path = _path(name, body)
    target_place = place if path_node is None else path_node.place
    if path_node is None and name not in FIELDS:
        problems.add(place, "a parameter that is no field needs `path:`", got=name, known=FIELDS)
        return None
    check_target(path, target_place, problems)
    low, high = body["low"], body["high"]
    if not low.value < high.value:
        problems.add(high.place, "high must be greater than low", got=high.value)
    is_log = "log" in body and body["log"].value is True
    if is_log and low.value <= 0:
        problems.add(low.place, "log: true needs low > 0", got=low.value)
    if is_log and "step" in body:
        problems.add(body["step"].place, "step: goes without log: true", got=body["step"].value)
    if len(problems) > count:
        return None
    ends = [_try(path, target_place, end, base, problems) for end in (low, high)]
    if None in ends or len(problems) > count:
        return None
    step = body["step"].value if "step" in body else None
    is_integer = all(isinstance(end, int) for end in ends)
    if is_integer and step is not None and not isinstance(step, int):
        problems.add(body["step"].place, f"{path} takes whole numbers, and so must step", got=step)
        return None
    return SearchParameter(
        name=name,
        path=path,
        low=float(low.value),
        high=float(high.value),
        log=is_log,
        step=None if step is None else float(step),
        is_integer=is_integer,
    )


def _try(path: str, place: Place, node: Node, base: Fields, problems: Problems) -> Any:
    """Set a bound in the baseline; return the value that the target takes it as, None if it refuses it."""
    if path in FIELDS:
        value = resolve_field(path, node, problems)
        if value is INVALID:
            return None
        check_agreement(base.having(path, value, node.place), base, problems)
        return value
    changed = set_path(base, path, place, node, problems)
    if changed is None:
        return None
    check_agreement(changed, base, problems)
    name, _, knob = path.partition(".")
    value = changed.values[name]
    if name == "loss":
        term, _, knob = knob.rpartition(".")
        value = next(each for each in value if each.name == term)
    return value.knobs[knob] if hasattr(value, "knobs") else getattr(value, knob)


def _path(name: str, body: Node) -> str:
    path = body.get("path")
    return name if path is None else str(path.value)


def _num_replicated(node: Node | None, goals: tuple[Goal, ...], problems: Problems) -> int:
    if node is None or node.value is None:
        return _FRONT_REPLICATED if goals else 1
    if not goals:
        problems.add(node.place, "a search for one goal replicates its best: `replicate` goes with `goals`")
    return int(node.value)


def _warm_start(node: Node | None, experiment: str, problems: Problems) -> tuple[str, ...]:
    found: list[str] = []
    for each in () if node is None else node.elements():
        if each.value == experiment:
            problems.add(each.place, "a search cannot be warmed by itself", got=each.value)
        elif each.value in found:
            problems.add(each.place, "an experiment is listed twice", got=each.value)
        else:
            found.append(str(each.value))
    return tuple(found)
