"""From an experiment to what is trained: cells x folds x seeds, or the cell of a sampler's proposal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from segbench.config.experiment import Cell, Experiment, Search, SearchParameter, Tune
from segbench.config.trial import FIELDS, TrialConfig, config_hash
from segbench.errors import ExperimentError, message


class Replicate(NamedTuple):
    """A cell with one seed and fold."""

    cell: Cell
    seed: int
    fold: int


def expand(experiment: Experiment) -> tuple[Replicate, ...]:
    """Return every replicate of the design, in the order of training.

    Seeds vary slowest, then folds, then cells: a sweep that is stopped early has every cell at its
    first seeds.
    """
    return tuple(
        Replicate(cell, seed, fold)
        for seed in experiment.seeds
        for fold in range(experiment.num_folds)
        for cell in experiment.cells
        if fold < num_folds(cell.config)
    )


def num_folds(config: TrialConfig) -> int:
    """Return how many folds a configuration's split has: its knob `folds`, else one."""
    folds = config.split.knobs.get("folds", 1)
    return folds if isinstance(folds, int) else 1


def apply_parameters(experiment: Experiment, parameters: Mapping[str, Any]) -> Cell:
    """Return the cell of a sampler's proposal.

    Args:
        experiment: One with a `search`.
        parameters: Every parameter's name -> a number within its bounds, or the label of a level.

    Raises:
        ExperimentError: A parameter is unknown or missing, or the baseline cannot take a value.
    """
    # Not at the top: planning a remembered experiment needs neither pydantic nor the resolver.
    from segbench.config.document import Place, Problems

    problems = Problems()
    assert experiment.search is not None
    known = [parameter.name for parameter in experiment.search.parameters]
    place = Place(f"{experiment.name}: search")
    for name in parameters.keys() - set(known):
        problems.add(place, "the space has no such parameter", got=name, known=known)
    for name in set(known) - parameters.keys():
        problems.add(place, f"the proposal lacks the parameter {name}")
    problems.raise_any()
    return _with_parameters(experiment, parameters)


def parameter_ends(experiment: Experiment) -> tuple[Cell, ...]:
    """Return the baseline of a search, and the baseline with each parameter at its bounds or levels.

    Raises:
        ExperimentError: The baseline cannot take a value.
    """
    assert experiment.search is not None
    cells = [_with_parameters(experiment, {})]
    for parameter in experiment.search.parameters:
        labels = tuple(level.label for level in parameter.levels)
        ends: tuple[Any, ...] = labels or (parameter.low, parameter.high)
        cells += [_with_parameters(experiment, {parameter.name: end}) for end in ends]
    return tuple(cells)


def search_space(search: Search) -> dict[str, dict[str, Any]]:
    """Return a search space in plain types, as records of its proposals keep it."""
    return {
        p.name: {"levels": [level.label for level in p.levels]}
        if p.levels
        else {"low": p.low, "high": p.high, "log": p.log, "step": p.step, "is_integer": p.is_integer}
        for p in search.parameters
    }


def tuned_cell(tune: Tune, cell: Cell, parameters: Mapping[str, Any], *, where: str) -> Cell:
    """Return a cell of a design at the values of its nuisance knobs; its levels stay.

    Args:
        tune: What is tuned.
        cell: The cell as designed.
        parameters: Every parameter that the cell has -> a number within its bounds, or the label of a level.
        where: What messages call the place.

    Raises:
        ExperimentError: A parameter is missing or unknown, or the cell cannot take a value.
    """
    space = tune.search_of(cell).parameters
    if {parameter.name for parameter in space} != parameters.keys():
        known = [parameter.name for parameter in space]
        rule = f"{cell.label} is tuned over other parameters"
        raise ExperimentError(message(f"{where}: tune", rule, got=", ".join(parameters), known=known))
    _, config = _configured(f"{where}: tune", cell.config, space, parameters)
    return replace(cell, config=config, config_hash=config_hash(config))


def _with_parameters(experiment: Experiment, parameters: Mapping[str, Any]) -> Cell:
    assert experiment.search is not None
    levels, config = _configured(
        f"{experiment.name}: search", experiment.baseline, experiment.search.parameters, parameters
    )
    return Cell(levels=levels, config=config, config_hash=config_hash(config))


def _configured(
    where: str, config: TrialConfig, space: Sequence[SearchParameter], values: Mapping[str, Any]
) -> tuple[dict[str, str], TrialConfig]:
    """Return the values as text, and the configuration that has them."""
    from segbench.config.axes import Setting, apply, read_dimension
    from segbench.config.document import Node, Place, Problems, scalar_text
    from segbench.config.resolve import Fields

    problems = Problems()
    place = Place(where)
    fields = Fields({name: getattr(config, name) for name in FIELDS}, dict.fromkeys(FIELDS, place))
    settings: list[Setting] = []
    levels: dict[str, str] = {}
    for parameter in space:
        name = parameter.name
        if name not in values:
            continue
        value = values[name]
        if parameter.levels:
            level = next((level for level in parameter.levels if level.label == value), None)
            if level is None:
                labels = [level.label for level in parameter.levels]
                problems.add(place, f"{name} has no level of this label", got=value, known=labels)
                problems.raise_all()
            body: Any = {"levels": {level.label: dict(level.changes)}}
        else:
            if parameter.is_integer:
                value = int(value)
            body = {"levels": {name: {parameter.path: value}}}
        levels[name] = scalar_text(value)
        # Levels are written as what they set, which an axis without a field's name or path takes.
        dimension = read_dimension(f"search {name}", place, Node.of(body, place), problems)
        settings += dimension.settings.values()
    applied = apply(fields, settings, problems)
    problems.raise_any()
    assert applied is not None
    return levels, applied.config(config.objective)
