"""What a sweep shows while it runs: numbers kept by events, as bars in a terminal or lines in a pipe."""

from __future__ import annotations

import math
import sys
import termios
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType
from rich.text import Text

from segbench.records import State
from segbench.trial.events import (
    EpochFinished,
    EpochProgress,
    Event,
    TrialFinished,
    TrialRefused,
    TrialStarted,
)


@dataclass
class RunningTrial:
    """A trial in progress."""

    label: str
    seed: int
    fold: int
    epochs: int
    epochs_done: int
    since: float
    """When the epoch in progress began, on the display's clock."""
    fraction: float = 0.0
    """Of the epoch in progress, 0 to 1."""
    train_loss: float | None = None
    val_dice: float | None = None
    epoch_times_s: list[float] = field(default_factory=list)

    def time_left_s(self, now: float) -> float | None:
        """Estimate from the trial's own epochs, or from its first one's part; None: too early."""
        if self.epoch_times_s:
            recent = self.epoch_times_s[-5:]
            epoch_s = sum(recent) / len(recent)
        elif self.fraction > 0.1:
            epoch_s = (now - self.since) / self.fraction
        else:
            return None
        return max(0.0, (self.epochs - self.epochs_done - self.fraction) * epoch_s)


class SweepView:
    """How far a sweep is.

    Args:
        total: Trials of the experiment.
        done: Trials that had ended before this sweep.
        waiting: Trials to do: hash -> epochs left.
        workers: Trials that can run at a time.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        *,
        total: int,
        done: int,
        waiting: Mapping[str, int],
        workers: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.done, self.failed, self.workers = total, done, 0, workers
        self.waiting = dict(waiting)
        self.running: dict[str, RunningTrial] = {}
        self.clock = clock
        self._began = clock()
        self._epoch_times_s: list[float] = []
        self._last_started = ""

    @property
    def elapsed_s(self) -> float:
        return self.clock() - self._began

    def add_waiting(self, trial_hash: str, epochs: int) -> None:
        """Count one more trial that will run (a search's proposal)."""
        self.waiting[trial_hash] = epochs

    def handle(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, TrialStarted):
            self.waiting.pop(event.hash, None)
            self.running[event.hash] = RunningTrial(
                label=event.label,
                seed=event.seed,
                fold=event.fold,
                epochs=event.epochs,
                epochs_done=event.epochs_done,
                since=self.clock(),
            )
            return
        trial = self.running.get(event.hash)
        if isinstance(event, EpochProgress) and trial is not None:
            trial.fraction = min(1.0, event.fraction)
        elif isinstance(event, EpochFinished) and trial is not None and event.epoch > trial.epochs_done:
            trial.epochs_done, trial.fraction, trial.since = event.epoch, 0.0, self.clock()
            trial.train_loss = event.row.get("train_loss")
            trial.val_dice = event.row.get("val_dice")
            trial.epoch_times_s.append(event.row.get("epoch_time_s", 0.0))
            self._epoch_times_s.append(trial.epoch_times_s[-1])
        elif isinstance(event, TrialFinished):
            self.running.pop(event.hash, None)
            if event.state == State.INTERRUPTED:
                if trial is not None:
                    self.waiting[event.hash] = trial.epochs - trial.epochs_done
                return
            self.done += event.state != State.FAILED
            self.failed += event.state == State.FAILED
        elif isinstance(event, TrialRefused):
            self.running.pop(event.hash, None)
            self.waiting.pop(event.hash, None)
            self.failed += 1

    def lose(self, trial_hash: str) -> None:
        """Take back a trial whose worker died: it waits again."""
        trial = self.running.pop(trial_hash, None)
        if trial is not None:
            self.waiting[trial_hash] = trial.epochs - trial.epochs_done

    def time_left_s(self) -> float | None:
        """Estimate from the mean epoch so far; None before the first one."""
        if not self._epoch_times_s:
            return None
        running = sum(t.epochs - t.epochs_done - t.fraction for t in self.running.values())
        left = running + sum(self.waiting.values())
        at_a_time = max(1, min(self.workers, len(self.running) + len(self.waiting)))
        return left * sum(self._epoch_times_s) / len(self._epoch_times_s) / at_a_time


# Draws a sweep as lines of text that fit a width.


_MIN_BAR, _MAX_BAR = 6, 40
_MIN_LABEL, _MAX_NAME = 12, 48


@dataclass(frozen=True, kw_only=True)
class _Row:
    label: str
    suffixes: tuple[str, str]
    """The seed, long and short: never cut."""
    done: float
    tails: tuple[str, str, str, str]
    """The same numbers in ever fewer words."""
    style: str


def render_view(view: SweepView, width: int, *, is_ascii: bool = False) -> list[Text]:
    """Draw the view as lines that fit `width` cells: labels, bars and numbers in columns."""
    rows = [_sweep_row(view), *(_trial_row(t, view.clock()) for t in view.running.values())]
    room = width - 1  # a full last column makes some terminals wrap
    for verbosity in range(4):
        suffixes = [r.suffixes[verbosity // 2] for r in rows]
        tail_width = max(cell_len(r.tails[verbosity]) for r in rows)
        name_width = max(cell_len(r.label) + cell_len(s) for r, s in zip(rows, suffixes, strict=True))
        least = min(name_width, _MIN_LABEL + max(map(cell_len, suffixes))) + 1 + _MIN_BAR
        if least + tail_width <= room:
            break
    name_width = max(0, min(name_width, room - tail_width - _MIN_BAR - 1, _MAX_NAME))
    bar_width = max(0, min(_MAX_BAR, room - tail_width - name_width - 1))
    lines = []
    for row, suffix in zip(rows, suffixes, strict=True):
        name = _cut(row.label, max(0, name_width - cell_len(suffix)), is_ascii).rstrip() + suffix
        bar = _bar(row, bar_width, is_ascii)
        line = Text.assemble(set_cell_size(name, name_width), " ", *bar, row.tails[verbosity])
        line.no_wrap = True
        line.truncate(room)
        lines.append(line)
    return lines


def _sweep_row(view: SweepView) -> _Row:
    left_s, elapsed = view.time_left_s(), format_time(view.elapsed_s)
    left = f"  {format_time(left_s)} left" if left_s is not None else ""
    failed = f"  {view.failed} failed" if view.failed else ""
    count = f"  {view.done}/{view.total}"
    return _Row(
        label="sweep",
        suffixes=("", ""),
        done=view.done / max(1, view.total),
        tails=(
            f"{count} trials{failed}  {elapsed} elapsed{left}",
            f"{count}{failed}  {elapsed}{left}",
            f"{count}{failed}{left}",
            count,
        ),
        style="bold green",
    )


def _trial_row(trial: RunningTrial, now: float) -> _Row:
    left_s = trial.time_left_s(now)
    left = f"  {format_time(left_s)} left" if left_s is not None else ""
    epoch = f"{min(trial.epochs_done + 1, trial.epochs)}/{trial.epochs}"
    loss = f"{trial.train_loss:.3f}" if trial.train_loss is not None else "-"
    dice = f"{trial.val_dice:.3f}" if trial.val_dice is not None else "-"
    part = f" {round(100 * trial.fraction):3d}%"
    return _Row(
        label=trial.label,
        suffixes=(
            f", {replicate(trial.seed, trial.fold)}",
            f" s{trial.seed}" + f"f{trial.fold}" * (trial.fold > 0),
        ),
        done=(trial.epochs_done + trial.fraction) / max(1, trial.epochs),
        tails=(
            f"  epoch {epoch}{part}  loss {loss}  val dice {dice}{left}",
            f"  {epoch}  loss {loss}  dice {dice}{left}",
            f"  {epoch} loss {loss} dice {dice}{left.removesuffix(' left')}",
            f"  {epoch}",
        ),
        style="cyan",
    )


def _bar(row: _Row, width: int, is_ascii: bool) -> list[tuple[str, str]]:
    filled = int(width * min(1.0, max(0.0, row.done)) + 0.5)
    full, empty = ("#", "-") if is_ascii else ("━", "─")
    return [(full * filled, row.style), (empty * (width - filled), "dim")]


def _cut(label: str, width: int, is_ascii: bool) -> str:
    if cell_len(label) <= width:
        return set_cell_size(label, width)
    dots = "..." if is_ascii else "…"
    return set_cell_size(label, max(0, width - len(dots))) + dots[:width]


def format_time(seconds: float) -> str:
    """Write a duration: 0:07, 12:30, 3:05:00, 2d 04:00."""
    whole = max(0, round(seconds))
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24}d {hours % 24:02d}:{minute:02d}"
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def replicate(seed: int, fold: int) -> str:
    return f"seed {seed}, fold {fold}" if fold else f"seed {seed}"


# What a user sees while a sweep runs: bars in a terminal, plain lines in a pipe.


PLAIN_EPOCHS: Final = 10
"""A pipe gets one line in this many epochs of a trial."""


class Display(ABC):
    """Shows a sweep while it runs."""

    def __init__(self, view: SweepView, console: Console) -> None:
        self.view, self._console = view, console

    @abstractmethod
    def handle(self, event: Event) -> None:
        """Take an event and show it."""

    @abstractmethod
    def note(self, text: str) -> None:
        """Show one line that stays."""

    def refresh(self) -> None:  # noqa: B027 - lines are not redrawn
        """Redraw where the display is one that is redrawn."""

    def close(self) -> None:  # noqa: B027 - nothing to do for lines
        """Leave the terminal as it was found."""


class PlainDisplay(Display):
    """One line at a trial's start and end, and one in ten epochs: what a log file wants."""

    def handle(self, event: Event) -> None:
        trial = self.view.running.get(event.hash)
        epochs_before = trial.epochs_done if trial is not None else 0
        self.view.handle(event)
        if isinstance(event, TrialStarted):
            on = f" from epoch {event.epochs_done + 1}" if event.epochs_done else ""
            self.note(f"start    {event.label}, {replicate(event.seed, event.fold)}{on} ({event.hash})")
        elif isinstance(event, EpochFinished) and trial is not None and event.epoch > epochs_before:
            if event.epoch % PLAIN_EPOCHS == 0 and event.epoch < trial.epochs:
                self.note(f"epoch    {_name(trial)}: {event.epoch}/{trial.epochs}, {_numbers(trial)}")
        elif isinstance(event, TrialFinished):
            self.note(finished_line(event, trial))

    def note(self, text: str) -> None:
        count = f"[{self.view.done}/{self.view.total}]"
        self._console.print(f"{count} {text}", markup=False, highlight=False, soft_wrap=True)
        self._console.file.flush()


class LiveDisplay(Display):
    """One bar for the sweep and one line per running trial, redrawn in place."""

    def __init__(self, view: SweepView, console: Console) -> None:
        super().__init__(view, console)
        self._live = Live(
            console=console, get_renderable=self._render, auto_refresh=False, vertical_overflow="ellipsis"
        )
        self._drawn_at = 0
        self._terminal = _hide_control_characters()
        self._live.start(refresh=True)

    def handle(self, event: Event) -> None:
        trial = self.view.running.get(event.hash)
        self.view.handle(event)
        if isinstance(event, TrialFinished) and event.state != State.COMPLETE:
            self.note(finished_line(event, trial))

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)

    def refresh(self) -> None:
        width = self._console.width
        if self._drawn_at and width < self._drawn_at:
            self._erase_wrapped_rows(width)
        self._live.refresh()

    def close(self) -> None:
        self._live.stop()
        if self._terminal is not None:
            with suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._terminal)

    def _erase_wrapped_rows(self, width: int) -> None:
        """Erase the rows that the last drawing takes more than rich knows: the terminal has wrapped lines."""
        more = sum(max(1, math.ceil(line / width)) - 1 for line in self._line_widths)
        erased = Control(
            ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)
        )
        self._console.control(*[erased] * more)

    def _render(self) -> Group:
        width = self._console.width
        lines = render_view(self.view, width, is_ascii=not self._console.encoding.startswith("utf"))
        self._drawn_at, self._line_widths = width, [line.cell_len for line in lines]
        return Group(*lines)


