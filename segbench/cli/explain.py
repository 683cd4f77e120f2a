"""`segbench explain`: which trials a number of a report rests on, and how it was computed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.cli.options import Asked, AsOption, ExperimentArgument, ProjectOption, ScaleOption, SetOption
from segbench.config.load import shown_path


def explain(
    experiment: ExperimentArgument,
    number: Annotated[
        str,
        typer.Argument(
            metavar="NUMBER",
            help="A contrast ('norm: BatchNorm - none'), a cell ('unet, BatchNorm'), a claim, a key of the "
            "report's numbers.json, or what \\segval is given.",
            show_default=False,
        ),
    ],
    scale: ScaleOption = None,
    set_: SetOption = None,
    as_: AsOption = None,
    project: ProjectOption = None,
) -> None:
    """Show what a number of the report rests on.

    Its trials with their values by seed and their records, the interval step by step, and its place in
    Holm's correction. Writes nothing.
    """
    asked = Asked(experiment=experiment, scale=scale, overrides=set_ or (), name=as_, project=project)
    analysis, results, _ = asked.analysed()
    from segbench.report.explain import explain as text_of
    from segbench.report.explain import find
    from segbench.report.labels import read_style
    from segbench.report.pages.number_files import macro_rows
    from segbench.report.topics.walk import trace_all
    from segbench.store.layout import ResultsFolder

    of = analysis.experiment
    style = read_style(of.project.reports / of.name / "style.yaml")
    traces = trace_all(analysis, style.digits)
    frame, subject = find(traces, number, macro_rows(analysis, traces))
    records = ResultsFolder(of.project.results).experiment(of.name).trials
    where = Path(shown_path(records))
    typer.echo(text_of(analysis, traces, frame, subject, records=where, epochs=results.epochs))
