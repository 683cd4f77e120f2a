"""`search:` and `tune:`: the space, the goals, and Optuna's samplers and pruners by name and parameters.

A sampler or pruner is any class of Optuna, known by its signature in the source text: Optuna is not
imported.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from segbench.config.axes import (
    Dimension,
    apply,
    check_target,
    name_problem,
    read_dimension,
    read_label,
    read_when,
)
from segbench.config.document import Node, Place, Problems
from segbench.config.expand import num_folds, tuned_cell
from segbench.config.experiment import Axis, Cell, Constraint, Goal, Search, SearchParameter, Tune
from segbench.config.resolve import (
    Fields,
    UnreadableAnnotation,
    check_agreement,
    check_knob,
    resolve_field,
    set_path,
    type_of,
)
from segbench.config.schema import INVALID, TuneBody
from segbench.config.trial import FIELDS, value_at
from segbench.quantities import LIMITS, QUANTITIES, TEST_METRICS, VAL_METRICS
from segbench.signature import Knob, read_class

Kind: TypeAlias = Literal["sampler", "pruner"]

ONE_GOAL: Final = ("cmaes",)
"""Samplers that know one goal only."""

NUMBERS_ONLY: Final = ("cmaes",)
"""Samplers that cannot propose levels."""

FINITE_ONLY: Final = ("bruteforce",)
"""Samplers that list the whole space."""

LEARNS_NOTHING: Final = ("random", "qmc", "bruteforce")
"""Samplers whose proposals depend on no outcome."""

_OWN_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "qmc": {"scramble": True},  # else the first proposals lie at corners of the space, whatever the seed
    "percentile": {"percentile": 25.0},
}
"""Defaults that differ from Optuna's."""

_NOT_IN_RECORDS: Final = ("with_margin", "consider_pruned_trials", "restart_strategy", "inc_popsize")
"""Parameters of CMA-ES that need a state which records do not hold, or that Optuna ignores."""

_SEED: Final = Knob(name="seed", annotation="int", default=0, help="Seed of the draws.")
_WARMUP: Final = Knob(
    name="warmup_epochs", annotation="int", default=0, help="Epochs that no proposal is stopped in."
)
_WARMED: Final = ("n_warmup_steps", "min_resource")
"""Parameters of pruners that `warmup_epochs` sets; epochs count from 1."""


@dataclass(frozen=True, kw_only=True)
class OptunaClass:
    """A sampler or a pruner as a file can name it."""

    name: str
    short: str
    summary: str
    settings: Mapping[str, Knob]
    """What a file may set."""
    has_generations: bool
    """Whether proposals come in generations, of which each descends from the one before."""
    knows_constraints: bool
    """Whether the sampler keeps to constraints by itself; under the others they only decide what is best."""


def short_name(name: str, kind: Kind) -> str:
    """Return the short name of a class, or of any way to write it."""
    short = name.lower().removesuffix(kind).replace("iii", "3").replace("ii", "2")
    return "none" if short == "nop" else short


@cache
def optuna_classes(kind: Kind) -> Mapping[str, OptunaClass]:
    """Return short name -> class, for the classes of the installed Optuna that a file can make."""
    spec = importlib.util.find_spec("optuna")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    root = Path(next(iter(spec.submodule_search_locations)))
    tree = ast.parse((root / f"{kind}s" / "__init__.py").read_text(encoding="utf-8"))
    found: dict[str, OptunaClass] = {}
    for node in tree.body:
        for alias in node.names if isinstance(node, ast.ImportFrom) and node.module else ():
            name = alias.name
            if name.lower().endswith(kind) and not name.startswith("Base"):
                assert isinstance(node, ast.ImportFrom)
                file = root.parent / f"{(node.module or '').replace('.', '/')}.py"
                known = _read(file, name, kind)
                if known is not None:
                    found[known.short] = known
    return found


