"""Outliving the terminal that a process was started in."""

from __future__ import annotations

import errno
import os
import signal
import sys
import termios
from typing import Any


def outlive_terminal() -> None:
    """Go on without output where the terminal is closed or its connection lost.

    SIGHUP, which then comes, ends nothing; what is written to a terminal that is gone is dropped, where it
    would raise `OSError` (EIO) and end whoever writes. Pipes and files are left alone.
    """
    signal.signal(signal.SIGHUP, lambda number, frame: _leave_lost_terminals())
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, _Outliving) and stream.isatty():
            setattr(sys, name, _Outliving(stream))


class _Outliving:
    """A text stream to a terminal; without the terminal it writes nowhere."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return int(self._stream.write(text))
        except OSError as error:
            _go_on_if_lost(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            _go_on_if_lost(error)


def _go_on_if_lost(error: OSError) -> None:
    if error.errno != errno.EIO:
        raise error
    _leave_lost_terminals()


def _leave_lost_terminals() -> None:
    """Let standard input and output lead nowhere where they were a terminal that is gone."""
    for number in (0, 1, 2):
        try:
            termios.tcgetattr(number)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                nowhere = os.open(os.devnull, os.O_RDWR)
                os.dup2(nowhere, number)
                os.close(nowhere)
