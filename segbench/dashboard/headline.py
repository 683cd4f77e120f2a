"""The note on a study: its question, how far it is, what it says so far. No Optuna."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean

from segbench.metrics import is_lower_better
from segbench.records import State
from segbench.sweep.shown import Frame
from segbench.sweep.study.records import ShownTrial

_MOST_ROWS = 10


def write_headline(frame: Frame, shown: Mapping[str, ShownTrial], *, answer: str | None = None) -> str:
    """Return the note of a study as Markdown.

    Args:
        frame: Question, goals and axes.
        shown: Hash -> every trial, light ones.
        answer: What the report says, where there is one.
    """
    trials = list(shown.values())
    parts = [f"**{frame.question}**"] if frame.question else []
    parts.append(_size(frame, trials))
    if answer:
        parts.append(f"The report says: {answer}")
    table = _proposals(frame, trials) if not frame.axes else _cells(frame, trials)
    return "\n\n".join([*parts, *([table] if table else [])])


def read_answer(report: Path) -> str | None:
    """Return the answer in a `report.md`: its first paragraph under title and question; None without one."""
    try:
        with report.open(encoding="utf-8") as file:
            for line in file:
                text = line.strip()
                if text and not text.startswith("#") and not (text.startswith("**") and text.endswith("**")):
                    return text
    except (OSError, UnicodeDecodeError):
        return None
    return None


def _size(frame: Frame, trials: Iterable[ShownTrial]) -> str:
    trials = list(trials)
    states = Counter(trial.state for trial in trials)
    done = sum(count for state, count in states.items() if state.is_finished)
    counts = ", ".join(f"{states[state]} {state}" for state in State if states[state])
    cells, seeds = {trial.label for trial in trials}, {trial.seed for trial in trials}
    what = f"{len(cells)} cells, {len(seeds)} seeds, " if frame.axes else ""
    return f"{what}{len(trials)} trials, {done} done: {counts}" if trials else "no trials yet"


def _cells(frame: Frame, trials: Iterable[ShownTrial]) -> str:
    """Return the best cells by their mean outcome over complete trials, said to be no verdict."""
    outcome = frame.outcome.removeprefix("test_")
    values: dict[str, list[float]] = {}
    for trial in trials:
        if trial.state is State.COMPLETE and outcome in trial.test:
            values.setdefault(trial.label, []).append(trial.test[outcome])
    if not values:
        return ""
    means = {label: fmean(found) for label, found in values.items()}
    best = sorted(means, key=means.__getitem__, reverse=not is_lower_better(frame.outcome))
    rows = [f"| {label} | {len(values[label])} | {means[label]:.4g} |" for label in best[:_MOST_ROWS]]
    left = f"\n\n{len(best) - _MOST_ROWS} more cells." if len(best) > _MOST_ROWS else ""
    head = f"| cell | trials | mean {frame.outcome} |\n|---|---|---|\n"
    return f"{head}{chr(10).join(rows)}{left}\n\nMeans so far; `segbench report` says what they show."


def _proposals(frame: Frame, trials: Iterable[ShownTrial]) -> str:
    """Return the best proposals of a search with one goal."""
    if not frame.is_single:
        return ""
    found = [(t.objective, t.label) for t in trials if t.state is State.COMPLETE and t.objective is not None]
    if not found:
        return ""
    found.sort(key=lambda pair: pair[0], reverse=frame.directions[0] == "maximize")
    rows = [f"| {label} | {value:.5g} |" for value, label in found[:_MOST_ROWS]]
    return f"| proposal | {frame.metrics[0]} |\n|---|---|\n" + "\n".join(rows)
