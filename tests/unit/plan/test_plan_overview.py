from __future__ import annotations

from pathlib import Path

import pytest

from segbench.config.experiment import Experiment
from segbench.config.load import load_experiment
from segbench.plan.overview import look_over, seconds_per_epoch
from segbench.plan.plan import Planner
from segbench.records import SearchPlace, State, TrialRecord
from segbench.store.layout import ResultsFolder
from segbench.store.trials import write_trial

TEXT = """
question: Which rate is best?
baseline:
  dataset: shapes
  model: {unet: {width: 4, depth: 2}}
  loss: {bce: 1}
  optimizer: {adam: {lr: 1e-3}}
  batch_size: 4
  epochs: 2
"""
SEARCH = """
search:
  space: {lr: {path: optimizer.lr, low: 1e-4, high: 1e-2, log: true}}
  trials: 4
seeds: 3
"""


def load(folder: Path, text: str) -> Experiment:
    (folder / "experiments").mkdir(exist_ok=True)
    file = folder / "experiments" / "rates.yaml"
    file.write_text(text)
    return load_experiment(file)


def record(name: str, seed: int = 0, **changes: object) -> TrialRecord:
    values: dict[str, object] = {
        "hash": name * 12,
        "identity": name * 64,
        "experiment": "rates",
        "levels": {},
        "config": {"epochs": 2},
        "config_hash": name * 64,
        "seed": seed,
        "fold": 0,
        "data_fingerprint": "d" * 64,
        "state": State.COMPLETE,
        **changes,
    }
    return TrialRecord(**values)  # type: ignore[arg-type]


def test_a_search_shows_its_proposals_with_their_replicates(tmp_path: Path) -> None:
    experiment = load(tmp_path, TEXT + SEARCH)
    folder = ResultsFolder(experiment.project.results).experiment("rates")
    for made in (
        record("b", search=SearchPlace(number=2, parameters={"lr": 0.1}), state=State.PRUNED),
        record("a", search=SearchPlace(number=0, parameters={"lr": 0.2}, repeats=(1,))),
        record("c", 1, search=SearchPlace(replicate_of="a" * 12, parameters={"lr": 0.2})),
        record("e"),
    ):
        write_trial(folder.trial(made.hash), made)
    found = look_over(experiment)
    assert [(c.label, c.num_trials, [r.hash[0] for r in c.records]) for c in found.cells] == [
        ("proposal 0, 1", 2, ["a", "c"]),
        ("proposal 2", 1, ["b"]),
        ("not tried yet", 1, []),
    ]
    assert found.num_orphans == 1
    assert (found.count(State.COMPLETE), found.count(State.PRUNED), found.count(State.WAITING)) == (2, 1, 1)


def test_a_trial_whose_files_have_moved_is_found_by_its_identity(tmp_path: Path) -> None:
    experiment = load(tmp_path, TEXT + "seeds: 1\n")
    trial = Planner(experiment, fingerprint_of=lambda config: "d" * 64).trial(experiment.cells[0], 0)
    folder = ResultsFolder(experiment.project.results).experiment("rates")
    made = record("f", hash=trial.hash, identity=trial.identity)
    write_trial(folder.trial(made.hash), made)
    found = look_over(experiment)
    assert found.cells[0].records == (made,)
    assert found.num_orphans == 0


@pytest.mark.parametrize(
    ("times", "expected"),
    [([], None), ([(None, 3), (9.0, 0)], None), ([(9.0, 3), (4.0, 1), (50.0, 10)], 4.0)],
)
def test_the_pace_is_the_median_over_trials(
    times: list[tuple[float | None, int]], expected: float | None
) -> None:
    records = [record("a", train_time_s=time, epochs_done=epochs) for time, epochs in times]
    assert seconds_per_epoch(records) == expected
