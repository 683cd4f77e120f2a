"""What a command says of a file that changed since its last sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from segbench.cli.text import count

if TYPE_CHECKING:
    from segbench.sweep.changes import Changes
    from segbench.sweep.plan import Plan


def check_changes(design: Plan, *, may_supersede: bool) -> None:
    """Print what changed since the last sweep, and note that what it asked for was complete.

    Args:
        design: The plan of all of it.
        may_supersede: Whether finished trials may be left behind.

    Raises:
        ExperimentError: Finished trials would be left behind, and nobody has said that they may.
        ResultsError: `history.csv` is damaged.
    """
    from segbench.errors import ExperimentError
    from segbench.store.history import read_history
    from segbench.sweep.changes import find_changes
    from segbench.sweep.ending import note_before

    read_history(design.folder)  # a damaged one is refused before any work starts
    changes = find_changes(design)
    if changes is None:
        return
    print_changes(changes)
    if changes.superseded and not may_supersede:
        raise ExperimentError(refusal(design.experiment.name, changes))
    if changes.before is not None:
        note_before(changes.before, design.folder)


def print_changes(changes: Changes) -> None:
    """Print what changed, and what that does to the trials."""
    typer.echo("changed since the last sweep:")
    for line in (*changes.lines, *changes.effects):
        typer.echo(f"  {line}")


def refusal(name: str, changes: Changes) -> str:
    """Say why a sweep does not go on by itself, and the two ways out."""
    from segbench.errors import message

    trials = count(len(changes.superseded), "finished trial")
    return message(
        name,
        f"the baseline or a level means something else than at the last sweep, which leaves {trials} behind",
        see="--supersede goes on in the same folder: they are kept, listed and not reported; --as NAME runs "
        "the changed file under another name and leaves these results as they are",
    )
