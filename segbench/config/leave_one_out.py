"""`leave_one_out: r3` of an axis: the recipe, and the recipe without each of its steps, as levels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from segbench import registry
from segbench.config.document import Node
from segbench.config.labels import label_of
from segbench.config.problems import Problems
from segbench.errors import ExperimentError

KEY: Final = "leave_one_out"
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
    asked = axis[KEY]
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
    written = axis.get("levels")
    if written is not None and written.is_mapping:
        for label, node in written.items():
            if label in levels:
                problems.add(written.key_place(label), "two levels have one label", got=label)
            levels = levels.having(label, node, written.key_place(label))
    axis = axis.without(KEY).having("levels", levels, axis.key_place(KEY))
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
