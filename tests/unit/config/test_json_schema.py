from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import segbench
from segbench import registry
from segbench.config.document import read_document
from segbench.config.json_schema import json_schema
from segbench.config.schema import ExperimentFile
from segbench.config.trial import DECLARED, FIELDS, VARIANT_FIELDS

ROOT = Path(segbench.__file__).parents[1]
EXPERIMENTS = sorted((ROOT / "experiments").rglob("*.yaml"))


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    registry.use_project(None)
    return json_schema()


def test_the_committed_schema_is_current(schema: dict[str, Any]) -> None:
    committed = json.loads((ROOT / "docs" / "experiment.schema.json").read_text(encoding="utf-8"))
    assert committed == json.loads(json.dumps(schema)), (
        "write it again: segbench schema --out docs/experiment.schema.json"
    )


def followed(schema: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """Return what a reference leads to, under what stands beside it."""
    while "$ref" in value:
        target: Any = schema
        for part in value["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        value = {**target, **{key: inner for key, inner in value.items() if key != "$ref"}}
    return value


@pytest.mark.parametrize("axis", VARIANT_FIELDS)
def test_every_variant_and_knob_is_there_with_its_help(schema: dict[str, Any], axis: str) -> None:
    arms = schema["$defs"][f"variant_{axis}"]["anyOf"]
    variants = registry.variants(axis)
    assert {arm["const"]: arm["description"] for arm in arms if "const" in arm} == {
        name: variant.summary for name, variant in variants.items()
    }
    by_name = next(arm for arm in arms if arm.get("type") == "object")
    assert by_name["additionalProperties"] is False
    for name, variant in variants.items():
        bodies = [followed(schema, arm) for arm in by_name["properties"][name]["anyOf"]]
        body = next(arm for arm in bodies if arm.get("type") == "object")
        knobs = {knob: followed(schema, found) for knob, found in body["properties"].items()}
        expected = {k.name: (k.help, k.default) for k in variant.knobs.values()}
        if axis == "loss":
            expected["weight"] = ("Factor of the term in the sum.", 1.0)
        assert {
            k: (v["description"], v.get("default", registry.REQUIRED)) for k, v in knobs.items()
        } == expected
        assert body["additionalProperties"] is False


def test_every_key_and_field_is_described(schema: dict[str, Any]) -> None:
    assert set(schema["properties"]) == set(ExperimentFile.model_fields)
    fields = schema["$defs"]["Baseline"]["properties"]
    assert {name: field["description"] for name, field in fields.items()} == {
        name: DECLARED[name].text for name in FIELDS
    }
    assert fields["batch_size"] == {
        "default": 8,
        "description": "Images in a batch; `accumulate` batches make a step.",
        "exclusiveMinimum": 0,
        "type": "integer",
    }
    assert schema["additionalProperties"] is False


def test_every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [found for inner in value.values() for found in references(inner)]
        return [f for inner in value for f in references(inner)] if isinstance(value, list) else []

    found = set(references(schema))
    assert "#/$defs/variant_norm" in found
    for reference in found:
        target: Any = schema
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]
        assert isinstance(target, dict)


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_experiments_name_the_schema_and_fit_it(schema: dict[str, Any], file: Path) -> None:
    first = file.read_text(encoding="utf-8").splitlines()[0]
    up = "../" * (len(file.relative_to(ROOT).parts) - 1)
    assert first == f"# yaml-language-server: $schema={up}docs/experiment.schema.json"
    document = read_document(file).plain()
    assert set(document) <= set(schema["properties"])
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    assert [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(document)] == []
