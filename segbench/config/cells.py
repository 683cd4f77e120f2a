"""Combinations of levels to resolved cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from segbench.config.agreement import check_agreement
from segbench.config.experiment import Axis, Cell
from segbench.config.levels import Change, Dimension, Setting
from segbench.config.problems import Place, Problems
from segbench.config.resolve import Fields, set_path
from segbench.config.trial import Hasher, Objective
from segbench.errors import ExperimentError
from segbench.sizes import size_multiple, size_problem

Labels = tuple[str | None, ...]
"""One label an axis; None where the axis has no level."""

_AGREEING = (("model", "dataset"), ("schedule", "epochs"), ("mix", "batch_size"))
"""Fields that `check_size` and `check_agreement` look at together."""


def build_cells(
    base: Fields,
    dimensions: Mapping[str, Dimension],
    axes: Sequence[Axis],
    combined: Mapping[Labels, Place],
    objective: Objective,
    problems: Problems,
) -> tuple[Cell, ...]:
    """Resolve every combination; fields that contradict each other in one are a problem."""
    names = [axis.name for axis in axes]
    resolver, hasher = _Resolver(base, problems), Hasher()
    cells: list[Cell] = []
    for labels in combined:
        levels = {name: label for name, label in zip(names, labels, strict=True) if label is not None}
        settings = [dimensions[name].settings[label] for name, label in levels.items()]
        fields = resolver.fields(settings)
        if fields is None:
            continue
        resolver.check(fields)
        if not problems:
            config = fields.config(objective)
            cells.append(Cell(levels=levels, config=config, config_hash=hasher.config_hash(config)))
    _check_labels(cells, combined, problems)
    return tuple(cells)


def check_size(fields: Fields, base: Fields, problems: Problems) -> None:
    """Record it if the data set's size is no multiple of what the network takes, at what caused it."""
    if "model" not in fields.values or "dataset" not in fields.values:
        return
    model, size_px = fields.values["model"], fields.values["dataset"].knobs.get("size_px")
    if not isinstance(size_px, int):
        return
    place = fields.places["dataset"]
    if place == base.places.get("dataset") and fields.places["model"] != base.places.get("model"):
        place = fields.places["model"]
    try:
        multiple = size_multiple(model.name, model.knobs)
    except ExperimentError as error:
        problems.add_error(place, error)
        return
    text = None if multiple is None else size_problem(str(place), size_px, multiple, model.name)
    if text is not None:
        problems.add_text(place, text)


class _Resolver:
    """Applies levels to the baseline; what a level makes of a field is worked out once, not once a cell.

    Values are told by their identity (`id`), which stays theirs as long as they are kept here.
    """

    def __init__(self, base: Fields, problems: Problems) -> None:
        self._base, self._problems = base, problems
        self._changed: dict[tuple[int, int], tuple[Any, Any, Place] | None] = {}
        self._checked: dict[tuple[int, ...], tuple[Any, ...]] = {}

    def fields(self, settings: Sequence[Setting]) -> Fields | None:
        """Do what `levels.apply` does: first whole fields, then paths; None where that is impossible."""
        values, places = dict(self._base.values), dict(self._base.places)
        is_sound = True
        for setting in settings:
            is_sound = is_sound and not setting.is_broken
            for name, (value, place) in setting.whole.items():
                values[name], places[name] = value, place
        for setting in settings:
            for change in setting.paths:
                name = change.target.partition(".")[0]
                changed = self._change(name, values.get(name), change) if name in values else None
                if changed is None:
                    return None
                _, values[name], places[name] = changed
        return Fields(values, places) if is_sound else None

    def check(self, fields: Fields) -> None:
        """Record where fields contradict each other; those seen together before are not looked at again."""
        for pair in _AGREEING:
            seen = [(fields.values.get(name), fields.places.get(name)) for name in pair]
            key = tuple(id(each) for both in seen for each in both)
            if key not in self._checked:
                self._checked[key] = tuple(seen)
                check_size(fields, self._base, self._problems)
                check_agreement(fields, self._base, self._problems)

    def _change(self, name: str, value: Any, change: Change) -> tuple[Any, Any, Place] | None:
        key = id(value), id(change)
        if key not in self._changed:
            alone = Fields({name: value}, {})
            made = set_path(alone, change.target, change.place, change.node, self._problems)
            self._changed[key] = None if made is None else (value, made.values[name], made.places[name])
        return self._changed[key]


def _check_labels(cells: Sequence[Cell], combined: Mapping[Labels, Place], problems: Problems) -> None:
    """Refuse two cells of one name: labels with commas can make it so, and reports tell cells by it."""
    seen: set[str] = set()
    for cell in cells:
        if cell.label in seen:
            places = {
                ", ".join(x for x in labels if x is not None): place for labels, place in combined.items()
            }
            problems.add(places[cell.label], "two cells have one name", got=cell.label, see="Change a label")
        seen.add(cell.label)
