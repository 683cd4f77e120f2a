"""Puts the commands together."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Annotated

import typer

COMMANDS = (
    "init",
    "sweep",
    "report",
    "explain",
    "compare",
    "plan",
    "bench",
    "status",
    "logs",
    "run",
    "evaluate",
    "predict",
    "data",
    "list",
    "check",
    "schema",
    "export",
    "dashboard",
    "results",
    "worker",
    "stop",
)
"""In the order `--help` shows them; `segbench/cli/<name>.py` holds a function `<name>` or, for a group,
`app`.

A name that Python reserves or shadows (`list`) is a function with an underscore behind it (`list_`).
"""

app = typer.Typer(
    name="segbench",
    help="Ablation studies of image segmentation: one YAML file in, trained trials and a report out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def _segbench(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from segbench import __version__

        typer.echo(f"segbench {__version__}")
        raise typer.Exit


for _name in COMMANDS:
    if importlib.util.find_spec(f"segbench.cli.{_name}") is None:
        continue
    _module = importlib.import_module(f"segbench.cli.{_name}")
    if hasattr(_module, "app"):
        app.add_typer(_module.app, name=_name)
    else:
        app.command(_name)(getattr(_module, _name, None) or getattr(_module, f"{_name}_"))
