"""The recipe for a knob of the trainer: its field, and the file of the engine that obeys it."""

from __future__ import annotations

import json
from pathlib import Path

from segbench.config.load import load_experiment
from segbench.config.trial import identity

ASK = """
import json, sys
from segbench.config.json_schema import json_schema
from segbench.config.load import load_experiment
from segbench.config.trial import TrialConfig, identity, parts
from segbench.data.prepared import prepare
from segbench.engine.run import Run

experiment = load_experiment("exp", overrides=["grad_center=true"])
centred = experiment.baseline
plain = load_experiment("exp").baseline
data = prepare(plain, experiment.project)

def moved(config):
    run = Run(config, data, seed=0, threads=1)
    before = run.weights("last")
    [epoch] = run
    filters = [(name, w) for name, w in run.weights("last").items() if w.dim() > 1]
    assert any(not w.equal(before[name]) for name, w in filters)
    return max(float((w - before[name]).flatten(1).mean(1).abs().max()) for name, w in filters)

json.dump(
    {
        "levels": [level.label for level in load_experiment("axis").axes[0].levels],
        "identities": [identity(each, seed=0, fold=0, data_fingerprint="f") for each in (plain, centred)],
        "read": TrialConfig.from_json(centred.to_json()) == centred,
        "an older record": TrialConfig.from_json(
            {key: value for key, value in plain.to_json().items() if key != "grad_center"}
        ) == plain,
        "alike in": [
            mark
            for mark in ("shapes", "step", "cost", "pixels")
            if parts(plain.to_json(), mark) == parts(centred.to_json(), mark)
        ],
        "schema": json_schema()["$defs"]["Baseline"]["properties"]["grad_center"],
        "moved": [moved(config) for config in (plain, centred)],
    },
    sys.stdout,
)
"""

EXPERIMENT = """\
question: q
baseline:
  dataset: {shapes: {num_train: 4, num_val: 2, num_test: 2, size_px: 16}}
  model: {unet: {width: 2, depth: 1}}
  optimizer: {sgd: {lr: 0.1}}
  batch_size: 2
  epochs: 1
"""


def test_a_knob_of_the_trainer_costs_two_files(tree, tmp_path):
    tree.follow("A trainer knob")
    assert len(tree.touched) == 2
    project = project_with(tmp_path / "project", exp="", axis="axes: {grad_center: [false, true]}\n")

    said = json.loads(tree.run("-c", ASK, cwd=project))

    without_the_knob = load_experiment(project / "experiments" / "exp.yaml").baseline
    assert said["identities"][0] == identity(without_the_knob, seed=0, fold=0, data_fingerprint="f")
    assert said["identities"][1] != said["identities"][0]
    assert said["read"]
    assert said["an older record"]
    assert said["alike in"] == ["shapes", "cost", "pixels"]
    assert said["levels"] == ["false", "true"]
    assert said["schema"]["default"] is False
    assert "Yong et al., 2020" in said["schema"]["description"]
    plain, centred = said["moved"]
    assert plain > 1e-4
    assert centred < 1e-6  # SGD adds up centred gradients, which move no filter's mean


def project_with(project: Path, **extra: str) -> Path:
    (project / "experiments").mkdir(parents=True)
    for name, text in extra.items():
        (project / "experiments" / f"{name}.yaml").write_text(EXPERIMENT + text)
    return project
