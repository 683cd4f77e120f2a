"""What a sweep came to, as lines of text, and the command that is told of its end."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

from segbench.errors import Interrupted, SegbenchError, TrialError
from segbench.quantities import QUANTITIES
from segbench.records import SearchPlace, State, TrialRecord
from segbench.store import trials
from segbench.store.layout import ExperimentFolder
from segbench.trial.record import measure_trial

if TYPE_CHECKING:
    from segbench.config.experiment import Constraint, Experiment, Search
    from segbench.plan.plan import Plan


MOST_PROPOSALS = 10


def cell_table(plan: Plan) -> list[str]:
    """Return the cells with the means of their complete trials; no intervals: the report has them."""
    objective = plan.experiment.baseline.objective.metric
    outcome = plan.experiment.outcome
    rows = [["cell", "n", objective, outcome, ""]]
    cells = {e.trial.cell.label: e.trial.cell for e in plan.entries}
    for label in cells:
        entries = [e for e in plan.entries if e.trial.cell.label == label]
        complete = [e.record for e in entries if e.record is not None and e.state is State.COMPLETE]
        others = Counter(str(e.state) for e in entries if e.state is not State.COMPLETE)
        rows.append(
            [
                label,
                str(len(complete)),
                _mean([r.objective for r in complete]),
                _mean([r.test.get(outcome.removeprefix("test_")) for r in complete]),
                ", ".join(f"{count} {state}" for state, count in others.items()),
            ]
        )
    return _align(rows)


def proposal_table(experiment: Experiment, search: Search, folder: ExperimentFolder) -> list[str]:
    """Return a search's best proposals, the best first, and its replicates."""
    if search.goals:
        return _front_table(experiment, search, folder)
    objective = experiment.baseline.objective
    valued = [(r.objective, r) for r in search_records(folder) if r.objective is not None]
    valued.sort(key=lambda pair: pair[0], reverse=objective.direction == "maximize")
    rows = [["proposal", "seed", "state", objective.metric, experiment.outcome, "parameters"]]
    for _, record in valued[:MOST_PROPOSALS]:
        is_kept = _is_within(folder, search, record)
        number = _number(record) if is_kept else f"{_number(record)} (breaks a constraint)"
        test = record.test.get(experiment.outcome.removeprefix("test_"))
        rows.append(
            [
                number,
                str(record.seed),
                str(record.state),
                _mean([record.objective]),
                _mean([test]),
                _parameters(record),
            ]
        )
    return _align(rows)


def _front_table(experiment: Experiment, search: Search, folder: ExperimentFolder) -> list[str]:
    """Return the proposals on the Pareto front, marked, best in the first goal first; then the others."""
    from segbench.stats.pareto import pareto_front

    metrics = [goal.metric for goal in search.goals]
    rows: list[tuple[TrialRecord, dict[str, float]]] = []
    for record in search_records(folder):
        measured = measure_trial(record, folder.trial(record.hash), search.measures)
        if record.state is State.COMPLETE and all(name in measured for name in metrics):
            rows.append((record, measured))
    own = [
        k
        for k, (record, _) in enumerate(rows)
        if record.search is not None and record.search.numbers and _is_within(folder, search, record)
    ]
    values = [[rows[k][1][name] for name in metrics] for k in own]
    front = [own[k] for k in pareto_front(values, [goal.direction for goal in search.goals])]
    others = [k for k in range(len(rows)) if k not in front]
    shown = [["proposal", "", "seed", *metrics, experiment.outcome, "settings"]]
    for k in [*front, *others[: max(0, MOST_PROPOSALS - len(front))]]:
        record, measured = rows[k]
        mark = "Pareto" if k in front else "" if _is_within(folder, search, record) else "breaks a constraint"
        test = record.test.get(experiment.outcome.removeprefix("test_"))
        numbers = [_goal(name, measured[name]) for name in metrics]
        shown.append([_number(record), mark, str(record.seed), *numbers, _mean([test]), _parameters(record)])
    return _align(shown)


def _is_within(folder: ExperimentFolder, search: Search, record: TrialRecord) -> bool:
    if not search.constraints:
        return True
    measured = measure_trial(record, folder.trial(record.hash), search.measures)
    return all(each.violation(measured.get(each.metric)) <= 0 for each in search.constraints)


def _number(record: TrialRecord) -> str:
    search = record.search or SearchPlace()
    if search.replicate_of is not None:
        return "replicate"
    return "" if search.number is None else str(search.number)


def _parameters(record: TrialRecord) -> str:
    asked = record.search or SearchPlace()
    return ", ".join(f"{name} {_short(value)}" for name, value in asked.parameters.items())