def read_choice(
    node: Node | None, kind: Kind, default: str, problems: Problems, *, is_tuning: bool = False
) -> tuple[str, dict[str, Any]]:
    """Return the short name of a sampler or a pruner, and the settings that the file gives.

    Args:
        node: `name` or `{name: {settings}}`; None takes the default.
        kind: Which of the two.
        default: Its short name.
        problems: Takes what is wrong.
        is_tuning: Whether samplers that go by generations are refused.
    """
    if node is None:
        return default, {}
    place, written, body = node.place, str(node.value), None
    if node.is_mapping:
        if len(node.value) != 1:
            problems.add(node.place, "must name one", got=", ".join(node.value))
            return default, {}
        written, body = next(node.items())
        place = node.key_place(written)
    known = optuna_classes(kind)
    offered = [name for name, each in known.items() if not (is_tuning and each.has_generations)]
    short = short_name(written, kind)
    if short not in offered:
        rule = f"Optuna has no such {kind} that a file can name"
        if short in known:
            rule = "a cell is tuned by a sampler without generations"
        problems.add(place, rule, got=written, known=offered)
        return default, {}
    return short, _read_settings(known[short], body, problems)


def setting_of(search: Search, name: str) -> Any:
    """Return a setting of a search's sampler, or its default; None if the sampler has no such setting."""
    knob = optuna_classes("sampler")[search.sampler].settings.get(name)
    return search.sampler_settings.get(name, None if knob is None else knob.default)


def check_sampler(search: Search, node: Node, problems: Problems) -> None:
    """Record what the sampler or the pruner cannot do with the rest of the search."""
    name, known = search.sampler, optuna_classes("sampler")
    sampler = node["sampler"].place if "sampler" in node else node.place
    if search.goals and name in ONE_GOAL:
        others = [each for each in known if each not in ONE_GOAL]
        problems.add(sampler, "this sampler knows one goal only", got=name, known=others)
    if search.goals and search.pruner != "none":
        rule = "a pruner compares by one value: with several goals there is none"
        problems.add(node["pruner"].place, rule, got=search.pruner, known=["none"])
    levels = [each.name for each in search.parameters if each.levels]
    if levels and name in NUMBERS_ONLY:
        rule = f"this sampler proposes numbers, and {', '.join(levels)} has levels"
        others = [each for each in known if each not in NUMBERS_ONLY]
        problems.add(sampler, rule, got=name, known=others)
    endless = [p.name for p in search.parameters if not (p.levels or p.is_integer or p.step)]
    if endless and name in FINITE_ONLY:
        rule = f"this sampler tries every point, and {', '.join(endless)} has no `step`"
        problems.add(sampler, rule, got=name)
    if search.warm_start and name in LEARNS_NOTHING:
        rule = f"the sampler {name} learns nothing from other proposals"
        problems.add(node["warm_start"].place, rule, got=list(search.warm_start))
    size = setting_of(search, "population_size")
    if size is not None and size >= search.num_trials:
        rule = f"{name} draws at random until population_size ({size}) proposals have ended"
        see = f"Raise `trials` above {size}, or lower population_size"
        problems.add(sampler, rule, got=f"trials: {search.num_trials}", see=see)


def _read(file: Path, name: str, kind: Kind) -> OptunaClass | None:
    """Read a class; None where a parameter that it requires cannot be written in a file."""
    read = read_class(file, name)
    short = short_name(name, kind)
    if read is None:
        return OptunaClass(
            name=name, short=short, summary="", settings={}, has_generations=False, knows_constraints=False
        )
    summary, bases, parameters = read
    own = _OWN_DEFAULTS.get(short, {})
    settings = {
        key: replace(knob, default=own.get(key, knob.default))
        for key, knob in parameters.items()
        if _is_writable(knob)
    }
    if any(knob.is_required and key not in settings for key, knob in parameters.items()):
        return None
    if kind == "sampler":
        settings = {"seed": _SEED, **{key: knob for key, knob in settings.items() if key != "seed"}}
    elif any(key in settings for key in _WARMED):
        settings = {"warmup_epochs": _WARMUP, **settings}
    return OptunaClass(
        name=name,
        short=short,
        summary=summary,
        settings=settings,
        has_generations="BaseGASampler" in bases or short == "cmaes",
        knows_constraints="constraints_func" in parameters,
    )


def _is_writable(knob: Knob) -> bool:
    if knob.name.startswith("warn_") or knob.name in _NOT_IN_RECORDS:
        return False
    try:
        type_of(knob.annotation)
    except UnreadableAnnotation:
        return False
    return True


