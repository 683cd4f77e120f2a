"""Draws a sweep as lines of text that fit a width."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from segbench.sweep.view import RunningTrial, SweepView

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
