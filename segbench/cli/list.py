"""`segbench list`: axes, their variants and knobs, metrics, and the experiments of a project.

`--markdown` prints docs/axes.md, the page of all built-in variants.
"""

from __future__ import annotations

import ast
import itertools
import json
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from segbench import registry
from segbench.cli.printing import print_json
from segbench.config.load import experiment_files
from segbench.config.project import Project
from segbench.config.trial import DECLARED, FIELDS, TrialConfig
from segbench.errors import ExperimentError, message
from segbench.quantities import METRICS, Metric
from segbench.registry import AXES_FOLDER, REQUIRED, Knob, Variant
from segbench.sizes import declared_multiple

# `segbench list`: axes, their variants and knobs, metrics, and the experiments of a project.


_FIRST_ALONE = "the first may be given alone, as {name: value}"


def list_(
    axis: Annotated[
        str | None, typer.Argument(help="An axis, `metrics` or `experiments`.", show_default=False)
    ] = None,
    variant: Annotated[
        str | None,
        typer.Argument(help="A variant of the axis, its import path, or a metric.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the page of all built-in variants, docs/axes.md.")
    ] = False,
) -> None:
    """Show axes, variants, knobs, metrics or experiments.

    Without arguments: every axis with its variants. With an axis: its variants with knobs and citation. With
    a variant: all of its knobs with type, default and help, and its documentation.
    """
    project = Project.around(Path.cwd())
    registry.use_project(project.root)
    if as_markdown:
        typer.echo(axes_page(), nl=False)
    elif axis is None:
        found = {name: registry.variants(name) for name in registry.axes()}
        if as_json:
            print_json({name: [v.name for v in variants.values()] for name, variants in found.items()})
        else:
            print_table([(name, ", ".join(variants)) for name, variants in found.items()])
            typer.echo(
                "\n`segbench list AXIS` shows one of them, `segbench list metrics` the metrics, "
                "`segbench list experiments` the experiments."
            )
    elif axis == "experiments":
        _list_experiments(project, as_json=as_json)
    elif axis == "metrics":
        list_metrics(variant, as_json=as_json)
    elif variant is None:
        if axis not in registry.axes():
            known = [*registry.axes(), "metrics", "experiments"]
            raise ExperimentError(message("list", "there is no such axis", got=axis, known=known))
        shown = registry.variants(axis).values()
        if as_json:
            print_json([_variant_json(v) for v in shown])
        else:
            print_table([(v.name, _entry(v)) for v in shown])
    else:
        found_variant = registry.find(axis, variant)
        if as_json:
            print_json({**_variant_json(found_variant), "doc": found_variant.doc})
        else:
            _print_variant(found_variant)


def _list_experiments(project: Project, *, as_json: bool) -> None:
    from segbench.config.document import read_document

    found: list[dict[str, Any]] = []
    for name, file in experiment_files(project).items():
        shown: dict[str, Any] = {"name": name, "folder": str(file.parent.relative_to(project.experiments))}
        try:
            document = read_document(file)
            question, scales = document.get("question"), document.get("scales")
            shown["question"] = "" if question is None else str(question.value)
            shown["scales"] = list(scales.value) if scales is not None and scales.is_mapping else []
        except ExperimentError as error:
            shown |= {"question": f"cannot be read: {error.problems[0]}", "scales": []}
        found.append(shown)
    found.sort(key=lambda each: each["folder"])
    if as_json:
        print_json(found)
    elif not found:
        typer.echo(f"There is no experiment in {project.experiments}; `segbench init` makes one.")
    else:
        for folder, inside in itertools.groupby(found, key=lambda each: each["folder"]):
            rows = []
            for each in inside:
                suffix = f" (--scale {', '.join(each['scales'])})" if each["scales"] else ""
                rows.append((each["name"], f"{each['question']}{suffix}"))
            if folder != ".":
                typer.echo(f"\n{folder}/")
            print_table(rows)


def _print_variant(variant: Variant) -> None:
    origin = "" if variant.origin == "built-in" else f" ({variant.origin}: {variant.file})"
    typer.echo(f"{variant.axis}: {variant.name}{origin}\n")
    if variant.preset_of is not None:
        typer.echo(f"A preset, which stands for\n\n{textwrap.indent(_spelled_out(variant), '  ')}")
    if variant.flawed is not None:
        typer.echo(f"{_flaw(variant)}\n")
    if variant.knobs:
        is_term = variant.axis == "loss"
        alone = "{name: value} sets the term's weight" if is_term else _FIRST_ALONE
        typer.echo(f"Knobs ({alone}):")
        print_table([(f"  {_signature(knob)}", knob.help) for knob in variant.knobs.values()])
    else:
        typer.echo("It has no knobs.")
    if variant.size_multiple is not None:
        typer.echo(
            f"\nHeight and width must be a multiple of {variant.size_multiple}{_at_defaults(variant)}."
        )
    typer.echo(f"\n{variant.doc}")


