"""The recipe for a variant of an axis: one file, and its formula in the contract test of the axis."""

from __future__ import annotations

import json

ASK = """
import json, sys
from typer.testing import CliRunner
from segbench.cli.app import app
from segbench.config.json_schema import json_schema
from segbench.config.load import load_experiment
from segbench.errors import ExperimentError

def problem(norm):
    try:
        load_experiment("exp", overrides=[f"norm={norm}"])
    except ExperimentError as error:
        return str(error)

schema = json_schema()["$defs"]
json.dump(
    {
        "listed": CliRunner().invoke(app, ["list", "norm"]).output,
        "documented": CliRunner().invoke(app, ["list", "--markdown"]).output,
        "level": load_experiment("exp").axes[0].levels[1].label,
        "misspelt": problem("respones"),
        "out of bounds": problem("{response: {eps: 0}}"),
        "schema": schema["knobs_norm_response"],
        "torch": "torch" in sys.modules,
    },
    sys.stdout,
)
"""

EXPERIMENT = "question: q\nbaseline: {dataset: {shapes: {size_px: 32}}}\naxes: {norm: [batch, response]}\n"


def test_a_variant_costs_one_file(tree, tmp_path):
    tree.follow("An axis variant")
    assert len(tree.touched) == 1
    project = tmp_path / "project"
    (project / "experiments").mkdir(parents=True)
    (project / "experiments" / "exp.yaml").write_text(EXPERIMENT)

    said = json.loads(tree.run("-c", ASK, cwd=project))

    first = "Divide each channel of each image by its root mean square."
    assert "response" in said["listed"]
    assert first in said["documented"]
    assert said["level"] == "response"
    assert "Did you mean 'response'?" in said["misspelt"]
    assert "eps must be greater than 0, got 0" in said["out of bounds"]
    assert said["schema"]["properties"]["eps"]["default"] == 1e-6
    assert not said["torch"]
    tree.test("tests/contract/test_norm_contract.py", "-k", "response or every_norm")
