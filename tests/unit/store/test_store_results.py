from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from segbench.errors import ResultsError
from segbench.records import EpochRecord, FailureKind, SearchPlace, State, TrialRecord
from segbench.store.layout import ExperimentFolder
from segbench.store.results import read_results
from segbench.store.trials import ImageValue, rewrite_epochs, write_images, write_trial

Records = Callable[..., TrialRecord]
Epochs = Callable[..., EpochRecord]


@pytest.fixture
def put(experiment: ExperimentFolder, make_record: Records, make_epoch: Epochs) -> Callable[..., TrialRecord]:
    """Leave a trial with epochs and images."""

    def put(name: str, num_epochs: int = 2, **changes: object) -> TrialRecord:
        record = make_record(name, epochs_done=num_epochs, **changes)
        folder = experiment.trial(record.hash)
        write_trial(folder, record)
        rewrite_epochs(folder, [make_epoch(n, lr=n / 3) for n in range(1, num_epochs + 1)])
        write_images(
            folder, [ImageValue(f"{name}{k}", "", "test", "foreground", "dice", k / 3) for k in (1, 2)]
        )
        return record

    return put


def test_a_trial_is_a_row_with_levels_and_test_means(
    experiment: ExperimentFolder, put: Callable[..., TrialRecord]
) -> None:
    a = put("a", test={"dice": 0.5}, parameters=31_037_633, levels={"norm": "batch"}, seed=3)
    b = put(
        "b",
        1,
        levels={"norm": "DyT", "lr": "1e-4"},
        state=State.FAILED,
        failure=FailureKind.OOM,
        reason="too big",
    )
    results = read_results(experiment.root)
    trials = results.trials.set_index("trial")
    assert len(trials) == 2
    assert trials.loc[a.hash, "seed"] == 3
    assert trials.loc[a.hash, "parameters"] == 31_037_633
    assert trials.loc[a.hash, "test_dice"] == 0.5
    assert trials.loc[a.hash, "folder"] == f"trials/{a.hash}"
    assert trials.loc[b.hash, ["state", "failure", "reason", "axis:norm", "axis:lr"]].tolist() == [
        "failed",
        "oom",
        "too big",
        "DyT",
        "1e-4",
    ]
    assert math.isnan(trials.loc[b.hash, "test_dice"])
    assert trials["failure"].isna().tolist() == [trials.index[0] == a.hash, trials.index[1] == a.hash]
    assert "search_number" not in trials
    epochs = results.epochs.set_index(["trial", "epoch"])
    assert epochs["lr"].to_dict() == {
        (a.hash, 1): 0.333333333,
        (a.hash, 2): 0.666666667,
        (b.hash, 1): 0.333333333,
    }
    images = results.images[results.images["trial"] == a.hash]
    assert images[["image", "group", "metric", "value"]].values.tolist() == [
        ["a1", "", "dice", 0.333333333],
        ["a2", "", "dice", 0.666666667],
    ]
    assert results.left_out.empty


def test_files_of_different_columns_and_quoted_names_stand_in_one_frame(
    experiment: ExperimentFolder, put: Callable[..., TrialRecord], make_epoch: Epochs
) -> None:
    a, b = put("a"), put("b")
    folder = experiment.trial(b.hash)
    rewrite_epochs(folder, [make_epoch(1, val={"loss": 1.0, "boundary": 0.5})])
    write_images(folder, [ImageValue('x,"1"\n', "g", "test", "foreground", "dice", 1.0)])
    results = read_results(experiment.root)
    epochs = results.epochs.set_index("trial")
    assert epochs.loc[b.hash, "val_boundary"] == 0.5
    assert epochs.loc[a.hash, "val_boundary"].isna().all()
    images = results.images.set_index("trial")
    assert images.loc[b.hash, "image"] == 'x,"1"\n'
    assert images.loc[a.hash, "image"].tolist() == ["a1", "a2"]


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("trial.json", b'{"hash": ', "the record is truncated or not JSON"),
        ("epochs.csv", b"epoch,lr\n1,high\n", "the epochs cannot be read"),
        ("images.csv.gz", b"\x1f\x8b\x08", "the values per image are damaged"),
    ],
)
def test_an_unreadable_trial_is_left_out_with_its_reason_and_the_others_stay(
    experiment: ExperimentFolder, put: Callable[..., TrialRecord], file: str, content: bytes, reason: str
) -> None:
    a, b, c = put("a"), put("b"), put("c")
    (experiment.trial(b.hash).path / file).write_bytes(content)
    results = read_results(experiment.root)
    kept = {a.hash, c.hash}
    assert (
        set(results.trials["trial"]) == set(results.epochs["trial"]) == set(results.images["trial"]) == kept
    )
    assert results.left_out["folder"].tolist() == [f"trials/{b.hash}"]
    assert results.left_out["reason"][0].startswith(f"trials/{b.hash}/{file}: {reason}")


def test_proposals_of_a_search_have_their_number_and_parameters(
    experiment: ExperimentFolder, put: Callable[..., TrialRecord]
) -> None:
    put("a", search=SearchPlace(number=1, parameters={"lr": 0.1, "norm": "DyT"}))
    put("b", search=SearchPlace(number=0, parameters={"lr": 0.2, "norm": "none"}))
    trials = read_results(experiment.root).trials.sort_values("search_number")
    assert trials["search:lr"].tolist() == [0.2, 0.1]
    assert trials["search:norm"].tolist() == ["none", "DyT"]


def test_an_empty_folder_has_empty_frames_with_columns(experiment: ExperimentFolder) -> None:
    experiment.trials.mkdir(parents=True)
    results = read_results(experiment.root)
    assert results.trials.empty
    assert {"trial", "config_hash", "seed", "state"} <= set(results.trials)
    assert list(results.images) == ["trial", "image", "group", "split", "class", "metric", "value"]


def test_a_missing_folder_is_an_error(experiment: ExperimentFolder) -> None:
    with pytest.raises(ResultsError, match=r"there are no trials in this folder. segbench sweep makes them."):
        read_results(experiment.root)
