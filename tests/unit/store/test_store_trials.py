from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from segbench.errors import ResultsError
from segbench.records import EpochRecord, FailureKind, Origin, SearchPlace, State, TrialRecord
from segbench.store.layout import ExperimentFolder, TrialFolder
from segbench.store.trials import (
    ImageValue,
    append_epoch,
    count_epochs,
    format_number,
    open_trial,
    read_epochs,
    read_images,
    read_trial,
    rewrite_epochs,
    write_images,
    write_trial,
)

Records = Callable[..., TrialRecord]
Epochs = Callable[..., EpochRecord]


def test_numbers_have_nine_significant_digits() -> None:
    values = [1, 1 / 3, 1e-7 / 3, 123456789.123, math.nan, math.inf, 0.0, -0.5]
    written = ["1", "0.333333333", "3.33333333e-08", "123456789", "nan", "inf", "0", "-0.5"]
    assert [format_number(v) for v in values] == written


def test_a_record_comes_back_as_it_was(trial: TrialFolder, make_record: Records) -> None:
    record = make_record(
        levels={"norm": 'a "b", ü'},
        state=State.FAILED,
        failure=FailureKind.OOM,
        reason="line, ü",
        test={"dice": 0.5, "hd95": math.nan},
        objective=1 / 3,
        search=SearchPlace(number=3, parameters={"lr": 1 / 3}),
    )
    write_trial(trial, record)
    read = read_trial(trial)
    assert math.isnan(read.test["hd95"])
    assert read == replace(record, objective=0.333333333, test=read.test)
    assert read.config["optimizer"]["adam"]["lr"] == 0.1 + 0.2
    assert isinstance(read.state, State)
    assert "ü" in trial.record.read_text(encoding="utf-8")


def test_keys_of_later_versions_are_passed_over(trial: TrialFolder, make_record: Records) -> None:
    write_trial(trial, make_record())
    content = json.loads(trial.record.read_text())
    trial.record.write_text(json.dumps({**content, "carbon_kg": 1}))
    assert read_trial(trial) == make_record()


def damage(content: dict[str, object], how: str) -> str:
    text = json.dumps(content)
    if how == "truncated":
        return text[: len(text) // 2]
    changes: dict[str, dict[str, object]] = {
        "newer": {"format": 2},
        "no format": {"format": None},
        "state": {"state": "done"},
        "hash": {"identity": "f" * 64},
        "other folder": {"identity": "f" * 64, "hash": "f" * 12},
    }
    if how == "key":
        return json.dumps({k: v for k, v in content.items() if k != "seed"})
    return json.dumps({**content, **changes[how]}) if how in changes else "[]"


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("truncated", "the record is truncated or not JSON"),
        ("newer", r"newer format than this segbench reads \(1\), got 2. Upgrade segbench."),
        ("no format", "a record must say its format, got None"),
        ("state", r"a key of the record is missing or wrong \('done' is not a valid State\)"),
        ("key", "missing or wrong .*'seed'"),
        ("hash", "hash must be the first digits of identity"),
        ("other folder", "the record is of another trial than its folder, got 'ffffffffffff'"),
        ("list", "a record is a JSON object, got 'list'"),
    ],
)
def test_damaged_records_say_what_is_wrong(
    trial: TrialFolder, make_record: Records, how: str, text: str
) -> None:
    write_trial(trial, make_record())
    trial.record.write_text(damage(json.loads(trial.record.read_text()), how))
    with pytest.raises(ResultsError, match=text):
        read_trial(trial)


def test_a_missing_record_is_none_to_open_and_an_error_to_read(trial: TrialFolder) -> None:
    assert open_trial(trial, "a" * 64) is None
    with pytest.raises(ResultsError, match="there is no record in this trial's folder"):
        read_trial(trial)


def test_a_folder_that_holds_another_identity_is_never_overwritten(
    trial: TrialFolder, make_record: Records
) -> None:
    write_trial(trial, make_record())
    before = trial.record.read_bytes()
    other = make_record().identity[:12] + "f" * 52
    with pytest.raises(ResultsError, match=r"another trial than .*nothing was overwritten"):
        write_trial(trial, make_record(identity=other))
    assert trial.record.read_bytes() == before


def test_appended_rows_and_rewritten_rows_are_the_same_bytes(trial: TrialFolder, make_epoch: Epochs) -> None:
    history = [make_epoch(n, lr=1e-4 / n) for n in (1, 2, 3)]
    for epoch in history:
        append_epoch(trial, epoch)
    appended = trial.epochs.read_bytes()
    assert appended.splitlines()[0] == (
        b"epoch,lr,train_loss,train_dice,val_loss,val_dice,epoch_time_s,images_per_s,peak_memory_mib,data_wait_s"
    )
    assert appended.splitlines()[2] == b"2,5e-05,0.333333333,0.5,0.25,0.666666667,1.5,100,512,nan"
    rewrite_epochs(trial, history)
    assert trial.epochs.read_bytes() == appended
    assert count_epochs(trial) == 3
    rewrite_epochs(trial, [])
    assert not trial.epochs.exists()


