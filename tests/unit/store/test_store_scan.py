from __future__ import annotations

from collections.abc import Callable

from segbench.records import EpochRecord, State, TrialRecord
from segbench.store.layout import ExperimentFolder, ResultsFolder
from segbench.store.lease import Lease
from segbench.store.scan import look, scan
from segbench.store.trials import append_epoch, write_trial

Records = Callable[..., TrialRecord]


def test_a_running_record_without_a_worker_is_interrupted(
    experiment: ExperimentFolder, make_record: Records, make_epoch: Callable[..., EpochRecord]
) -> None:
    record = make_record(state=State.RUNNING)
    folder = experiment.trial(record.hash)
    write_trial(folder, record)
    append_epoch(folder, make_epoch(1))
    found = look(folder)
    assert found is not None
    assert (found.state, found.epochs_done) == (State.INTERRUPTED, 1)
    assert found.reason == "its worker is gone; the next sweep goes on from the last finished epoch"
    lease = Lease.acquire(folder)
    assert lease is not None
    with lease:
        held = look(folder)
    assert held is not None
    assert (held.state, held.epochs_done, held.reason) == (State.RUNNING, 1, None)


def test_finished_records_are_taken_as_they_are(experiment: ExperimentFolder, make_record: Records) -> None:
    for state in (State.COMPLETE, State.DIVERGED, State.PRUNED, State.FAILED):
        write_trial(experiment.trial(make_record(state).hash), make_record(state, state=state))
    assert {r.state for r in scan(experiment).records.values()} == {
        State.COMPLETE,
        State.DIVERGED,
        State.PRUNED,
        State.FAILED,
    }


def test_unreadable_records_and_other_folders_are_kept_apart(
    experiment: ExperimentFolder, make_record: Records
) -> None:
    write_trial(experiment.trial(make_record().hash), make_record())
    broken = experiment.trial("0" * 12)
    broken.path.mkdir()
    broken.record.write_text("{")
    experiment.trial("1" * 12).path.mkdir()  # taken a moment ago, nothing written yet
    (experiment.trials / "notes").mkdir()
    (experiment.trials / "2").write_text("")
    found = scan(experiment)
    assert list(found.records) == [make_record().hash]
    assert list(found.unreadable) == ["0" * 12]
    assert "truncated" in found.unreadable["0" * 12]


def test_only_folders_with_trials_or_a_document_are_experiments(experiment: ExperimentFolder) -> None:
    results = ResultsFolder(experiment.root.parent)
    assert results.experiments() == []
    experiment.trials.mkdir(parents=True)
    (results.path / "notes").mkdir()
    results.study.write_text("")
    documented = results.experiment("a b")
    documented.root.mkdir()
    documented.experiment_yaml.write_text("question: x")
    assert [e.name for e in results.experiments()] == ["a b", "norms"]
