"""The command line: one file a command, heavy imports inside the command."""

from __future__ import annotations

import sys

from segbench.errors import SegbenchError


def main() -> None:
    """Run the command line; a user's mistake prints its text and exits with its code."""
    from segbench.cli.app import app

    try:
        app()
    except SegbenchError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
