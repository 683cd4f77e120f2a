"""`segbench report --watch`: the page while a sweep runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import typer

from segbench.cli.analysed import Asked, NothingYet, shown, write_one
from segbench.errors import SegbenchError

POLL_S: Final = 3.0
"""How often records are looked at, at most."""
_REST: Final = 4.0
"""Rest after a report, in times of what it took: the sweep has better use for the cores."""


def watch_report(asked: Asked, finish: Callable[[], None], *, open_: bool, poll_s: float = POLL_S) -> None:
    """Write the report anew whenever a record changes, until the sweep is complete or Ctrl-C.

    Until then nothing is judged, nothing of LaTeX is written, and the page loads itself anew. A change that
    cannot be reported (a mistake in style.yaml) is said, and the next one waited for.

    Args:
        asked: What is reported.
        finish: Writes the whole report once the sweep is complete.
        open_: Show the page as soon as there is one.
        poll_s: Least time between two looks.

    Raises:
        ExperimentError: The experiment is wrong.
        Exit: With 130, after Ctrl-C; the page then is an ordinary one.
    """
    from segbench.report.unchanged import records_stamp
    from segbench.store.layout import ResultsFolder
    from segbench.store.lease import is_leased

    experiment = asked.load()
    page = experiment.project.reports / experiment.name / "report.html"
    supervisor = ResultsFolder(experiment.project.results).experiment(experiment.name).supervisor
    seen, said, is_complete, rest_s = None, "", False, poll_s
    has_page = False
    try:
        while not (is_complete and not is_leased(supervisor)):
            if seen is not None:
                time.sleep(rest_s)
            now = records_stamp(experiment)  # before reading: what changes meanwhile counts as newer
            if now == seen:
                continue
            seen, began = now, time.monotonic()
            try:
                analysis, _ = write_one(asked, with_pdf=False, is_watched=True)
            except NothingYet:
                line = f"waiting for the first trial of {experiment.name} to end"
            except SegbenchError as error:
                line = f"Warning: {error}"
            else:
                is_complete = not analysis.is_partial
                line = f"{shown(page)}: {analysis.head.get('trials', '')}"
                if open_ and not has_page:
                    typer.launch(str(page))
                has_page = True
            if line != said:
                typer.echo(line, err=line.startswith("Warning"))
                said = line
            rest_s = max(poll_s, _REST * (time.monotonic() - began))
    except KeyboardInterrupt:
        if has_page:
            write_one(asked, with_pdf=False)
            typer.echo(f"{shown(page)}: no longer watched")
        raise typer.Exit(130) from None
    finish()
