"""Axes as a file writes them: the levels, what each sets, and which one the others are compared with.

`read_dimensions` resolves every level, `finish` finds the baseline level and refuses levels that are one
configuration. `spell_out` turns `leave_one_out: RECIPE` into levels. `read_conditions` reads `when:`, the
levels of other axes at which an axis varies. A level of a list is named by its text (`label_of`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from segbench import registry
from segbench.config.document import Node, Place, Problems
from segbench.config.experiment import Axis, Level
from segbench.config.resolve import AGREEMENTS, Fields, check_agreement, resolve_field, set_path
from segbench.config.schema import INVALID
from segbench.config.trial import FIELDS, Target
from segbench.errors import ExperimentError
from segbench.records import AXIS_SPACE, PARAMETER_SPACE


def label_of(node: Node) -> str:
    """Return `1e-4` as written for a scalar, `unet(width=32)` for a spec, `bce+dice` for several terms."""
    if node.is_scalar:
        return node.text or "null"
    if node.is_list:
        return "+".join(label_of(item) for item in node.elements()) or "[]"
    return "+".join(_named(name, body) for name, body in node.items()) or "{}"


def _named(name: str, body: Node) -> str:
    if body.is_scalar:  # a weight of one, or no knobs at all, need no mention
        plain = body.value is None or (body.value == 1 and not isinstance(body.value, bool))
        return name if plain else f"{name}({body.text})"
    if body.is_list:
        return f"{name}({label_of(body)})"
    knobs = ", ".join(f"{knob}={_short(value)}" for knob, value in body.items())
    return f"{name}({knobs})" if knobs else name


def _short(node: Node) -> str:
    if node.is_list:
        return "[" + ", ".join(_short(item) for item in node.elements()) + "]"
    return label_of(node)


def find_label(node: Node, labels: Iterable[str]) -> str | None:
    """Return the label that a scalar names: by its text, else by its number (`0.001` finds `1e-3`)."""
    labels = list(labels)
    text = node.text or "null"
    if text in labels:
        return text
    if isinstance(node.value, int | float) and not isinstance(node.value, bool):
        equal = [label for label in labels if _number(label) == node.value]
        return equal[0] if len(equal) == 1 else None
    return None


def read_label(name: str, node: Node, labels: Iterable[str], problems: Problems) -> str | None:
    """Return the label of an axis that a node names, or None after recording that there is none."""
    label = find_label(node, labels) if node.is_scalar else None
    if label is None:
        got = node.text if node.is_scalar else node.plain()
        problems.add(node.place, f"{name} has no level of this label", got=got, known=labels)
    return label


def _number(label: str) -> float | None:
    try:
        return float(label)
    except ValueError:
        return None


# Axes: what each level sets, which level is the baseline, and which mistakes make a comparison void.


_NAME_RULES: Final[tuple[tuple[str, Callable[[str], bool]], ...]] = (
    ("a name must not be empty or begin or end with a space", lambda name: name != name.strip() or not name),
    ("a name stands on one line", lambda name: not name.isprintable()),
    (
        "a name must not begin with this: files write `axis:NAME` where a name is taken",
        lambda name: name.startswith((AXIS_SPACE, PARAMETER_SPACE)),
    ),
    ("a name must not hold `=`: commands write AXIS=LEVEL", lambda name: "=" in name),
)


def name_problem(name: str) -> str:
    """Return the rule that the name of an axis or a parameter breaks; empty: none.

    Any other name works: users' columns have a space of their own (`records.axis_column`).
    """
    return next((rule for rule, is_broken in _NAME_RULES if is_broken(name)), "")


@dataclass(frozen=True)
class Change:
    """One thing that a level sets."""

    target: str
    place: Place
    """Where the target stands."""
    node: Node


@dataclass(frozen=True)
class Setting:
    """A level with its values resolved."""

    label: str
    place: Place
    changes: tuple[Change, ...]
    whole: Mapping[str, tuple[Any, Place]]
    """Field -> its resolved value and place."""
    is_broken: bool
    """Whether a problem was recorded about it."""

    @property
    def paths(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.target not in FIELDS)

    def level(self) -> Level:
        return Level(self.label, {change.target: change.node.plain() for change in self.changes})


@dataclass(frozen=True)
class Dimension:
    """An axis as read: settings by label."""

    name: str
    place: Place
    settings: Mapping[str, Setting]
    baseline: str | None
    """The label that the file names, if any."""

    @property
    def targets(self) -> dict[str, Place]:
        return {
            change.target: change.place for setting in self.settings.values() for change in setting.changes
        }

    @property
    def is_broken(self) -> bool:
        return any(setting.is_broken for setting in self.settings.values())


def read_dimensions(axes: Node, problems: Problems) -> list[Dimension]:
    """Read every axis."""
    found: list[Dimension] = []
    for name, node in axes.items():
        place = axes.key_place(name)
        rule = name_problem(name)
        if rule:
            problems.add(place, rule, got=name)
        found.append(read_dimension(name, place, node, problems))
    return found


def read_dimension(name: str, place: Place, node: Node, problems: Problems) -> Dimension:
    """Read one axis whose levels are a mapping by label."""
    path = node.get("path")
    target = path.value if path is not None else name if name in FIELDS else None
    target_place = place if path is None else path.place
    levels = node["levels"]
    count = len(problems)
    if target is not None:
        check_target(target, target_place, problems)
    is_target_broken = len(problems) > count
    settings: dict[str, Setting] = {}
    for label, body in levels.items():
        label_place = levels.key_place(label)
        if not label.strip():
            problems.add(label_place, "a level's label must not be empty", got=label)
        changes: list[Change] = []
        if target is not None:
            changes += [] if is_target_broken else [Change(target, target_place, body)]
        elif body.is_mapping and body.value:
            changes += [Change(key, body.key_place(key), value) for key, value in body.items()]
        else:
            rule = "an axis that is no field and has no `path:` needs levels such as {label: {norm: none}}"
            problems.add(place, rule, got=name, known=FIELDS)
        settings[label] = _setting(label, label_place, changes, problems, is_checked=target is not None)
    return Dimension(name, place, settings, _named_baseline(name, node, settings, problems))


def check_target(target: str, place: Place, problems: Problems) -> None:
    """Record it if a target is neither a field nor a path that starts with one."""
    name, *inside = Target.of(target)
    if name not in FIELDS:
        problems.add(place, "there is no such field", got=name, known=FIELDS)
    elif "." in target and not any(inside):
        problems.add(place, "a knob's path is FIELD.KNOB", got=target)


def apply(fields: Fields, settings: Sequence[Setting], problems: Problems) -> Fields | None:
    """Apply levels to a configuration: first whole fields, then paths; None where that is impossible."""
    return Applier(fields, problems).apply(settings)


class Applier:
    """Applies levels to a baseline; what a level makes of a field is worked out once, not once per cell.

    Values are told by their identity (`id`), which stays theirs as long as they are kept here.
    """

    def __init__(self, base: Fields, problems: Problems) -> None:
        self._base, self._problems = base, problems
        self._changed: dict[tuple[int, int], tuple[Any, Any, Place] | None] = {}
        self._checked: dict[tuple[int, ...], tuple[Any, ...]] = {}

    def apply(self, settings: Sequence[Setting]) -> Fields | None:
        """Do what `apply` does."""
        values, places = dict(self._base.values), dict(self._base.places)
        for setting in settings:
            for name, (value, place) in setting.whole.items():
                values[name], places[name] = value, place
        for setting in settings:
            for change in setting.paths:
                name = Target.of(change.target).field
                changed = self._change(name, values.get(name), change) if name in values else None
                if changed is None:
                    return None
                _, values[name], places[name] = changed
        return None if any(setting.is_broken for setting in settings) else Fields(values, places)

    def check(self, fields: Fields) -> None:
        """Record where fields contradict each other; those seen together before are not looked at again."""
        for *pair, _ in AGREEMENTS:
            seen = [(fields.values.get(name), fields.places.get(name)) for name in pair]
            key = tuple(id(each) for both in seen for each in both)
            if key not in self._checked:
                self._checked[key] = tuple(seen)
                check_agreement(fields, self._base, self._problems)

    def _change(self, name: str, value: Any, change: Change) -> tuple[Any, Any, Place] | None:
        key = id(value), id(change)
        if key not in self._changed:
            alone = Fields({name: value}, {})
            made = set_path(alone, change.target, change.place, change.node, self._problems)
            self._changed[key] = None if made is None else (value, made.values[name], made.places[name])
        return self._changed[key]


def finish(
    dimension: Dimension, base: Fields, problems: Problems, when: Mapping[str, tuple[str, ...]] | None = None
) -> Axis:
    """Find the baseline level, and refuse levels that are one configuration.

    Args:
        dimension: The axis as read.
        base: The baseline; of a conditional axis, as it is where the condition holds.
        problems: Takes what is wrong.
        when: The condition.
    """
    results: dict[str, Fields] = {}
    for label, setting in dimension.settings.items():
        result = apply(base, [setting], problems)
        if result is None:
            continue
        for other, earlier in results.items():
            if earlier.values == result.values:
                rule = f"the levels {other!r} and {label!r} of {dimension.name} are one configuration"
                problems.add(setting.place, rule, see="Take one of them out")
        results[label] = result
    labels = list(dimension.settings)
    unchanged = [label for label, result in results.items() if result.values == base.values]
    baseline = dimension.baseline or (unchanged[0] if unchanged else None)
    if baseline is None:
        if len(results) == len(labels):
            where = "" if not when else f" with {', '.join(f'{k}: {v[0]}' for k, v in when.items())}"
            rule = f"no level of {dimension.name} is what `baseline:` of the experiment holds{where}"
            see = f"Name the level to compare with: {{levels: ..., baseline: {labels[0]}}}"
            problems.add(dimension.place, rule, known=labels, see=see)
        baseline = labels[0]
    levels = tuple(setting.level() for setting in dimension.settings.values())
    return Axis(dimension.name, levels, baseline, dict(when or {}))


def _setting(
    label: str, place: Place, changes: list[Change], problems: Problems, *, is_checked: bool
) -> Setting:
    count = len(problems)
    whole: dict[str, tuple[Any, Place]] = {}
    for change in changes:
        if change.target in FIELDS:
            value = resolve_field(change.target, change.node, problems)
            if value is not INVALID:
                whole[change.target] = (value, change.node.place)
        elif not is_checked:
            check_target(change.target, change.place, problems)
    return Setting(label, place, tuple(changes), whole, not changes or len(problems) > count)


def _named_baseline(name: str, node: Node, settings: Mapping[str, Setting], problems: Problems) -> str | None:
    named = node.get("baseline")
    if named is None or (named.value is None and "null" not in settings):
        return None
    # Another label stands in for an unknown one, so that its lack is not reported again.
    return read_label(name, named, settings, problems) or next(iter(settings))


# `leave_one_out: r3` of an axis: the recipe, and the recipe without each of its steps, as levels.


LEAVE_ONE_OUT: Final = "leave_one_out"
_FIELD: Final = "augment"
_WITHOUT: Final = "without "


def spell_out(name: str, axis: Node, problems: Problems) -> Node:
    """Return an axis with `leave_one_out` turned into levels; further `levels` come after them.

    The axis `augment` takes a recipe, `{leave_one_out: r3}`; any other one says what the recipe is,
    `{leave_one_out: {augment: r3}}`. The whole recipe is the axis's baseline unless another is named. A step
    that holds others (OneOf) is left out member by member, and the others keep its probability; without its
    last member it goes too. A recipe of one step without it is `none`.

    Args:
        name: The axis.
        axis: As written, its `levels`, if any, a mapping by label.
        problems: Takes what is wrong; the whole recipe is then the only level.
    """
    asked = axis[LEAVE_ONE_OUT]
    recipe = asked
    if name != _FIELD:
        if asked.is_mapping and list(asked.value) == [_FIELD]:
            recipe = asked[_FIELD]
        else:
            rule = "steps can be left out of augment: write leave_one_out: {augment: RECIPE}"
            problems.add(asked.place, rule, got=asked.plain())
    whole = label_of(recipe) if recipe.is_scalar else "all"
    levels = Node(asked.place, {}).having(whole, _level(name, recipe, asked), asked.place)
    for label, steps in _without_each(_steps(recipe, problems)):
        node = _level(name, Node.of(steps or "none", recipe.place), asked)
        levels = levels.having(label, node, asked.place)
    for label, node in axis.entries("levels"):
        place = axis["levels"].key_place(label)
        if label in levels:
            problems.add(place, "two levels have one label", got=label)
        levels = levels.having(label, node, place)
    axis = axis.without(LEAVE_ONE_OUT).having("levels", levels, axis.key_place(LEAVE_ONE_OUT))
    return axis if "baseline" in axis else axis.having("baseline", Node(asked.place, whole, text=whole))


def _level(name: str, recipe: Node, asked: Node) -> Node:
    return recipe if name == _FIELD else Node(asked.place, {}).having(_FIELD, recipe, asked.place)


def _steps(recipe: Node, problems: Problems) -> Sequence[Any]:
    """Return the steps of a recipe; none after recording that it has none. An unknown name is found later."""
    if recipe.is_list:
        steps: list[Any] = recipe.plain()
        return steps
    if not (recipe.is_scalar and isinstance(recipe.value, str)):
        rule = "leave_one_out takes the name of a recipe or a list of transforms"
        problems.add(recipe.place, rule, got=recipe.plain())
        return ()
    try:
        known = registry.variants(_FIELD)
    except ExperimentError as error:
        problems.add_error(recipe.place, error, where=_FIELD)
        return ()
    found = known.get(recipe.value)
    if found is not None and found.preset_of != "transforms":
        recipes = [variant.name for variant in known.values() if variant.preset_of == "transforms"]
        rule = "only a recipe made of transforms has steps to leave out"
        problems.add(recipe.place, rule, got=recipe.value, known=recipes)
        return ()
    return () if found is None else found.knobs["steps"].default


def leaves_steps_out(labels: Sequence[str]) -> bool:
    """Whether several levels of an axis are a recipe without one of its steps."""
    return sum(label.startswith(_WITHOUT) for label in labels) > 1


def _without_each(steps: Sequence[Any]) -> Iterator[tuple[str, list[Any]]]:
    seen: dict[str, int] = {}
    for title, rest in _each_left_out(steps):
        seen[title] = seen.get(title, 0) + 1
        number = f" {seen[title]}" if seen[title] > 1 else ""
        yield f"{_WITHOUT}{title}{number}", rest


def _each_left_out(steps: Sequence[Any]) -> Iterator[tuple[str, list[Any]]]:
    for k, step in enumerate(steps):
        before, after = list(steps[:k]), list(steps[k + 1 :])
        members = _members(step)
        if members is None:
            yield (step if isinstance(step, str) else next(iter(step), "")), [*before, *after]
            continue
        ((title, arguments),) = step.items()
        for member, rest in _each_left_out(members):
            kept = [{title: {**arguments, "transforms": rest}}] if rest else []
            yield member, [*before, *kept, *after]


def _members(step: Any) -> Sequence[Any] | None:
    """Return the steps that a step holds, such as those of OneOf; None for a step that holds none."""
    if isinstance(step, Mapping) and len(step) == 1:
        (arguments,) = step.values()
        inner = arguments.get("transforms") if isinstance(arguments, Mapping) else None
        return inner if isinstance(inner, list) else None
    return None


# Conditional axes: `when: {optimizer: sgd}`, an axis that only cells with such levels have.


WHEN: Final = "when"


@dataclass(frozen=True)
class Condition:
    """What an axis needs of the others."""

    place: Place
    labels: Mapping[str, tuple[str, ...]]
    """Other axis -> labels, any of which will do; all axes must agree."""


def read_conditions(
    axes: Node, dimensions: Mapping[str, Dimension], problems: Problems
) -> dict[str, Condition]:
    """Read `when:` of every axis that has one, each after those that it depends on."""
    found: dict[str, Condition] = {}
    labels = {name: dimension.settings for name, dimension in dimensions.items()}
    for name, node in axes.items():
        count = len(problems)
        when = read_when(node, labels, problems, itself=name) if name in dimensions else {}
        if when and len(problems) == count:
            found[name] = Condition(node[WHEN].place, when)
    return _in_order(found, problems)


def read_when(
    holder: Node, labels: Mapping[str, Iterable[str]], problems: Problems, *, itself: str = ""
) -> dict[str, tuple[str, ...]]:
    """Read `when: {optimizer: sgd}`, or a list of labels, any of which will do.

    Args:
        holder: The axis or the parameter that has `when`, or none.
        labels: Axis -> its labels.
        problems: Takes axes and labels that there are not.
        itself: The axis, which must not depend on itself.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name, node in holder.entries(WHEN):
        place = holder[WHEN].key_place(name)
        if name == itself:
            problems.add(place, "an axis must not depend on itself", got=name)
        elif name not in labels:
            known = [each for each in labels if each != itself]
            problems.add(place, "there is no such axis", got=name, known=known)
        else:
            read = [read_label(name, each, labels[name], problems) for each in node.each()]
            found[name] = tuple(dict.fromkeys(label for label in read if label is not None))
    return found