def test_a_torn_last_line_is_dropped_by_readers_and_writers(trial: TrialFolder, make_epoch: Epochs) -> None:
    for n in (1, 2):
        append_epoch(trial, make_epoch(n))
    whole = trial.epochs.read_bytes()
    trial.epochs.write_bytes(whole + b"3,1e-04,0.3")
    assert read_epochs(trial)["epoch"].tolist() == [1, 2]
    assert count_epochs(trial) == 2
    append_epoch(trial, make_epoch(3))
    assert read_epochs(trial)["epoch"].tolist() == [1, 2, 3]
    assert trial.epochs.read_bytes().startswith(whole + b"3,0.0001,0.333333333")
    trial.epochs.write_bytes(b"epoch,lr,tra")
    append_epoch(trial, make_epoch(1))
    assert read_epochs(trial)["train_loss"].tolist() == [0.333333333]


def test_a_row_of_other_columns_is_refused(trial: TrialFolder, make_epoch: Epochs) -> None:
    append_epoch(trial, make_epoch(1))
    with pytest.raises(ResultsError, match="an epoch's columns differ from those of the file"):
        append_epoch(trial, make_epoch(2, val={"loss": 1.0}))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\x89PNG\xff\n\xfe\n", "the epochs are not text"),
        (b"a,b\n1,2\n", "the first line must name the columns, epoch first, got 'a,b'"),
        (b"epoch,lr\n1,0.1\n2\n", "each line must hold 2 values"),
        (b"epoch,lr\n1,0.1\n2,high\n", "the epochs cannot be read"),
        (b"epoch,lr\n1,0.1\n2,\n", "the epochs cannot be read"),
        (b"epoch,lr\n1,0.1\n3,0.1\n", r"epochs must count from 1 without a gap, got \[1, 3\]"),
    ],
)
def test_damaged_epochs_say_what_is_wrong(trial: TrialFolder, content: bytes, text: str) -> None:
    trial.epochs.write_bytes(content)
    with pytest.raises(ResultsError, match=text):
        read_epochs(trial)


def test_epochs_keep_nan_and_infinity(trial: TrialFolder, make_epoch: Epochs) -> None:
    append_epoch(trial, make_epoch(1, train_loss=math.inf, val={"loss": math.nan}))
    row = read_epochs(trial).iloc[0]
    assert row["train_loss"] == math.inf
    assert math.isnan(row["val_loss"])
    assert row["lr"] == 1e-4


ROWS = [
    ImageValue("a,1", 'gr"1', "test", "object", "dice", 1 / 3),
    ImageValue("NA", "null", "test", "object", "dice", math.nan),
    ImageValue("ü\n2", "007", "test", "object", "iou", 1.0),
]


def test_values_per_image_come_back_as_text_and_numbers(trial: TrialFolder) -> None:
    write_images(trial, ROWS)
    read = read_images(trial)
    assert list(read.columns) == ["image", "group", "split", "class", "metric", "value"]
    assert read["image"].tolist() == ["a,1", "NA", "ü\n2"]
    assert read["group"].tolist() == ['gr"1', "null", "007"]
    assert read["value"].tolist()[::2] == [0.333333333, 1.0]
    assert math.isnan(read["value"][1])


def test_equal_values_give_equal_bytes_in_any_folder(experiment: ExperimentFolder) -> None:
    packed = set()
    for name in ("a" * 12, "b" * 12):
        folder = experiment.trial(name)
        folder.path.mkdir(parents=True)
        write_images(folder, ROWS)
        packed.add(folder.images.read_bytes())
    assert len(packed) == 1
    assert packed.pop()[4:8] == b"\0\0\0\0"  # the time in gzip's header


@pytest.mark.parametrize("cut", [5, 30, -4])
def test_truncated_values_per_image_are_refused(trial: TrialFolder, cut: int) -> None:
    write_images(trial, ROWS * 20)
    trial.images.write_bytes(trial.images.read_bytes()[:cut])
    with pytest.raises(ResultsError, match="the values per image are damaged"):
        read_images(trial)


@pytest.mark.parametrize(
    "block",
    [
        {"number": 7, "parameters": {"lr": 0.1}},
        {
            "number": 2,
            "enqueued": True,
            "place": {"generation": 1, "parents": [0, 1]},
            "parameters": {"lr": 0.1},
            "space": {"lr": {"low": 0.01, "high": 1.0}},
            "limits": [{"metric": "flops", "low": None, "high": 1e9}],
            "repeats": [3, 5],
            "repeated": {"5": {"enqueued": True}},
        },
        {"replicate_of": "a" * 12, "parameters": {"lr": 0.1}, "space": {}},
        {"role": "tuning", "cell": "c", "repeat": 0, "number": 0, "parameters": {}, "space": {}},
        {"role": "tuned", "cell": "c", "repeat": 1, "parameters": {}, "space": {}, "winner": "b" * 12},
    ],
)
def test_the_place_in_a_search_is_written_as_it_was_read(block: dict[str, Any]) -> None:
    written = SearchPlace.from_json(block).to_json()
    assert json.dumps(written) == json.dumps(block)


def test_a_place_takes_further_proposals_with_what_is_known_of_them() -> None:
    place = SearchPlace(number=4, parameters={"lr": 0.1}, origin=Origin(is_enqueued=True))
    both = place.standing_for({4: place.origin, 9: Origin(), 6: Origin(place={"generation": 2})})
    assert both.numbers == (4, 6, 9)
    assert both.origins == {
        4: Origin(is_enqueued=True),
        6: Origin(place={"generation": 2}),
        9: Origin(),
    }
    assert both.standing_for({}) == both
