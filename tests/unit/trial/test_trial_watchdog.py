"""Who hangs, and who only takes long."""

from __future__ import annotations

import pytest

from segbench.records import State
from segbench.trial.events import EpochFinished, EpochProgress, TrialFinished, TrialStarted
from segbench.trial.limits import FIRST_PATIENCE_S, Pulse, Watchdog, patience_s


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def started(trial: str = "a") -> TrialStarted:
    return TrialStarted(
        hash=trial, label=trial, seed=0, fold=0, epochs=9, epochs_done=0, started="now", device="cpu"
    )


@pytest.mark.parametrize(
    ("usual_s", "said_s", "expected_s"),
    [(None, None, 1800), (1.0, None, 300), (15.0, None, 300), (60.0, None, 1200), (60.0, 7, 7), (None, 7, 7)],
)
def test_patience(usual_s: float | None, said_s: float | None, expected_s: float) -> None:
    assert patience_s(usual_s, said_s) == expected_s


def test_what_the_user_says_holds_from_the_first_step_on() -> None:
    assert patience_s(None, 20, has_stepped=False) == 300
    assert patience_s(None, 900, has_stepped=False) == 900
    clock = Clock()
    pulse = Pulse(20, clock)
    clock.now = 299
    assert pulse.is_alive(), "libraries and data may take long to load"
    pulse.beat()
    clock.now += 299
    assert pulse.is_alive()
    pulse.step()
    clock.now += 20
    assert not pulse.is_alive()


def test_a_pulse_stops_with_the_trial() -> None:
    clock = Clock()
    pulse = Pulse(clock=clock)
    clock.now = FIRST_PATIENCE_S - 1
    assert pulse.is_alive(), "nothing is known of its epochs yet"
    pulse.end_epoch(30)
    clock.now += 599
    assert pulse.is_alive()
    clock.now += 1
    assert not pulse.is_alive()
    pulse.beat()
    assert pulse.is_alive()


def wait(watchdog: Watchdog, clock: Clock, seconds: float) -> list[tuple[int, str, float]]:
    """Let time pass as a supervisor does: asking often."""
    found = []
    for _ in range(int(seconds)):
        clock.now += 1
        found += [(h.pid, h.hash, h.silent_s) for h in watchdog.hangs()]
    return found


def test_silence_against_a_trial_s_own_epochs() -> None:
    clock = Clock()
    watchdog = Watchdog(clock=clock)
    watchdog.hear(1, started("slow"))
    watchdog.hear(2, started("quick"))
    watchdog.hear(1, EpochFinished(hash="slow", epoch=1, row={"epoch_time_s": 30.0}))
    watchdog.hear(2, EpochFinished(hash="quick", epoch=1, row={"epoch_time_s": 2.0}))
    assert wait(watchdog, clock, 299) == []
    assert wait(watchdog, clock, 1) == [(2, "quick", 300)]
    assert wait(watchdog, clock, 299) == [], "each is named once"
    assert wait(watchdog, clock, 1) == [(1, "slow", 600)]


def test_a_step_is_a_sign_of_life_and_an_idle_worker_needs_none() -> None:
    clock = Clock()
    watchdog = Watchdog(5, clock)
    watchdog.hear(1, started())
    assert wait(watchdog, clock, 299) == []
    watchdog.hear(1, EpochProgress(hash="a", fraction=0.1))
    assert wait(watchdog, clock, 4) == []
    watchdog.hear(1, TrialFinished(hash="a", state=State.COMPLETE))
    assert wait(watchdog, clock, 100) == []


def test_a_first_epoch_is_judged_by_the_others() -> None:
    clock = Clock()
    watchdog = Watchdog(clock=clock)
    watchdog.hear(1, started("a"))
    watchdog.hear(1, EpochFinished(hash="a", epoch=1, row={"epoch_time_s": 20.0}))
    watchdog.hear(1, TrialFinished(hash="a", state=State.COMPLETE))
    watchdog.hear(1, started("b"))
    assert wait(watchdog, clock, 399) == []
    assert wait(watchdog, clock, 1) == [(1, "b", 400)]


def test_a_supervisor_that_slept_blames_nobody() -> None:
    clock = Clock()
    watchdog = Watchdog(60, clock)
    watchdog.hear(1, started())
    watchdog.hear(1, EpochProgress(hash="a", fraction=0.1))
    clock.now = 3600
    assert watchdog.hangs() == []
    assert wait(watchdog, clock, 60) == [(1, "a", 60)]