def is_conditional(axis: Node) -> bool:
    """Whether an axis is written with a condition."""
    when = axis.get(WHEN)
    return when is not None and not (when.is_scalar and when.value is None)


def base_of(
    name: str,
    base: Fields,
    conditions: Mapping[str, Condition],
    dimensions: Mapping[str, Dimension],
    problems: Problems,
) -> Fields:
    """Return the baseline as an axis finds it: with the first level that meets each of its conditions."""
    settings = []
    asked = [name]
    for each in asked:
        for other, labels in conditions[each].labels.items() if each in conditions else ():
            settings.append(dimensions[other].settings[labels[0]])
            asked.append(other)
    applied = apply(base, settings[::-1], problems) if settings else base
    return base if applied is None else applied


def check_writers(
    dimensions: Sequence[Dimension], conditions: Mapping[str, Condition], problems: Problems
) -> None:
    """Refuse two axes that write one target, unless no cell has both."""
    writers: dict[str, list[str]] = {}
    for dimension in dimensions:
        for target, place in dimension.targets.items():
            for other in writers.get(target, ()):
                if not _exclude_each_other(dimension.name, other, conditions):
                    problems.add(place, f"the axis {other} sets {target} too; one axis may set it")
            writers.setdefault(target, []).append(dimension.name)


