"""How many trials fit on a GPU, by what was measured."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sweep_fakes import FakeEngine

from segbench.config.experiment import Experiment
from segbench.errors import ExperimentError
from segbench.store import trials
from segbench.store.layout import ExperimentFolder, ResultsFolder
from segbench.store.queue import QueuedTrial
from segbench.sweep.gpu_memory import (
    Fit,
    check_fit,
    fit,
    free_memory_mib,
    measured_peaks,
    most_together,
    need_mib,
)
from segbench.sweep.picking import shape_of
from segbench.sweep.runner import Resources, run_trial


def test_a_process_takes_more_than_its_tensors() -> None:
    assert need_mib(1000) == 1250 + 768


@pytest.mark.parametrize(
    ("peaks", "free", "expected"),
    [
        ((), 10_000, 0),
        ((1000,), 2017, 0),
        ((1000,), 2018, 1),
        ((1000,) * 9, 10_000, 4),
        ((4000, 1000, 1000), 8000, 2),  # the largest one may meet either of the others
    ],
)
def test_the_largest_trials_may_meet(peaks: tuple[float, ...], free: float, expected: int) -> None:
    assert most_together(peaks, free) == expected


def test_more_than_fits_is_refused() -> None:
    with pytest.raises(ExperimentError) as error:
        check_fit(4, Fit((1000.0,) * 6, 0), {"cuda:0": 8000.0, "cuda:1": 80_000.0, "cuda:2": 500.0})
    assert error.value.problems == (
        "--trials-per-gpu: so many trials do not fit into the 8000 MiB that cuda:0 has free: the largest "
        "peak was 1000 MiB, reckoned as 2018 with what a process takes beside it, got 4. 3 fit.",
        "--trials-per-gpu: so many trials do not fit into the 500 MiB that cuda:2 has free: the largest "
        "peak was 1000 MiB, reckoned as 2018 with what a process takes beside it, got 4. Not one fits.",
    )


def test_what_fits_or_is_not_known_is_let_through() -> None:
    assert check_fit(3, Fit((1000.0,) * 6, 0), {"cuda:0": 8000.0}) == []
    assert check_fit(9, Fit((1000.0,), 0), {"cuda:0": 8000.0}) == [], "one trial is all there is"
    assert check_fit(2, Fit((), 3), {"cuda:0": None}) == [
        "the memory of cuda:0 is not known: --trials-per-gpu is not checked there",
        "no record says how much GPU memory 3 trials will need: --trials-per-gpu is not checked for them",
    ]


def test_peaks_come_from_records_of_gpus(
    experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> None:
    for trial in queued:
        run_trial(trial, experiment.project, folder, Resources(device="cpu", threads=1))
    results = ResultsFolder(experiment.project.results)
    shapes = {shape_of(trial.config) for trial in queued}
    assert measured_peaks(results, shapes) == {}, "a CPU's memory says nothing of a GPU's"
    first = folder.trial(queued[0].hash)
    trials.write_trial(first, replace(trials.read_trial(first), device="cuda"))
    assert measured_peaks(results, shapes) == {shape_of(queued[0].config): 3.0}
    found = fit([trial.config for trial in queued], measured_peaks(results, shapes))
    assert (found.peaks_mib, found.num_unknown) == ((3.0, 3.0), 2)


def test_what_a_gpu_has_free_is_asked_of_its_driver() -> None:
    def answer(said: str) -> Callable[..., Any]:
        return lambda command, **options: subprocess.CompletedProcess(command, 0, stdout=said, stderr="")

    def broken(command: list[str], **options: Any) -> Any:
        raise FileNotFoundError

    assert free_memory_mib("0", answer("80342\n")) == 80342
    assert free_memory_mib("0", answer("[N/A]\n")) is None
    assert free_memory_mib("0", broken) is None
