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
from segbench.plan.costs import (
    Fit,
    check_filled,
    check_fit,
    fit,
    free_memory_mib,
    gpu_name,
    keep_share,
    measured_peaks,
    measured_shares,
    most_together,
    need_mib,
)
from segbench.store import trials
from segbench.store.layout import ExperimentFolder, ResultsFolder
from segbench.store.queue import QueuedTrial
from segbench.trial.picking import shape_of
from segbench.trial.run import Resources, run_trial


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
    assert gpu_name("0", answer("NVIDIA H200\n")) == "NVIDIA H200"
    assert gpu_name("0", broken) is None


def test_trials_that_fill_a_gpu_do_not_share_it(
    experiment: Experiment, queued: list[QueuedTrial], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the benchmark tells on a GPU of the same model."""
    project, configs = experiment.project, [trial.config for trial in queued]
    assert measured_shares(project, configs, "a GPU") == [None] * 4
    keep_share(project, configs[0], "a GPU", 0.61)
    shares = measured_shares(project, configs, "a GPU")
    assert sorted(share or 0.0 for share in shares) == [0.0, 0.0, 0.61, 0.61]
    assert measured_shares(project, configs, "another GPU") == [None] * 4
    assert check_filled(1, "cuda:0", shares) == []
    assert check_filled(2, "cuda:0", [0.3, None]) == []
    assert check_filled(2, "cuda:0", shares) == [
        "2 of 4 trials fill cuda:0 by themselves, as `segbench bench` measured: beside another each takes as "
        "much longer"
    ]
    with pytest.raises(ExperimentError) as error:
        check_filled(2, "cuda:0", [share for share in shares if share])
    assert str(error.value) == (
        "--trials-per-gpu: one trial fills cuda:0: `segbench bench` measured 61% and more of its matrix "
        "rate, so trials side by side would each take as much longer, got 2. Leave it out."
    )
