"""Every topic of a report, in the order of the page, and what the pages ask of all of them together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from segbench.report.analysis import Analysis
from segbench.report.draw.figure import Figure
from segbench.report.labels import Labels
from segbench.report.table import Table
from segbench.report.topics import (
    cells,
    claims,
    dynamics,
    effects,
    factorial,
    importance,
    replicated,
    search,
    subgroups,
    tuning,
)
from segbench.report.topics.topic import FigurePart, Frame, TablePart, Topic
from segbench.report.trace import Traces

TOPICS: Final[tuple[Topic, ...]] = (
    claims.TOPIC,
    effects.TOPIC,
    effects.SENSITIVITY_TOPIC,
    factorial.TOPIC,
    subgroups.TOPIC,
    search.FRONT_TOPIC,
    search.TOPIC,
    importance.PARALLEL_TOPIC,
    replicated.TOPIC,
    cells.TOPIC,
    cells.METRICS_TOPIC,
    tuning.TOPIC,
    tuning.UNTUNED_TOPIC,
    importance.TOPIC,
    dynamics.TOPIC,
    cells.FAILURES_TOPIC,
)
"""In the order of the page."""

SECTIONS: Final = {
    "claims": "Claims",
    "effects": "Effects",
    "factors": "Factors and interactions",
    "subgroups": "Sub-groups of the test images",
    "search": "Search",
    "cells": "Cells",
    "tuning": "Tuned settings",
    "curves": "Learning curves",
    "panels": "Test images",
    "cost": "Cost",
    "failures": "Failures and records left out",
    "notes": "Method and notes",
    "provenance": "Provenance",
}
"""Key -> heading of every section, in the order of the page."""

_FIRST_IN_NUMBERS: Final = (
    *("cells", "effects", "sensitivity", "claims", "subgroups"),
    *("tuning", "search", "replicated", "importance", "untuned"),
)
"""Frames that `numbers.json` begins with, as it always has; any other follows in the order of the page."""

FRAMES: Final = tuple(
    sorted(
        (frame for topic in TOPICS for frame in topic.frames),
        key=lambda frame: [*_FIRST_IN_NUMBERS, frame.name].index(frame.name),
    )
)
"""In the order of `numbers.json`."""

TABLE_NAMES: Final = tuple(part.name for topic in TOPICS for part in topic.tables)
"""Every name a table can have."""

FIGURE_NAMES: Final = tuple(part.name for topic in TOPICS for part in topic.figures)
"""Every name a figure can have."""

DATA_NAMES: Final = tuple(frame.name for frame in FRAMES if frame.in_data)
"""Every frame that `data/` can hold."""


def frame_of(name: str) -> Frame:
    """Return the frame of this name."""
    return next(frame for frame in FRAMES if frame.name == name)


def trace_all(analysis: Analysis, digits: int) -> Traces:
    """Return every number of a report with its trials, printed with so many digits."""
    key = ("", digits)
    if key not in analysis.traced:
        found = (trace for frame in FRAMES for trace in frame.traces(analysis, digits).all)
        analysis.traced[key] = Traces(tuple(found))
    kept: Traces = analysis.traced[key]
    return kept


def parts_of(analysis: Analysis, section: str) -> Iterator[TablePart | FigurePart]:
    """Yield the tables and figures of a section."""
    for topic in TOPICS:
        parts: tuple[TablePart | FigurePart, ...] = (*topic.tables, *topic.figures)
        for part in parts:
            if topic.section_of(analysis, part) == section:
                yield part


def make_figures(analysis: Analysis, labels: Labels) -> Iterator[Figure]:
    """Yield the figures that the analysis has numbers for."""
    for topic in TOPICS:
        for part in topic.figures:
            figure = part.make(analysis, labels)
            if figure is not None:
                yield figure


def make_tables(analysis: Analysis, labels: Labels) -> dict[str, Table]:
    """Return name -> table, without those that would be empty."""
    tables = [part.make(labels) for topic in TOPICS for part in topic.tables]
    return {table.name: table for table in tables if table.rows}
