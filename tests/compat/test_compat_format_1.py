"""Results of format 1, as the first release wrote them: readable, and of the same identity, for good."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from segbench.config.load import load_experiment
from segbench.config.trial import TrialConfig, config_hash, identity
from segbench.records import FailureKind, State
from segbench.store.index import read_index
from segbench.store.layout import ExperimentFolder
from segbench.store.match import match_trials, unmatched_trials
from segbench.store.results import Results, read_results
from segbench.store.scan import scan

FOLDER = ExperimentFolder(Path(__file__).parent / "format_1")

IDENTITIES = {
    "0a814abaa8c8": "0a814abaa8c8863c0df80b7c9669867e8d68919d122e83a18496ef6f1ac71a33",
    "3df1d1af9af9": "3df1d1af9af921c345c3890cf3bf0c6f32281054bcc297acdcbbf12895b9a4f4",
    "71e9b66ab46f": "71e9b66ab46feea59eb50cf489570b747c312663d6ecd593ef4cfc3a36aa483b",
    "d7c1b246be94": "d7c1b246be948baaf5a2d48cd264d9843ffee1c30c24497afcf23bb6aaecb7c3",
}
"""DyT; a record from before `max_images` was a field; a list of transforms; a label that needs quotes."""


@pytest.fixture(scope="module")
def results() -> Results:
    return read_results(FOLDER.root)


def test_every_record_is_readable(results: Results) -> None:
    assert results.left_out.empty
    assert len(results.trials) == 8
    assert results.trials["state"].value_counts().to_dict() == {
        "complete": 4,
        "diverged": 1,
        "failed": 1,
        "interrupted": 1,
        "pruned": 1,
    }


def test_values_are_as_they_were_written(results: Results) -> None:
    trials = results.trials.set_index("trial")
    assert trials.loc["71e9b66ab46f", "test_dice"] == 0.172579576
    assert trials.loc["71e9b66ab46f", ["axis:norm", "axis:augment"]].tolist() == ["BatchNorm", "rotate"]
    assert trials.loc["a01fb58cfff6", ["search_number", "search:lr"]].tolist() == [7, 0.00031622776601683794]
    epochs = results.epochs.set_index(["trial", "epoch"])
    assert epochs.loc[("0a814abaa8c8", 3), ["lr", "train_loss"]].tolist() == [2.5e-05, 1.05996853]
    assert len(epochs) == 4 * 3 + 2 + 1 + 1
    images = results.images
    first = images[(images["trial"] == "5d99b363848c") & (images["metric"] == "dice")]
    assert dict(zip(first["image"], first["value"], strict=True))["test_0001"] == 0.197802198


def test_states_and_reasons_are_as_they_were_written() -> None:
    records = scan(FOLDER).records
    oom = records["f0849eef7fd6"]
    assert (oom.state, oom.failure, oom.reason) == (
        State.FAILED,
        FailureKind.OOM,
        "out of memory at batch size 4",
    )
    assert records["a01fb58cfff6"].reused_from == "other/a01fb58cfff6"
    assert [row.state for row in read_index(FOLDER)].count(State.WAITING) == 4


@pytest.mark.parametrize("hash", IDENTITIES)
def test_recorded_configurations_keep_their_identity(hash: str, monkeypatch: pytest.MonkeyPatch) -> None:
    record = scan(FOLDER).records[hash]
    config = TrialConfig.from_json(record.config)
    # A raised NUMERICS_VERSION makes other trials on purpose; all else must keep the hashes of old ones.
    monkeypatch.setattr("segbench.config.trial.NUMERICS_VERSION", record.numerics_version)
    recomputed = identity(
        config, seed=record.seed, fold=record.fold, data_fingerprint=record.data_fingerprint
    )
    assert recomputed == record.identity == IDENTITIES[hash]
    assert config_hash(config) == record.config_hash


def test_the_experiment_beside_them_still_asks_for_these_trials(tmp_path: Path, results: Results) -> None:
    """A later version must resolve the same document to the same configurations."""
    copy = tmp_path / "results" / "format_1"
    shutil.copytree(FOLDER.root, copy)
    experiment = load_experiment("format_1", start=tmp_path)
    matched = match_trials(results, experiment)
    assert len(matched) == 8
    assert unmatched_trials(results, experiment).empty
    assert set(matched["note"]) == {""}
    assert (matched["cell"] == matched["axis:norm"] + ", " + matched["axis:augment"]).all()


def test_the_fixture_is_of_format_1() -> None:
    formats = {json.loads(f.record.read_text(encoding="utf-8"))["format"] for f in FOLDER.trial_folders()}
    assert formats == {1}