def _hide_control_characters() -> list[Any] | None:
    """Keep the terminal from writing ^C into the bars; return the settings to restore."""
    try:
        before = termios.tcgetattr(sys.stdin)
        changed = [*before]
        changed[3] &= ~termios.ECHOCTL
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, changed)
    except (termios.error, OSError, ValueError):  # no terminal
        return None
    return before


def make_display(view: SweepView, console: Console) -> Display:
    """Return the display that suits the console: live in a terminal, plain otherwise."""
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveDisplay(view, console)
    return PlainDisplay(view, console)


def finished_line(event: TrialFinished, trial: RunningTrial | None) -> str:
    """Say how a trial ended, in one line."""
    what = event.state if event.failure is None else f"{event.state} ({event.failure})"
    numbers = [f"val {event.objective:.4f}"] if event.objective is not None else []
    if event.test and "dice" in event.test:
        numbers.append(f"test dice {event.test['dice']:.4f}")
    parts = [
        _name(trial) if trial else event.label or event.hash,
        *numbers,
        *([event.reason] if event.reason else []),
    ]
    return f"{what:<8} " + ": ".join([parts[0], ", ".join(parts[1:])] if parts[1:] else parts)


def _name(trial: RunningTrial) -> str:
    return f"{trial.label}, {replicate(trial.seed, trial.fold)}"


def _numbers(trial: RunningTrial) -> str:
    loss = f"loss {trial.train_loss:.4f}" if trial.train_loss is not None else "loss -"
    return loss + (f", val dice {trial.val_dice:.4f}" if trial.val_dice is not None else "")
