"""Asking a process to stop: once politely, twice at once."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

from segbench.sweep.terminal import outlive_terminal


class StopRequest:
    """Set by SIGINT, SIGTERM, or by whoever calls `set`; the work looks at it between two epochs."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __call__(self) -> bool:
        return self._event.is_set()

    def set(self) -> None:
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Sleep, or return True as soon as the request comes."""
        return self._event.wait(seconds)

    def install(self) -> None:
        """Handle signals: the second SIGINT or SIGTERM raises `KeyboardInterrupt`; SIGHUP ends nothing.

        SIGUSR1, which `segbench stop` sends, asks politely however often it comes.
        """
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGUSR1, lambda number, frame: self._event.set())
        outlive_terminal()

    def watch_parent(self) -> None:
        """Set the request when the process that started this one is gone: standard input ends then."""
        threading.Thread(
            target=self._wait_for_parent, args=(os.getppid(),), name="parent", daemon=True
        ).start()

    def _wait_for_parent(self, parent: int) -> None:
        try:
            while os.read(0, 1024):
                pass
        except OSError:
            while os.getppid() == parent and not self._event.wait(1.0):
                pass
        self._event.set()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._event.is_set():
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the record of the interruption is written in peace
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            raise KeyboardInterrupt
        self._event.set()