def order_of(axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """Return the conditional axes, each after those that it depends on."""
    by_name = {axis.name: axis for axis in axes}
    found: dict[str, Axis] = {}

    def visit(axis: Axis) -> None:
        for other in axis.when:
            if other in by_name:
                visit(by_name[other])
        if axis.when:
            found.setdefault(axis.name, axis)

    for axis in axes:
        visit(axis)
    return tuple(found.values())


def _in_order(conditions: dict[str, Condition], problems: Problems) -> dict[str, Condition]:
    """Sort by dependence; a circle is a problem, and its conditions are dropped."""
    found: dict[str, Condition] = {}
    left = dict(conditions)
    while left:
        ready = [name for name, each in left.items() if not each.labels.keys() & left.keys()]
        if not ready:
            name, condition = next(iter(left.items()))
            rule = "conditions must not go round in a circle"
            problems.add(condition.place, rule, got=" and ".join(left))
            return found
        for name in ready:
            found[name] = left.pop(name)
    return found


def _exclude_each_other(one: str, other: str, conditions: Mapping[str, Condition]) -> bool:
    if one not in conditions or other not in conditions:
        return False
    ours, theirs = conditions[one].labels, conditions[other].labels
    return any(not set(ours[axis]) & set(theirs[axis]) for axis in ours.keys() & theirs.keys())
