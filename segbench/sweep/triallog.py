"""A trial's `log.txt`: what happened while it ran, tracebacks included."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

LOGGER: Final = logging.getLogger("segbench.trial")


@contextmanager
def logging_to(path: Path) -> Iterator[logging.Logger]:
    """Append what is logged, and what Python warns of, to a file for as long as the trial runs.

    A disk that refuses the log does not stop a trial: its records do, where they are refused too.
    """
    handler: logging.Handler
    try:
        handler = logging.FileHandler(path, encoding="utf-8", delay=False)
    except OSError:
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.handleError = lambda record: None  # type: ignore[method-assign]
    loggers = (logging.getLogger("segbench"), logging.getLogger("py.warnings"))
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield LOGGER
    finally:
        logging.captureWarnings(False)
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
        with suppress(OSError):  # what a full disk did not take is still in the buffer
            handler.close()
