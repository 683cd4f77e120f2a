"""Optuna's samplers and pruners by name and signature, read from the installed package without importing it.

A file names a class (`TPESampler`) or its short name: the class's name without `Sampler` or `Pruner`, in any
case, with Roman numerals or digits (`tpe`, `nsga2`). `none` is short for `NopPruner`. The settings are the
parameters of the class, without those that a file cannot hold, such as a function or another sampler.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from segbench.config.document import Node, Problems
from segbench.config.experiment import Search
from segbench.config.resolve import UnreadableAnnotation, check_knob, type_of
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
    if node is None or node.value is None:
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
