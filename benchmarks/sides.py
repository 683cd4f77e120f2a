"""The two sides of a comparison: processes of their own that work in turn when the parent says so.

A process each, because memory that is held, threads and precision switches are the process's. A side is made
by name (`SIDES`) in its process and then asked for one measurement after another; while one works the others
wait for their next question and take no time.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Setting:
    """What both sides train, alike."""

    project: Path
    """Holds the photographs (`benchmarks.pets`)."""
    size_px: int = 128
    batch_size: int = 8
    model: str = "unet"
    knobs: Mapping[str, Any] = field(default_factory=lambda: {"width": 16})
    device: str = "cpu"
    threads: int = 1
    precision: str = "bf16"
    """Of segbench's side; the other is float32."""
    workers: int = 0
    """Processes that load, on either side."""
    augment_backend: str = "cpu"
    """Of segbench's side."""
    tf32: bool = True
    """Of the naive side: torch's default, or off."""
    steps: int = 3
    """In one measurement of a step."""


class Side:
    """A process that holds one side; use it as a context."""

    def __init__(self, name: str, setting: Setting, *, cores: int | None = None) -> None:
        """Start the process.

        Args:
            name: A key of `SIDES`.
            setting: What to train.
            cores: It may use the first so many of our cores alone; None: all of them.
        """
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, name, setting, cores), daemon=False)
        self._process.start()
        theirs.close()

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            self._connection.send(None)
        self._process.join(30)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()
        self._connection.close()

    def measure(self) -> dict[str, float]:
        """Let it work once, and return what it measured: `seconds`, and more.

        Raises:
            RuntimeError: It failed; the message holds its traceback.
        """
        self._connection.send("measure")
        try:
            answer = self._connection.recv()
        except EOFError:
            raise RuntimeError("a side ended without a word") from None
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return dict(answer)


def in_turn(sides: Mapping[str, Side], rounds: int, *, warm_up: int = 1) -> dict[str, list[dict[str, float]]]:
    """Measure every side once a round, each round beginning with another; the first rounds do not count."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    names = list(sides)
    for number in range(warm_up + rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            measured = sides[name].measure()
            if number >= warm_up:
                found[name].append(measured)
    return found


def _serve(connection: Connection, name: str, setting: Setting, cores: int | None) -> None:
    if cores is not None:  # before torch and OpenCV count them
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    from benchmarks.measured_sides import SIDES

    with ExitStack() as stack:
        measure = None
        while connection.recv() is not None:
            try:
                if measure is None:
                    measure = stack.enter_context(SIDES[name](setting))
                began = time.perf_counter()
                more = measure()
                connection.send({"seconds": time.perf_counter() - began, **(more or {})})
            except Exception:
                connection.send(f"{name}: {traceback.format_exc()}")
