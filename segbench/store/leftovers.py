"""What killed processes left in an experiment's folder: half-written files, claims of the dead."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from segbench.errors import ResultsError
from segbench.store.atomic import TEMPORARY, sweep_temporaries
from segbench.store.layout import ExperimentFolder, TrialFolder
from segbench.store.lease import Lease
from segbench.store.trials import read_trial


def tidy(experiment: ExperimentFolder) -> None:
    """Remove what nobody will go on with; call it while holding the experiment's lock.

    A trial's folder that somebody holds is left alone, and so is a folder that cannot be written: whatever is
    done next says so. What a silent host left is removed once its claim has been seen standing still.
    """
    with suppress(ResultsError):
        sweep_temporaries(experiment.root)
    for folder in filter(_is_trial_untidy, experiment.trial_folders()):
        with suppress(OSError, ResultsError):
            _tidy_trial(folder)


def is_untidy(experiment: ExperimentFolder) -> bool:
    """Whether something lies there that is left over, or belongs to a sweep that runs."""
    claim = experiment.supervisor.lease(0).name.removesuffix("0")
    names = _names(experiment.root)
    is_here = any(TEMPORARY in name or name.startswith(claim) for name in names)
    return is_here or experiment.queue.name in names or any(map(_is_trial_untidy, experiment.trial_folders()))


def _is_trial_untidy(folder: TrialFolder) -> bool:
    claim, request = folder.lease(0).name.removesuffix("0"), folder.stop_request.name
    return any(TEMPORARY in name or name == request or name.startswith(claim) for name in _names(folder.path))


def _names(path: Path) -> list[str]:
    try:
        return os.listdir(path)  # noqa: PTH208 - a third of iterdir's time
    except OSError:
        return []


def _tidy_trial(folder: TrialFolder) -> None:
    lease = Lease.acquire(folder)  # where the claim there is dead this takes it over, and releases it
    if lease is None:
        return
    with lease:
        sweep_temporaries(folder.path)
        if folder.stop_request.exists() and read_trial(folder).state.is_finished:
            folder.stop_request.unlink(missing_ok=True)
