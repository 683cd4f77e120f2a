"""Search spaces: the dimensions that a sampler proposes values of."""

from __future__ import annotations

from typing import Any, Final

from segbench.config.agreement import check_agreement
from segbench.config.document import Node
from segbench.config.experiment import Search, SearchParameter
from segbench.config.levels import RESERVED, apply, check_target, read_dimension
from segbench.config.problems import Place, Problems
from segbench.config.resolve import FIELDS, Fields, resolve_field, set_path
from segbench.config.structure import INVALID

_BOUNDS: Final = ("low", "high", "log", "step")


def read_search(node: Node, base: Fields, problems: Problems) -> Search:
    """Read `search:`; every bound and every level is tried on the baseline."""
    parameters: list[SearchParameter] = []
    writers: dict[str, str] = {}
    for name, body in node["space"].items():
        place = node["space"].key_place(name)
        if name in RESERVED:
            problems.add(place, "a parameter must not have this name: reports use it", got=name)
        parameter = _parameter(name, place, body, base, problems)
        if parameter is None:
            continue
        for target in _targets(parameter):
            if target in writers:
                problems.add(place, f"the parameter {writers[target]} sets {target} too; one may set it")
            writers.setdefault(target, name)
        parameters.append(parameter)
    sampler, sampler_settings = _named(node.get("sampler"), "tpe", problems)
    pruner, pruner_settings = _named(node.get("pruner"), "none", problems)
    trials = node.get("trials")
    return Search(
        parameters=tuple(parameters),
        sampler=sampler,
        sampler_seed=sampler_settings.get("seed", 0),
        pruner=pruner,
        pruner_warmup_epochs=pruner_settings.get("warmup_epochs", 0),
        num_trials=1 if trials is None else trials.value,
    )


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


def _named(node: Node | None, default: str, problems: Problems) -> tuple[str, dict[str, Any]]:
    """Read `name` or `{name: {settings}}`."""
    if node is None:
        return default, {}
    if not node.is_mapping:
        return str(node.value), {}
    if len(node.value) != 1:
        problems.add(node.place, "must name one", got=", ".join(node.value))
        return default, {}
    name, body = next(node.items())
    return name, body.plain() or {} if body.is_mapping else {}
