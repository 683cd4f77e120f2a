"""A search from the command line: proposals, pruning, replicates, and the study beside them."""

from __future__ import annotations

import json
from pathlib import Path

from command_line import segbench_
from storages import read_study

from segbench.store.layout import ExperimentFolder

EXPERIMENT = """\
question: Which learning rate?
baseline:
  dataset: {shapes: {num_train: 8, num_val: 4, num_test: 4, size_px: 32}}
  input: unit
  model: {unet: {width: 4, depth: 2}}
  norm: batch
  augment: none
  loss: {bce: 1, dice: 1}
  optimizer: {adam: {lr: 1e-3}}
  schedule: constant
  batch_size: 4
  epochs: 3
search:
  space: {lr: {path: optimizer.lr, low: 1e-5, high: 1e-1, log: true}}
  sampler: {tpe: {seed: 1}}
  pruner: {median: {warmup_epochs: 1}}
  trials: 6
seeds: 2
"""


def test_search_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "hunt.yaml").write_text(EXPERIMENT)
    done = segbench_(tmp_path, "sweep", "hunt", "--threads", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hunt: search of 6 proposals by tpe, pruner median" in done.stdout
    assert "\x1b" not in done.stdout
    folder = ExperimentFolder(tmp_path / "results" / "hunt")
    records = [json.loads(t.record.read_text()) for t in folder.trial_folders()]
    proposals = {r["search"]["number"]: r for r in records if "number" in r["search"]}
    replicates = [r for r in records if "replicate_of" in r["search"]]
    assert sorted(proposals) == list(range(6))
    assert {r["state"] for r in records} <= {"complete", "pruned"}
    assert len(replicates) == 1
    complete = [r for r in proposals.values() if r["state"] == "complete"]
    best = max(complete, key=lambda r: r["objective"])
    assert replicates[0]["search"]["replicate_of"] == best["hash"]
    assert (replicates[0]["seed"], replicates[0]["test"].keys()) == (1, best["test"].keys())

    shown = read_study(None, tmp_path, "hunt")
    by_hash = {t.user_attrs["hash"]: t for t in shown}
    assert len(shown) == len(by_hash) == 7
    for record in records:
        trial = by_hash[record["hash"]]
        assert trial.state.name.lower() == record["state"]
        assert trial.value == record["objective"]
        assert trial.params == record["search"]["parameters"]
        assert len(trial.intermediate_values) == record["epochs_done"]

    again = segbench_(tmp_path, "sweep", "hunt")
    assert "hunt is finished" in again.stdout
    assert again.returncode == 0
    refused = segbench_(tmp_path, "sweep", "hunt", "--seeds", "0")
    assert refused.returncode == 2
    assert refused.stderr.strip() == (
        "hunt: a search has no cells to choose from: --only and --seeds do not go with it."
    )