def _read_settings(chosen: OptunaClass, body: Node | None, problems: Problems) -> dict[str, Any]:
    settings = dict(_OWN_DEFAULTS.get(chosen.short, {}))
    if body is None or body.value is None:
        return settings
    if not body.is_mapping:
        problems.add(body.place, f"the settings of {chosen.short} must be a mapping", got=body.value)
        return settings
    for name, node in body.items():
        if name not in chosen.settings:
            problems.add(body.key_place(name), "there is no such key", got=name, known=chosen.settings)
            continue
        settings[name] = check_knob(chosen.settings[name], node, problems)
        is_number = isinstance(settings[name], int | float)
        if name in (_SEED.name, _WARMUP.name) and is_number and settings[name] < 0:
            problems.add(node.place, f"{name} must be at least 0", got=node.value)
    if _WARMUP.name in settings and any(name in settings for name in _WARMED):
        (other,) = [name for name in _WARMED if name in settings]
        problems.add(body.key_place(other), f"{other} and warmup_epochs set the same", got=other)
    return settings


MEASURES: Final = (*VAL_METRICS, *LIMITS)
"""What goals and constraints are about: known of every complete trial, and of no test image."""

_GRID: Final = 1e-9
"""A value stands on a grid of steps where it is within this share of a step from it."""


def read_goals(search: Node, problems: Problems) -> tuple[Goal, ...]:
    """Return the goals; none where the objective alone counts."""
    goals: list[Goal] = []
    for each in search.listed("goals"):
        metric = each["metric"] if each.is_mapping else each
        best = _direction(metric, problems)
        if best is None:
            continue
        direction = each.get("direction")
        if direction is not None and direction.value not in (None, best):
            problems.add(direction.place, f"{metric.value} is to {best}", got=direction.value)
        if any(goal.metric == metric.value for goal in goals):
            problems.add(metric.place, "a goal is listed twice", got=metric.value)
        goals.append(Goal(metric=metric.value, direction=best))
    return tuple(goals)


def read_constraints(search: Node, problems: Problems) -> tuple[Constraint, ...]:
    """Return the constraints, each with a bound at least."""
    constraints: list[Constraint] = []
    for each in search.listed("constraints"):
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
        constraints.append(Constraint(metric=metric.value, low=low, high=high))
    return tuple(constraints)


def read_enqueue(node: Node, search: Search, problems: Problems) -> tuple[dict[str, Any], ...]:
    """Return the points that come first, each complete and within the space."""
    points: list[dict[str, Any]] = []
    known = {parameter.name: parameter for parameter in search.parameters}
    for each in node.listed("enqueue"):
        count = len(problems)
        for name in each.value:
            if name not in known:
                problems.add(each.key_place(name), "the space has no such parameter", got=name, known=known)
        point = {}
        for name, parameter in known.items():
            if name in each:
                point[name] = _point_value(parameter, each[name], problems)
            else:
                problems.add(each.place, f"a point must be complete: it lacks {name}")
        if len(problems) > count:
            continue
        if point in points:
            problems.add(each.place, "a point is listed twice", got=each.plain())
        points.append(point)
    if len(points) > search.num_trials:
        rule = f"these are {len(points)} proposals, and `trials` allows {search.num_trials}"
        problems.add(node["enqueue"].place, rule)
    return tuple(points)


def _point_value(parameter: SearchParameter, node: Node, problems: Problems) -> Any:
    """Return a parameter's value as samplers propose it: the text of a label, a number within bounds."""
    if parameter.levels:
        labels = [level.label for level in parameter.levels]
        return read_label(parameter.name, node, labels, problems)
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
    return QUANTITIES[name].direction


def _number(node: Node | None) -> float | None:
    value = None if node is None else node.value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None  # type: ignore[arg-type]


# Search spaces: the dimensions that a sampler proposes values of.


_BOUNDS: Final = ("low", "high", "log", "step")
_FRONT_REPLICATED: Final = 3
"""Pareto points that are replicated where the file does not say how many."""


