"""`segbench list metrics`: every metric, what it is measured on and which way is better."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from typing import Any

import typer

from segbench import registry
from segbench.cli.list import print_json, print_table
from segbench.errors import ExperimentError, message
from segbench.quantities import METRICS, Metric
from segbench.registry import AXES_FOLDER, Knob, Variant


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
    sections = [HEAD]
    for axis in registry.axes():
        variants = registry.variants(axis).values()
        sections.append(f"## {axis}\n\n{_about(axis)}\n")
        sections += [_section(variant) for variant in variants if variant.origin == "built-in"]
    return "\n".join([*sections, _metrics()]).rstrip("\n") + "\n"


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
