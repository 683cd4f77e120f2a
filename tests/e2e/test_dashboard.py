"""optuna-dashboard over what a sweep wrote: its API shows trials, the study's note and pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from storages import check_equal, dashboard, fetch, fetch_json, finish, postgres_database, read_study, start

from segbench.store.layout import ExperimentFolder

EXPERIMENT = """\
question: Does the dashboard show it?
baseline:
  dataset: {shapes: {num_train: 8, num_val: 4, num_test: 6, size_px: 32}}
  input: unit
  model: {unet: {width: 4, depth: 2}}
  norm: batch
  augment: none
  loss: {bce: 1, dice: 1}
  optimizer: {adam: {lr: 1e-3}}
  schedule: constant
  batch_size: 4
  epochs: 2
axes:
  norm: [batch, none]
seeds: 1
"""


@pytest.fixture(params=["default", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str | None]:
    if request.param == "postgres":
        with postgres_database() as url:
            yield url
    else:
        yield None if request.param == "default" else f"sqlite:///{tmp_path / 'shared.db'}"


@pytest.mark.slow
def test_the_dashboard_shows_trials_note_and_pictures(tmp_path: Path, storage: str | None) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "shown.yaml").write_text(EXPERIMENT)
    finish(start(tmp_path, "sweep", "shown", "--workers", "1", storage=storage))
    folder = ExperimentFolder(tmp_path / "results" / "shown")
    check_equal(read_study(storage, tmp_path, "shown"), folder, "val_dice")
    with dashboard(tmp_path, storage) as address:
        (study,) = fetch_json(f"{address}/api/studies")["study_summaries"]
        assert study["study_name"] == "shown"
        detail = fetch_json(f"{address}/api/studies/{study['study_id']}?after=0")
        assert detail["note"]["body"].startswith("**Does the dashboard show it?**\n\n2 cells, 1 seeds")
        assert "2 complete" in detail["note"]["body"]
        assert len(detail["trials"]) == 2
        for trial in detail["trials"]:
            assert trial["state"] == "Complete"
            assert len(trial["intermediate_values"]) == 2
            attributes = {a["key"]: a["value"] for a in trial["user_attrs"]}
            trial_hash = attributes["hash"].strip("'\"")
            assert f"results/shown/trials/{trial_hash}" in attributes["folder"]
            assert "model unet (width 4, depth 2, " in attributes["configuration"]
            (artifact,) = trial["artifacts"]
            body, kind = fetch(
                f"{address}/artifacts/{study['study_id']}/{trial['trial_id']}/{artifact['artifact_id']}"
            )
            assert kind == "image/png"
            assert body == folder.trial(trial_hash).panels.read_bytes()