def _spelled_out(preset: Variant) -> str:
    """Write the field of an experiment that a preset stands for, as YAML."""
    from segbench.config.document import dump

    changed = registry.changed_knobs(preset)
    return (
        dump({preset.axis: {preset.preset_of: changed}})
        if changed
        else f"{preset.axis}: {preset.preset_of}\n"
    )


def _at_defaults(variant: Variant) -> str:
    if any(knob.is_required for knob in variant.knobs.values()):
        return ""
    value = declared_multiple(variant, {})
    return "" if str(value) == variant.size_multiple else f" (by default {value})"


def _signature(knob: Knob) -> str:
    default = "required" if knob.is_required else f"= {json.dumps(knob.default)}"
    return f"{knob.name}: {_readable(knob.annotation)} {default}"


def _readable(annotation: str) -> str:
    """Write `Annotated[int, Ge(1)]` as `int, Ge(1)`."""
    if annotation.startswith("Annotated[") and annotation.endswith("]"):
        return annotation.removeprefix("Annotated[")[:-1]
    return annotation


def _marked_summary(variant: Variant) -> str:
    """Return the summary, with what a preset stands for and where a variant of the user's own is from."""
    marks = []
    if variant.preset_of is not None:
        changed = ", ".join(registry.changed_knobs(variant))
        marks.append(f"{variant.preset_of} " + (f"with {changed}" if changed else "at its defaults"))
    if variant.origin != "built-in":
        marks.append(variant.origin)
    return f"{variant.summary} ({'; '.join(marks)})" if marks else variant.summary


def _variant_json(variant: Variant) -> dict[str, Any]:
    return {
        "axis": variant.axis,
        "name": variant.name,
        "summary": variant.summary,
        "origin": variant.origin,
        "preset_of": variant.preset_of,
        "changed": {} if variant.preset_of is None else registry.changed_knobs(variant),
        "size_multiple": variant.size_multiple,
        "knobs": [
            {
                "name": knob.name,
                "type": knob.annotation,
                "is_required": knob.is_required,
                "default": None if knob.is_required else knob.default,
                "help": knob.help,
            }
            for knob in variant.knobs.values()
        ],
    }


def _flaw(variant: Variant) -> str:
    return f"Flawed on purpose: {variant.flawed}. Needs allow_flawed: true."


def _entry(variant: Variant) -> str:
    """Return the summary, then a line of knobs with their defaults, then the citation."""
    lines = [_marked_summary(variant)]
    if variant.flawed is not None:
        lines.append(_flaw(variant))
    if variant.knobs and variant.preset_of is None:
        shown = (
            f"{k.name}" if k.is_required else f"{k.name}={json.dumps(k.default)}"
            for k in variant.knobs.values()
        )
        lines.append(f"[{', '.join(shown)}]")
    if variant.reference:
        lines.append(variant.reference)
    return "\n".join(lines)


