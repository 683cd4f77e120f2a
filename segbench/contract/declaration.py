"""What the source of every variant declares."""

from __future__ import annotations

from segbench import registry
from segbench.config.document import Node, Place, Problems
from segbench.config.resolve import NAMESPACE, UnreadableAnnotation, check_knob, type_of
from segbench.contract import Broken, Subject

RUNTIME = {
    "dataset": ("project",),
    "split": ("samples", "own_split"),
    "input": ("train_stats", "max_value"),
    "model": ("in_channels", "out_channels", "norm"),
    "norm": ("channels",),
    "init": ("module", "generator"),
    "augment": (),
    "loss": (),
    "mix": (),
    "optimizer": ("parameters",),
    "schedule": (),
}
"""Positional parameters of a factory, by axis."""


def name_is_free(subject: Subject) -> None:
    """The name is not that of a built-in variant."""
    variant = subject.variant
    if (
        variant.origin != "built-in"
        and (registry.AXES_FOLDER / variant.axis / f"{variant.name}.py").is_file()
    ):
        raise Broken(f"segbench has a {variant.axis} or a part of that name: rename {variant.file.name}")


def takes_the_runtime_objects(subject: Subject) -> None:
    """Positional parameters are the axis's run-time objects; knobs are keyword-only."""
    got, expected = subject.variant.runtime, RUNTIME[subject.variant.axis]
    if len(got) != len(expected):
        raise Broken(
            f"expected ({', '.join([*expected, '*', '...'])}), got ({', '.join([*got, '*', '...'])})"
        )


def says_what_it_is(subject: Subject) -> None:
    """The docstring begins with a sentence, which `segbench list` prints."""
    if not subject.variant.summary:
        raise Broken(f"{subject.variant.callable} has no docstring")


def knobs_are_documented(subject: Subject) -> None:
    """Every knob has a type and a line under `Args:`."""
    for knob in subject.variant.knobs.values():
        if knob.annotation == "Any":
            raise Broken(f"knob {knob.name} has no type, so its values cannot be checked")
        if not knob.help:
            raise Broken(f"knob {knob.name} is missing under `Args:` in the docstring")


def knobs_are_typed(subject: Subject) -> None:
    """Every knob's type can be read without importing the file, and its default is of that type."""
    for knob in subject.variant.knobs.values():
        try:
            type_of(knob.annotation)
        except UnreadableAnnotation as error:
            raise Broken(f"knob {knob.name}: {error}; known are {', '.join(NAMESPACE)}") from error
        if not knob.is_required:
            problems = Problems()
            check_knob(knob, Node.of(knob.default, Place("default")), problems)
            problems.raise_any()


def loads(subject: Subject) -> None:
    """The file imports, and the factory is callable."""
    if not callable(registry.load(subject.variant)):
        raise Broken(f"{subject.variant.callable} cannot be called")
