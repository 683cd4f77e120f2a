"""Samplers and pruners of a search: which there are, their settings, and what each can do."""

from __future__ import annotations

from typing import Any, Final

from segbench.config.document import Node
from segbench.config.experiment import Search
from segbench.config.problems import Problems
from segbench.config.search_schema import PRUNERS, SAMPLERS

ONE_GOAL: Final = ("cmaes",)
"""Samplers that know one goal only."""

NUMBERS_ONLY: Final = ("cmaes",)
"""Samplers that cannot propose levels."""

LEARNS_NOTHING: Final = ("random", "qmc")
"""Samplers whose proposals depend on no outcome."""

KNOWS_CONSTRAINTS: Final = ("tpe", "gp", "nsga2")
"""Samplers that keep to constraints by themselves; under the others they only decide what is best."""


def read_sampler(node: Node | None, problems: Problems) -> tuple[str, dict[str, Any]]:
    """Return the sampler's name and every setting, its seed among them."""
    name, settings = _named(node, "tpe", problems)
    return name, SAMPLERS[name].model_validate(settings).model_dump()


def read_pruner(node: Node | None, problems: Problems) -> tuple[str, dict[str, Any]]:
    """Return the pruner's name and every setting, its warm-up among them."""
    name, settings = _named(node, "none", problems)
    return name, PRUNERS[name].model_validate(settings).model_dump()


def check_sampler(search: Search, node: Node, problems: Problems) -> None:
    """Record what the sampler or the pruner cannot do with the rest of the search."""
    name = search.sampler
    sampler = node["sampler"].place if "sampler" in node else node.place
    others = [each for each in SAMPLERS if each not in ONE_GOAL]
    if search.goals and name in ONE_GOAL:
        problems.add(sampler, "this sampler knows one goal only", got=name, known=others)
    if search.goals and search.pruner != "none":
        rule = "a pruner compares by one value: with several goals there is none"
        problems.add(node["pruner"].place, rule, got=search.pruner, known=["none"])
    levels = [each.name for each in search.parameters if each.levels]
    if levels and name in NUMBERS_ONLY:
        rule = f"this sampler proposes numbers, and {', '.join(levels)} has levels"
        known = [each for each in SAMPLERS if each not in NUMBERS_ONLY]
        problems.add(sampler, rule, got=name, known=known)
    if search.warm_start and name in LEARNS_NOTHING:
        rule = f"the sampler {name} learns nothing from other proposals"
        problems.add(node["warm_start"].place, rule, got=list(search.warm_start))
    size = search.sampler_settings.get("population_size")
    if size is not None and size >= search.num_trials:
        rule = f"nsga2 draws at random until population_size ({size}) proposals have ended"
        see = f"Raise `trials` above {size}, or lower population_size"
        problems.add(sampler, rule, got=f"trials: {search.num_trials}", see=see)


def _named(node: Node | None, default: str, problems: Problems) -> tuple[str, dict[str, Any]]:
    """Read `name` or `{name: {settings}}`."""
    if node is None or node.value is None:
        return default, {}
    if not node.is_mapping:
        return str(node.value), {}
    if len(node.value) != 1:
        problems.add(node.place, "must name one", got=", ".join(node.value))
        return default, {}
    name, body = next(node.items())
    return name, body.plain() or {} if body.is_mapping else {}
