"""`segbench check`: run the contract of its axis on a user's own variant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.errors import ExperimentError, TrialError, message

if TYPE_CHECKING:
    from segbench.signature import Variant


def check(
    target: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="axes/<axis>/<name>.py, or an import path such as my_pkg.nets:MyNet."
        ),
    ],
    axis: Annotated[
        str | None, typer.Option("--axis", help="The axis, where the file's folder does not name it.")
    ] = None,
    knobs: Annotated[
        list[str] | None, typer.Option("--set", metavar="KNOB=VALUE", help="Check it at this knob.")
    ] = None,
) -> None:
    """Check a variant of your own.

    That it does what its axis asks for.

    Exits 4 where a check fails, 2 where the file cannot be read.
    """
    variant = _variant(target, axis)

    from segbench import contract

    subject = contract.Subject.of(variant, **_knobs(variant, knobs or []))
    settings = ", ".join(f"{name}={value!r}" for name, value in subject.knobs.items())
    preset = f", a preset of {variant.preset_of}" if variant.preset_of else ""
    typer.echo(f"{variant.axis} {variant.name}{preset}{f' ({settings})' if settings else ''}")
    failed = total = 0
    for outcome in contract.run(subject):
        total += 1
        failed += not outcome.is_ok
        typer.echo(f"  {'ok    ' if outcome.is_ok else 'FAILED'}  {outcome.check.rule}")
        if outcome.reason:
            typer.echo("".join(f"          {line}\n" for line in outcome.reason.splitlines()).rstrip("\n"))
    if failed:
        raise TrialError(f"{target}: {failed} of {total} checks failed.")
    typer.echo(f"All {total} checks passed.")


def _variant(target: str, axis: str | None) -> Variant:
    from segbench import registry
    from segbench.config.project import Project
    from segbench.signature import find_preset

    if ":" in target and not target.endswith(".py"):
        registry.use_project(Project.around(Path.cwd()).root)
        return registry.find(_axis(target, axis, None), target)
    file = Path(target).resolve()
    if not file.is_file():
        see = "Give axes/<axis>/<name>.py, or package.module:Name with --axis"
        raise ExperimentError(message("FILE", "there is no such file", got=target, see=see))
    axis = _axis(target, axis, file.parent.name)
    origin = "built-in" if file.parent == registry.AXES_FOLDER / axis else "project"
    if find_preset(file) is None:
        return registry.read_source(axis, file, origin=origin)
    if origin == "project":  # what it stands for may be a variant of the same project
        registry.use_project(file.parents[2] if file.parts[-3:-1] == ("axes", axis) else None)
    return replace(registry.read_preset(axis, file), origin=origin)


def _axis(target: str, axis: str | None, folder: str | None) -> str:
    from segbench import registry

    known = registry.axes()
    if axis is None and folder not in known:
        rule = "its folder names no axis" if folder else "an import path does not say which axis it is of"
        raise ExperimentError(message(target, rule, known=known, see="Say it with --axis"))
    chosen = axis or folder
    if chosen not in known:
        raise ExperimentError(message("--axis", "there is no such axis", got=chosen, known=known))
    return str(chosen)


def _knobs(variant: Variant, settings: list[str]) -> dict[str, Any]:
    """Read `KNOB=VALUE` as an experiment's file would: YAML 1.2, of the knob's type."""
    from segbench.config.document import Place, Problems, parse
    from segbench.config.resolve import check_knob

    knobs, problems = {}, Problems()
    for setting in settings:
        name, equals, text = setting.partition("=")
        place = Place(f"--set {setting}")
        if not equals:
            problems.add(place, "write --set KNOB=VALUE, such as --set width=16")
        elif name not in variant.knobs:
            what = f"{variant.axis} {variant.name} has no such knob"
            problems.add(place, what, got=name, known=variant.knobs)
        else:
            value = parse(text, str(place), problems, is_positioned=False)
            knobs[name] = check_knob(variant.knobs[name], value, problems)
    problems.raise_any()
    return knobs