def read_search(
    node: Node, base: Fields, problems: Problems, *, name: str = "", is_tuning: bool = False
) -> Search:
    """Read `search:`; every bound and every level is tried on the baseline.

    Args:
        node: The block, its structure checked.
        base: The baseline.
        problems: Takes what is wrong.
        name: The experiment's, which must not warm its own search.
        is_tuning: Whether the block is `tune:`.
    """
    parameters: list[SearchParameter] = []
    writers: dict[str, str] = {}
    for parameter_name, body in node["space"].items():
        place = node["space"].key_place(parameter_name)
        rule = name_problem(parameter_name)
        if rule:
            problems.add(place, rule, got=parameter_name)
        parameter = _parameter(parameter_name, place, body, base, problems)
        if parameter is None:
            continue
        for target in parameter.targets:
            if target in writers:
                problems.add(place, f"the parameter {writers[target]} sets {target} too; one may set it")
            writers.setdefault(target, parameter_name)
        parameters.append(parameter)
    trials = node.get("trials")
    sampler, sampler_settings = read_choice(
        node.get("sampler"), "sampler", "tpe", problems, is_tuning=is_tuning
    )
    pruner, pruner_settings = read_choice(node.get("pruner"), "pruner", "none", problems)
    goals = read_goals(node, problems)
    search = Search(
        parameters=tuple(parameters),
        sampler=sampler,
        sampler_seed=sampler_settings.pop("seed", 0),
        sampler_settings=sampler_settings,
        pruner=pruner,
        pruner_warmup_epochs=pruner_settings.pop("warmup_epochs", 0),
        pruner_settings=pruner_settings,
        num_trials=1 if trials is None else trials.value,
        goals=goals,
        constraints=read_constraints(node, problems),
        warm_start=_warm_start(node, name, problems),
        num_replicated=_num_replicated(node.get("replicate"), goals, problems),
    )
    check_sampler(search, node, problems)
    if len(parameters) < len(node["space"].value):
        return search  # what is enqueued cannot be judged by part of the space
    return replace(search, enqueue=read_enqueue(node, search, problems))


def _parameter(
    name: str, place: Place, body: Node, base: Fields, problems: Problems
) -> SearchParameter | None:
    if not body.is_mapping:
        return None
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
    path_node, path = body.get("path"), _path(name, body)
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
    return value_at(changed.values, path)


def _path(name: str, body: Node) -> str:
    path = body.get("path")
    return name if path is None else str(path.value)


def _num_replicated(node: Node | None, goals: tuple[Goal, ...], problems: Problems) -> int:
    if node is None:
        return _FRONT_REPLICATED if goals else 1
    if not goals:
        problems.add(node.place, "a search for one goal replicates its best: `replicate` goes with `goals`")
    return int(node.value)


def _warm_start(node: Node, experiment: str, problems: Problems) -> tuple[str, ...]:
    found: list[str] = []
    for each in node.listed("warm_start"):
        if each.value == experiment:
            problems.add(each.place, "a search cannot be warmed by itself", got=each.value)
        elif each.value in found:
            problems.add(each.place, "an experiment is listed twice", got=each.value)
        else:
            found.append(str(each.value))
    return tuple(found)


# `tune:`: nuisance knobs that every cell of a design gets a study of its own over.


_MOST_CELLS: Final = 3

