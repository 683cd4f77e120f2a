"""`segbench list metrics`: every metric, what it is measured on and which way is better."""

from __future__ import annotations

import inspect
from typing import Any

import typer

from segbench.cli.list import print_json, print_table
from segbench.engine.metrics import METRICS
from segbench.errors import ExperimentError, message
from segbench.metrics import SPECS, MetricSpec


def list_metrics(name: str | None, *, as_json: bool) -> None:
    """Print all metrics, a line each, or one with its whole documentation.

    Raises:
        ExperimentError: There is no such metric.
    """
    if name is not None and name not in SPECS:
        raise ExperimentError(message("list metrics", "there is no such metric", got=name, known=SPECS))
    chosen = SPECS.values() if name is None else [SPECS[name]]
    if as_json:
        found = [_metric_json(spec) for spec in chosen]
        print_json(found if name is None else found[0])
    elif name is None:
        print_table(
            [(spec.name, f"{definition(spec).partition(chr(10))[0]} [{spec.about}]") for spec in chosen]
        )
    else:
        typer.echo(f"{name}: {SPECS[name].about}\n\n{definition(SPECS[name])}")


def definition(spec: MetricSpec) -> str:
    """Return the docstring of the function that defines a metric."""
    return inspect.getdoc(METRICS[spec.name]) or ""


def _metric_json(spec: MetricSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "summary": definition(spec).partition("\n")[0],
        "parts": list(spec.parts),
        "unit": spec.unit,
        "is_per_image": spec.is_per_image,
        "is_lower_better": spec.is_lower_better,
        "best": spec.best,
        "worst": spec.worst,
        "doc": definition(spec),
    }