def _goal(metric: str, value: float) -> str:
    if not QUANTITIES[metric].is_cost:
        return f"{value:.4f}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def search_records(folder: ExperimentFolder) -> list[TrialRecord]:
    """Return the readable records of what a search or a tuning asked for."""
    records = []
    for trial in folder.trial_folders():
        try:
            record = trials.read_trial(trial)
        except SegbenchError:
            continue
        if record.search is not None:
            records.append(record)
    return records


def _mean(values: list[float | None]) -> str:
    known = [v for v in values if v is not None]
    return f"{statistics.fmean(known):.4f}" if known else "-"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _align(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def describe_search(search: Search) -> str:
    """Return such as `40 proposals by tpe, pruner median, for val_dice and parameters`."""
    parts = [f"{search.num_trials} proposals by {search.sampler}, pruner {search.pruner}"]
    if search.goals:
        parts.append(f"for {' and '.join(goal.metric for goal in search.goals)}")
    if search.constraints:
        parts.append(f"with {', '.join(_bounds(each) for each in search.constraints)}")
    if search.enqueue:
        parts.append(f"{len(search.enqueue)} of them given")
    if search.warm_start:
        parts.append(f"warmed by {', '.join(search.warm_start)}")
    return ", ".join(parts)


def _bounds(constraint: Constraint) -> str:
    low = "" if constraint.low is None else f"{constraint.low:g} <= "
    high = "" if constraint.high is None else f" <= {constraint.high:g}"
    return f"{low}{constraint.metric}{high}"


# Telling a command of the user's how a sweep ended: a mail, a chat, a shell line.


MOST_S: Final = 60.0
"""A command that takes longer is killed."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a sweep ended."""

    experiment: str
    state: str
    """`finished`, `stopped`, `failed` (trials failed, or could not be run) or `error`."""
    summary: str
    """One line."""
    folder: str
    trials: Mapping[str, int] = field(default_factory=dict)
    """State -> number of trials."""


@contextmanager
def notifying(command: str | None, folder: ExperimentFolder, say: Callable[[str], None]) -> Iterator[None]:
    """Run a command when the block ends, however it ends; None: run nothing.

    Args:
        command: A line for the shell.
        folder: The experiment's.
        say: Told where the command failed; that is no error of the sweep.
    """
    if command is None:
        yield
        return
    try:
        yield
    except BaseException as error:
        problem = run_command(command, describe(folder, error))
        if problem:
            say(problem)
        raise
    problem = run_command(command, describe(folder, None))
    if problem:
        say(problem)


def describe(folder: ExperimentFolder, error: BaseException | None) -> Ending:
    """Return how a sweep ended, with the states of its trials."""
    from segbench.plan.overview import count_states

    counts = {str(state): number for state, number in count_states(folder).items() if number}
    states = ", ".join(f"{number} {state}" for state, number in counts.items()) or "no trial"
    if error is None:
        state, why = "finished", ""
    elif isinstance(error, Interrupted | KeyboardInterrupt):
        state, why = "stopped", ""
    else:
        state = "failed" if isinstance(error, TrialError) else "error"
        why = ": " + " ".join(str(error).split())
    return Ending(
        experiment=folder.name,
        state=state,
        summary=f"segbench {folder.name} {state}: {states}{why}",
        folder=str(folder.root),
        trials=counts,
    )


def run_command(command: str, ending: Ending, *, most_s: float = MOST_S) -> str | None:
    """Run a command in a shell and return what went wrong, or None.

    It finds the ending in `SEGBENCH_EXPERIMENT`, `SEGBENCH_STATE`, `SEGBENCH_SUMMARY`, `SEGBENCH_FOLDER`, in
    `SEGBENCH_COMPLETE` and its like for each state that trials are in, and as JSON on standard input.
    """
    environment = {
        "SEGBENCH_EXPERIMENT": ending.experiment,
        "SEGBENCH_STATE": ending.state,
        "SEGBENCH_SUMMARY": ending.summary,
        "SEGBENCH_FOLDER": ending.folder,
        **{f"SEGBENCH_{state.upper()}": str(number) for state, number in ending.trials.items()},
    }
    try:
        process = subprocess.Popen(
            command,
            shell=True,
            stdin=subprocess.PIPE,
            env={**os.environ, **environment},
            text=True,
            start_new_session=True,
        )
    except OSError as error:
        return f"--notify: {command!r} could not be run: {error}"
    try:
        with suppress(BrokenPipeError):
            process.communicate(json.dumps(asdict(ending), ensure_ascii=False) + "\n", timeout=most_s)
        code = process.wait(timeout=most_s)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"--notify: {command!r} was ended after {most_s:.0f} s"
    return None if code == 0 else f"--notify: {command!r} ended with exit code {code}"