_Whens = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Parameter -> its `when`."""


def read_tune(
    node: Node,
    base: Fields,
    cells: Sequence[Cell],
    dimensions: Sequence[Dimension],
    axes: Sequence[Axis],
    *,
    seeds: Sequence[int],
    overrides: Mapping[str, Any],
    problems: Problems,
) -> Tune | None:
    """Read `tune:`; every bound and every level is tried on each cell that has the parameter.

    Args:
        node: The body of `tune:`.
        base: The baseline: what values are tried on where the cells could not be built.
        cells: Those of the design.
        dimensions: The axes as read; none may set what is tuned.
        axes: Of the design.
        seeds: Of the replicates; no tuning trial may have one of them.
        overrides: What `--set` changed.
        problems: Takes what is wrong.
    """
    count = len(problems)
    space = node["space"]
    labels = {axis.name: axis.labels for axis in axes}
    for name in space.value:
        if name in labels:
            rule = "an axis has this name too; a parameter needs one of its own"
            problems.add(space.key_place(name), rule, got=name)
    whens = {name: read_when(body, labels, problems) for name, body in space.items()}
    search = _read_in_cells(node, base, cells, axes, whens, problems)
    if any(num_folds(cell.config) > 1 for cell in cells):
        see = "Tune with one fold: images that one fold tunes on are tested in another"
        problems.add(node.place, "`tune` and a split of several folds exclude each other", see=see)
    tune = Tune(search=search, seed=_tuned_number(node, "seed"), repeats=_tuned_number(node, "repeats"))
    _check_targets(space, search, dimensions, overrides, problems)
    _check_seeds(node, tune, seeds, problems)
    if len(problems) == count:
        _check_distinct(node, tune, cells, problems)
    return None if len(problems) > count else tune


def _read_in_cells(
    node: Node,
    base: Fields,
    cells: Sequence[Cell],
    axes: Sequence[Axis],
    whens: _Whens,
    problems: Problems,
) -> Search:
    """Read the space as each cell has it, and return the whole of it.

    What is wrong in every cell is the file's mistake; what is wrong in some only names these.
    """
    tried: list[tuple[str, Mapping[str, str], Fields]] = [
        (cell.label, cell.levels, _fields_of(cell, base)) for cell in cells
    ]
    if not tried:
        tried = [("baseline", {axis.name: axis.baseline for axis in axes}, base)]
    wrong: dict[str, tuple[Place, list[str]]] = {}
    read: dict[str, SearchParameter] = {}
    without: list[str] = []
    search: Search | None = None
    for label, levels, fields in tried:
        space = node["space"]
        left_out = [
            name for name, when in whens.items() if any(levels.get(a) not in set_ for a, set_ in when.items())
        ]
        if len(left_out) == len(whens):
            without.append(label)
            continue
        scratch = Problems()
        left = node.having("space", space.without(*left_out))
        search = read_search(left, fields, scratch, is_tuning=True)
        read.update({parameter.name: parameter for parameter in search.parameters})
        for text, place in scratch.items():
            wrong.setdefault(text, (place, []))[1].append(label)
    for text, (place, labels) in wrong.items():
        if len(labels) < len(tried):
            text = f"{text} In {_listed(labels)}; `when:` leaves a parameter out of cells."
        problems.add_text(place, text)
    if without and cells:
        rule = f"no parameter is left for {_listed(without)}"
        problems.add(node.key_place("space"), rule, see="Exclude these cells, or give them a parameter")
    if search is None:
        return Search(parameters=())
    whole = [replace(read[name], when=whens[name]) for name in node["space"].value if name in read]
    return replace(search, parameters=tuple(whole))


def _fields_of(cell: Cell, base: Fields) -> Fields:
    return Fields({name: getattr(cell.config, name) for name in FIELDS}, base.places)


def _check_targets(
    space: Node,
    search: Search,
    dimensions: Sequence[Dimension],
    overrides: Mapping[str, Any],
    problems: Problems,
) -> None:
    """Refuse a parameter that sets what an axis or `--set` sets: it would undo it."""
    axis_of = {target: dimension.name for dimension in dimensions for target in dimension.targets}
    for parameter in search.parameters:
        place = space.key_place(parameter.name)
        for target in parameter.targets:
            if target in axis_of:
                rule = f"the axis {axis_of[target]} sets {target} too; one may set it"
                problems.add(place, rule, got=parameter.name)
            if target in overrides:
                rule = f"the parameter {parameter.name} is tuned, so `--set` must not set it"
                problems.add(place, rule, got=target)


def _check_seeds(node: Node, tune: Tune, seeds: Sequence[int], problems: Problems) -> None:
    tuning = range(tune.seed, tune.seed + tune.repeats)
    shared = [str(seed) for seed in seeds if seed in tuning]
    if shared:
        place = node["seed"].place if "seed" in node else node.place
        rule = f"tuning trials have the seeds {tune.seed} to {tuning[-1]}, and `seeds` must have none of them"
        if tune.repeats == 1:
            rule = f"tuning trials have the seed {tune.seed}, and `seeds` must not have it"
        problems.add(place, rule, got=", ".join(shared), see="Give another `seed:` to `tune:`")


def _check_distinct(node: Node, tune: Tune, cells: Sequence[Cell], problems: Problems) -> None:
    """Refuse cells that differ in nothing but what is tuned."""
    seen: dict[str, Cell] = {}
    for cell in cells:
        values = {p.name: p.levels[0].label if p.levels else p.low for p in tune.search_of(cell).parameters}
        found = tuned_cell(tune, cell, values, where=str(node.place)).config_hash
        if found in seen:
            rule = f"{seen[found].label} and {cell.label} differ in nothing but what is tuned"
            problems.add(node.key_place("space"), rule, see="Tune something else, or leave one of them out")
        seen.setdefault(found, cell)


def _tuned_number(node: Node, key: str) -> int:
    given = node.get(key)
    return int(TuneBody.model_fields[key].default if given is None else given.value)


def _listed(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - _MOST_CELLS} more" if len(labels) > _MOST_CELLS else ""
    return f"the cell{'s' if len(labels) > 1 else ''} {'; '.join(labels[:_MOST_CELLS])}{more}"
