"""`tune:`: nuisance knobs that every cell of a design gets a study of its own over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from segbench.config.document import Node
from segbench.config.expand import ROLE_COLUMN, num_folds, tuned_cell
from segbench.config.experiment import Axis, Cell, Search, SearchParameter, Tune
from segbench.config.labels import find_label
from segbench.config.levels import Dimension
from segbench.config.problems import Place, Problems
from segbench.config.resolve import FIELDS, Fields
from segbench.config.search_schema import TuneBody
from segbench.config.spaces import read_search

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
    names = {axis.name for axis in axes}
    for name in space.value:
        if name in names:
            rule = "an axis has this name too; a parameter needs one of its own"
            problems.add(space.key_place(name), rule, got=name)
    if ROLE_COLUMN in names:
        rule = "no axis of a tuned design may have this name: index.csv uses it"
        problems.add(node.place, rule, got=ROLE_COLUMN)
    whens = {name: _read_when(body, axes, problems) for name, body in space.items()}
    search = _read_in_cells(node, base, cells, axes, whens, problems)
    if any(num_folds(cell.config) > 1 for cell in cells):
        see = "Tune with one fold: images that one fold tunes on are tested in another"
        problems.add(node.place, "`tune` and a split of several folds exclude each other", see=see)
    tune = Tune(search=search, seed=_number(node, "seed"), repeats=_number(node, "repeats"))
    _check_targets(space, search, dimensions, overrides, problems)
    _check_seeds(node, tune, seeds, problems)
    if len(problems) == count:
        _check_distinct(node, tune, cells, problems)
    return None if len(problems) > count else tune


def _read_when(body: Node, axes: Sequence[Axis], problems: Problems) -> dict[str, tuple[str, ...]]:
    """Read `when: {optimizer: sgd}`, or a list of labels."""
    when = body.get("when")
    if when is None or not when.is_mapping:
        return {}
    by_name = {axis.name: axis for axis in axes}
    found: dict[str, tuple[str, ...]] = {}
    for name, node in when.items():
        if name not in by_name:
            problems.add(when.key_place(name), "there is no such axis", got=name, known=by_name)
            continue
        labels = []
        for each in node.elements() if node.is_list else (node,):
            label = find_label(each, by_name[name].labels)
            if label is None:
                rule = f"{name} has no level of this label"
                problems.add(each.place, rule, got=each.text, known=by_name[name].labels)
            else:
                labels.append(label)
        found[name] = tuple(labels)
    return found


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
        search = read_search(node.having("space", space.without(*left_out)), fields, scratch)
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
        return Search(
            parameters=(),
            sampler="tpe",
            sampler_seed=0,
            pruner="none",
            pruner_warmup_epochs=0,
            num_trials=1,
        )
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
        for target in _targets(parameter):
            if target in axis_of:
                rule = f"the axis {axis_of[target]} sets {target} too; one may set it"
                problems.add(place, rule, got=parameter.name)
            if target in overrides:
                rule = f"the parameter {parameter.name} is tuned, so `--set` must not set it"
                problems.add(place, rule, got=target)


def _targets(parameter: SearchParameter) -> list[str]:
    changed = dict.fromkeys(target for level in parameter.levels for target in level.changes)
    return list(changed) or [parameter.path]


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


def _number(node: Node, key: str) -> int:
    given = node.get(key)
    return int(TuneBody.model_fields[key].default if given is None else given.value)


def _listed(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - _MOST_CELLS} more" if len(labels) > _MOST_CELLS else ""
    return f"the cell{'s' if len(labels) > 1 else ''} {'; '.join(labels[:_MOST_CELLS])}{more}"
