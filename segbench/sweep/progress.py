"""What a user sees while a sweep runs: bars in a terminal, plain lines in a pipe."""

from __future__ import annotations

import math
import sys
import termios
from contextlib import suppress
from typing import Any, Final, Protocol

from rich.console import Console, Group
from rich.live import Live

from segbench.records import State
from segbench.sweep.bars import render_view, replicate
from segbench.sweep.events import EpochFinished, Event, TrialFinished, TrialStarted
from segbench.sweep.view import RunningTrial, SweepView

PLAIN_EPOCHS: Final = 10
"""A pipe gets one line in this many epochs of a trial."""


class Display(Protocol):
    """Shows a sweep while it runs."""

    view: SweepView

    def handle(self, event: Event) -> None:
        """Take an event and show it."""

    def note(self, text: str) -> None:
        """Show one line that stays."""

    def refresh(self) -> None:
        """Redraw where the display is one that is redrawn."""

    def close(self) -> None:
        """Leave the terminal as it was found."""


class PlainDisplay:
    """One line at a trial's start and end, and one in ten epochs: what a log file wants."""

    def __init__(self, view: SweepView, console: Console) -> None:
        self.view, self._console = view, console

    def handle(self, event: Event) -> None:
        trial = self.view.running.get(event.hash)
        epochs_before = trial.epochs_done if trial is not None else 0
        self.view.handle(event)
        if isinstance(event, TrialStarted):
            on = f" from epoch {event.epochs_done + 1}" if event.epochs_done else ""
            self._write(f"start    {event.label}, {replicate(event.seed, event.fold)}{on} ({event.hash})")
        elif isinstance(event, EpochFinished) and trial is not None and event.epoch > epochs_before:
            if event.epoch % PLAIN_EPOCHS == 0 and event.epoch < trial.epochs:
                self._write(f"epoch    {_name(trial)}: {event.epoch}/{trial.epochs}, {_numbers(trial)}")
        elif isinstance(event, TrialFinished):
            self._write(finished_line(event, trial))

    def note(self, text: str) -> None:
        self._write(text)

    def refresh(self) -> None:
        pass

    def close(self) -> None:
        pass

    def _write(self, text: str) -> None:
        count = f"[{self.view.done}/{self.view.total}]"
        self._console.print(f"{count} {text}", markup=False, highlight=False, soft_wrap=True)
        self._console.file.flush()


class LiveDisplay:
    """One bar for the sweep and one line a running trial, redrawn in place."""

    def __init__(self, view: SweepView, console: Console) -> None:
        self.view, self._console = view, console
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
            self._count_wrapped_rows(width)
        self._live.refresh()

    def close(self) -> None:
        self._live.stop()
        if self._terminal is not None:
            with suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._terminal)

    def _count_wrapped_rows(self, width: int) -> None:
        """Tell rich how many rows its last drawing takes now: a narrowed terminal has wrapped its lines."""
        render = self._live._live_render
        if render._shape is not None:
            rows = sum(max(1, math.ceil(line / width)) for line in self._line_widths)
            render._shape = (width, max(rows, render._shape[1]))

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
