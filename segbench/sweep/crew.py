"""Several workers that help a sweep, without being its supervisor."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from segbench.sweep.deadline import OUT_OF_TIME
from segbench.sweep.events import Event, TrialFinished
from segbench.sweep.pool import Exit, Pool
from segbench.sweep.signals import StopRequest
from segbench.sweep.watchdog import Watchdog
from segbench.sweep.worker import PlainEvents

MOST_DEATHS: Final = 3
"""Workers of one crew that die in a row without ending a trial: the crew gives up."""

_LOOK_S: Final = 0.2


@dataclass
class Crew:
    """Keeps the workers of a pool at work until nothing is left to take.

    It writes neither queue nor records: those are the workers' and the supervisor's.
    """

    pool: Pool
    stop: StopRequest
    say: Callable[[str], None]
    watchdog: Watchdog
    is_out_of_time: bool = False
    num_ended: int = 0

    def run(self) -> bool:
        """Work until all workers have ended; return whether each ended in peace."""
        talkers: dict[int, PlainEvents] = {self.pool.start(n): self._talker() for n in self.pool.free_slots()}
        deaths, is_stopping = 0, False
        try:
            while self.pool.num_running:
                if self.stop() and not is_stopping:
                    is_stopping = True
                    self.pool.signal(signal.SIGTERM)
                said = self.pool.next(_LOOK_S)
                for hang in self.watchdog.hangs():
                    self.say(f"{hang.hash}: no sign of life for {hang.silent_s:.0f} s; its worker is killed")
                    self.pool.kill(hang.pid)
                if said is None:
                    continue
                pid, what = said
                if not isinstance(what, Exit):
                    deaths = 0 if isinstance(what, TrialFinished) else deaths
                    self._hear(pid, what, talkers[pid])
                    continue
                self.watchdog.forget(pid)
                self.is_out_of_time |= what.code == OUT_OF_TIME
                if what.code not in (0, OUT_OF_TIME) and not is_stopping:
                    deaths += 1
                    self.say(f"a worker died ({what.cause})")
                    if deaths < MOST_DEATHS:
                        talkers[self.pool.start(self.pool.free_slots()[0])] = self._talker()
        except BaseException:
            self.pool.signal(signal.SIGTERM)
            self.pool.signal(signal.SIGINT)
            raise
        return deaths < MOST_DEATHS

    def _talker(self) -> PlainEvents:
        return PlainEvents(self.say)

    def _hear(self, pid: int, event: Event, talker: PlainEvents) -> None:
        self.watchdog.hear(pid, event)
        self.num_ended += isinstance(event, TrialFinished)
        talker(event)
