"""What a user sees while a sweep runs."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from segbench.records import State
from segbench.sweep.display import (
    LiveDisplay,
    PlainDisplay,
    SweepView,
    format_time,
    make_display,
    render_view,
)
from segbench.trial.events import EpochFinished, EpochProgress, TrialFinished, TrialRefused, TrialStarted

LABELS = {"a": "unet, DyT", "b": "resnet34_unet, BatchNorm, flips on"}


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def started(name: str, *, epochs_done: int = 0, epochs: int = 30) -> TrialStarted:
    return TrialStarted(
        hash=name,
        label=LABELS.get(name, name),
        seed=1,
        fold=0,
        epochs=epochs,
        epochs_done=epochs_done,
        started="",
        device="cpu",
    )


def epoch(name: str, number: int) -> EpochFinished:
    row = {"train_loss": 0.5321, "val_dice": 0.8124, "epoch_time_s": 2.0}
    return EpochFinished(hash=name, epoch=number, row=row)


def make_view(clock: Clock) -> SweepView:
    view = SweepView(total=12, done=2, waiting=dict.fromkeys("abcd", 30), workers=2, clock=clock)
    for name in "ab":
        view.handle(started(name))
    return view


def test_view_counts_and_estimates() -> None:
    clock = Clock()
    view = make_view(clock)
    assert view.time_left_s() is None
    assert view.running["a"].time_left_s(0.0) is None
    view.handle(EpochProgress(hash="a", fraction=0.5))
    clock.now_s = 3.0
    assert view.running["a"].time_left_s(3.0) == pytest.approx(29.5 * 6.0)
    view.handle(epoch("a", 1))
    view.handle(epoch("b", 1))
    # 29 + 29 epochs running, 60 waiting, two at a time, two seconds each
    assert view.time_left_s() == pytest.approx(118.0)
    view.handle(TrialFinished(hash="a", state=State.COMPLETE))
    view.handle(TrialFinished(hash="b", state=State.FAILED))
    assert (view.done, view.failed, sorted(view.waiting)) == (3, 1, ["c", "d"])
    view.handle(started("c", epochs_done=10))
    view.handle(TrialFinished(hash="c", state=State.INTERRUPTED))
    assert view.waiting["c"] == 20
    view.handle(started("d"))
    view.lose("d")
    assert view.waiting["d"] == 30
    view.handle(TrialRefused(hash="d", reason="full"))
    assert (view.failed, "d" in view.waiting) == (2, False)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 160])
@pytest.mark.parametrize("is_ascii", [False, True])
def test_bars_fit_every_width(width: int, is_ascii: bool) -> None:
    view = make_view(Clock())
    view.handle(epoch("a", 9))
    lines = render_view(view, width, is_ascii=is_ascii)
    assert len(lines) == 3
    assert all(line.cell_len < width for line in lines)
    assert all("\n" not in line.plain for line in lines)
    assert "2/12" in lines[0].plain
    if is_ascii:
        assert all(line.plain.isascii() for line in lines)
    if width >= 40:
        assert "10/30" in lines[1].plain
        starts = [line.plain.index("#" if is_ascii else "━") for line in lines[:2]]
        assert starts[0] == starts[1], "bars stand under each other"


def test_narrow_terminal_keeps_loss_dice_and_seed() -> None:
    view = make_view(Clock())
    view.handle(epoch("b", 9))
    line = render_view(view, 60)[2].plain
    for shown in ("resnet34", "s1", "10/30", "loss 0.532", "dice 0.812", "0:42"):
        assert shown in line
    wide = render_view(view, 140)[2].plain
    for shown in (LABELS["b"], "seed 1", "epoch 10/30", "0%", "loss 0.532", "val dice 0.812", "0:42 left"):
        assert shown in wide


def test_pipe_gets_plain_lines() -> None:
    out = io.StringIO()
    display = make_display(make_view(Clock()), Console(file=out, width=40))
    assert isinstance(display, PlainDisplay)
    display.handle(started("c", epochs_done=4))
    for number in range(5, 31):
        display.handle(EpochProgress(hash="c", fraction=0.5))
        display.handle(epoch("c", number))
        display.refresh()
    display.handle(TrialFinished(hash="c", state=State.COMPLETE, objective=0.81239, test={"dice": 0.79}))
    display.handle(TrialFinished(hash="a", state=State.FAILED, failure="oom", reason="out of memory [here]"))
    display.close()
    assert out.getvalue().splitlines() == [
        "[2/12] start    c, seed 1 from epoch 5 (c)",
        "[2/12] epoch    c, seed 1: 10/30, loss 0.5321, val dice 0.8124",
        "[2/12] epoch    c, seed 1: 20/30, loss 0.5321, val dice 0.8124",
        "[3/12] complete c, seed 1: val 0.8124, test dice 0.7900",
        "[3/12] failed (oom) unet, DyT, seed 1: out of memory [here]",
    ]


def test_terminal_is_drawn_in_place_and_left_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True)
    display = make_display(make_view(Clock()), console)
    assert isinstance(display, LiveDisplay)
    display.refresh()
    console.width = 60  # the drawing of 100 columns has been wrapped by the terminal
    before = len(out.getvalue())
    display.refresh()
    erased_lines = out.getvalue()[before:].count("\x1b[2K")
    assert erased_lines >= 5
    display.note("a note that stays")
    display.handle(TrialFinished(hash="a", state=State.DIVERGED, reason="train_loss is not finite"))
    display.close()
    assert "a note that stays" in out.getvalue()
    assert "diverged unet, DyT, seed 1: train_loss is not finite" in out.getvalue()
    assert out.getvalue().count("\x1b[?25l") == out.getvalue().count("\x1b[?25h") == 1


def test_time_is_written_for_people() -> None:
    written = [format_time(s) for s in (0, 7.4, 61, 3600 * 3 + 5 * 60, 3600 * 24 * 2 + 4 * 3600)]
    assert written == ["0:00", "0:07", "1:01", "3:05:00", "2d 04:00"]