def print_table(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and texts in two columns; texts wrap at the terminal's width, each of their lines anew."""
    width = max(60, min(shutil.get_terminal_size((110, 24)).columns, 140))
    column = min(max((len(name) for name, _ in rows), default=0) + 2, width // 2)
    for name, text in rows:
        wrapped = (textwrap.wrap(line, width - column, break_on_hyphens=False) for line in text.split("\n"))
        lines = [line for part in wrapped for line in part] or [""]
        if len(name) + 2 > column:
            typer.echo(name)
            name = ""
        for line in lines:
            typer.echo(f"{name:<{column}}{line}".rstrip())
            name = ""


# `segbench list metrics`: every metric, what it is measured on and which way is better.


def list_metrics(name: str | None, *, as_json: bool) -> None:
    """Print all metrics, a line each, or one with its whole documentation.

    Raises:
        ExperimentError: There is no such metric.
    """
    if name is not None and name not in METRICS:
        raise ExperimentError(message("list metrics", "there is no such metric", got=name, known=METRICS))
    chosen = METRICS.values() if name is None else [METRICS[name]]
    if as_json:
        found = [_metric_json(spec) for spec in chosen]
        print_json(found if name is None else found[0])
    elif name is None:
        print_table([(spec.name, f"{spec.summary} [{spec.about}]") for spec in chosen])
    else:
        typer.echo(f"{name}: {METRICS[name].about}\n\n{METRICS[name].doc}")


def _metric_json(spec: Metric) -> dict[str, Any]:
    return {
        "name": spec.name,
        "summary": spec.summary,
        "parts": list(spec.parts),
        "unit": spec.unit,
        "is_per_image": spec.is_per_image,
        "is_lower_better": spec.is_lower_better,
        "best": spec.best,
        "worst": spec.worst,
        "doc": spec.doc,
    }


# `segbench list --markdown`: every axis, variant and knob as one page; docs/axes.md is this page.


HEAD = """# Axes and their variants

This page is made by `segbench list --markdown` (`make axes` rewrites it). A field of `baseline:` names one
variant of the axis of its name: `norm: batch`, `model: {unet: {width: 32}}`; `loss` is a weighted sum of
several. Your own variants stand in `axes/<axis>/<name>.py` beside `experiments/`, or are named by import
path.
"""


def axes_page() -> str:
    """Return the page: an axis a section, a variant a sub-section, with knobs and reference."""
    sections = [HEAD, _fields()]
    for axis in registry.axes():
        variants = registry.variants(axis).values()
        sections.append(f"## {axis}\n\n{_about(axis)}\n")
        sections += [_section(variant) for variant in variants if variant.origin == "built-in"]
    return "\n".join([*sections, _metrics()]).rstrip("\n") + "\n"


def _fields() -> str:
    """Return the section on the fields of a configuration."""
    lines = ["## Fields of `baseline`", "", "| field | default | type | meaning |", "|---|---|---|---|"]
    for name in FIELDS:
        about = DECLARED[name]
        bounds = ", ".join(f"{_BOUNDS[bound]} {limit:g}" for bound, limit in about.bounds.items())
        kind = "a variant" if about.is_axis else f"`{TrialConfig.__annotations__[name]}`"
        default = "required" if about.default is REQUIRED else f"`{json.dumps(about.default)}`"
        kind = f"{kind}, {bounds}" if bounds else kind
        lines.append(_cells([f"`{name}`", default, kind, _text(about.text)]))
    return "\n".join([*lines, ""])


_BOUNDS: Final = {"gt": "more than", "ge": "at least", "lt": "less than", "min_length": "length at least"}


def _metrics() -> str:
    """Return the section on metrics."""
    lines = ["## Metrics", "", "Measured of every trial; the columns are `val_NAME` and `test_NAME`.", ""]
    for spec in METRICS.values():
        lines += [f"### `{spec.name}`", "", f"{spec.about[0].upper()}{spec.about[1:]}.", ""]
        for paragraph in spec.doc.split("\n\n"):
            lines += [_text(paragraph), ""]
    return "\n".join(lines)


def _about(axis: str) -> str:
    doc = ast.get_docstring(ast.parse((AXES_FOLDER / axis / "__init__.py").read_text(encoding="utf-8")))
    return " ".join((doc or "").split("\n\n")[0].split())


def _section(variant: Variant) -> str:
    lines = [f"### `{variant.name}`", "", _text(variant.summary)]
    for paragraph in variant.paragraphs:
        lines += ["", _text(paragraph)]
    if variant.flawed is not None:
        lines += ["", f"**Flawed on purpose**: {_text(variant.flawed)}. Needs `allow_flawed: true`."]
    if variant.preset_of is not None:
        knobs = (variant.knobs[name] for name in registry.changed_knobs(variant))
        changed = ", ".join(f"`{knob.name}: {_value(knob)}`" for knob in knobs)
        lines += ["", f"Stands for `{variant.preset_of}`" + (f" with {changed}." if changed else ".")]
    elif variant.knobs:
        lines += ["", "| knob | default | type | meaning |", "|---|---|---|---|"]
        lines += [_row(knob) for knob in variant.knobs.values()]
    if variant.size_multiple is not None and variant.preset_of is None:
        lines += ["", f"Height and width must be a multiple of `{variant.size_multiple}`."]
    if variant.reference:
        lines += ["", f"Reference: {_text(variant.reference)}"]
    return "\n".join([*lines, ""])


def _row(knob: Knob) -> str:
    default = "required" if knob.is_required else f"`{_value(knob)}`"
    kind = knob.annotation.removeprefix("Annotated[")
    kind = kind[:-1] if kind != knob.annotation else kind
    return _cells([f"`{knob.name}`", default, f"`{kind}`", _text(knob.help)])


def _value(knob: Knob) -> str:
    return json.dumps(knob.default, ensure_ascii=False)


def _cells(texts: Iterable[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def _text(text: str) -> str:
    """Escape what Markdown would take for emphasis or a tag, outside of code."""
    parts = " ".join(text.split()).split("`")
    for k in range(0, len(parts), 2):
        for character in "*_<":
            parts[k] = parts[k].replace(character, f"\\{character}")
    return "`".join(parts)
