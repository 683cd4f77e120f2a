"""`segbench schema`: the JSON schema of experiment files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def schema(
    out: Annotated[
        Path | None, typer.Option(help="Write to this file instead of the terminal.", show_default=False)
    ] = None,
) -> None:
    """Print the JSON schema of experiments.

    Editors complete and check experiment files by it.

    The variants of the project around the current folder are part of it. A file names the schema in its
    first line: `# yaml-language-server: $schema=PATH`.
    """
    import json

    from segbench import registry
    from segbench.config.json_schema import json_schema
    from segbench.config.project import Project

    registry.use_project(Project.around(Path.cwd()).root)
    text = json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
        typer.echo(f"Wrote {out}")
