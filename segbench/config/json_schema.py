"""The JSON schema of experiment files, from the models and the registry, for editors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import TypeAdapter

from segbench import registry
from segbench.config.resolve import UnreadableAnnotation, type_of
from segbench.config.schema import Baseline, ExperimentFile
from segbench.config.trial import VARIANT_FIELDS
from segbench.registry import Knob, Variant

Schema = dict[str, Any]

_IMPORT_PATH: Final[Schema] = {
    "type": "string",
    "pattern": "^[^:]+:[^:]+$",
    "description": "Import path of your own variant: package.module:Name",
}


_LEFT_OUT: Final[Schema] = {
    "description": "A recipe whose steps are left out one by one: the axis gets a level for each. On an axis "
    "of another name than augment: {augment: RECIPE}."
}


def json_schema() -> Schema:
    """Return the schema: draft 2020-12, with every built-in variant, its knobs and their help."""
    schema = ExperimentFile.model_json_schema()
    definitions: Schema = schema.pop("$defs")
    for axis in VARIANT_FIELDS:
        definitions[f"variant_{axis}"] = _axis_values(axis)
    for name, model_property in definitions["Baseline"]["properties"].items():
        if name in VARIANT_FIELDS:
            about = {key: model_property[key] for key in ("description", "default") if key in model_property}
            definitions["Baseline"]["properties"][name] = {**about, "$ref": f"#/$defs/variant_{name}"}
    # `extends` may bring the baseline and its data set; without it both are required.
    del definitions["Baseline"]["required"]
    schema["required"] = []
    schema["if"] = {"not": {"required": ["extends"]}}
    schema["then"] = {
        "required": ["question", "baseline"],
        "properties": {"baseline": {"required": ["dataset"]}},
    }
    definitions["Patch"] = {
        "type": "object",
        "description": "Fields, and knobs by path such as optimizer.lr, that a level sets.",
        "properties": {name: _field(name) for name in Baseline.model_fields},
        "patternProperties": {r"^[a-z_]+\.": True},
        "additionalProperties": False,
        "minProperties": 1,
    }
    schema["properties"]["axes"] = _axes(schema["properties"]["axes"], definitions["AxisBody"])
    definitions["Scale"]["properties"]["baseline"]["$ref"] = "#/$defs/Baseline"
    for name, scale_property in definitions["Scale"]["properties"].items():
        if name != "baseline":
            scale_property["$ref"] = f"#/properties/{name}"
        for key in ("type", "additionalProperties"):
            scale_property.pop(key, None)
    del definitions["AxisBody"]
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "segbench experiment",
        "$defs": dict(sorted(definitions.items())),
    }
    cleaned: Schema = _without_titles(whole)
    return {**cleaned, "title": "segbench experiment"}


def _field(name: str) -> Schema:
    return {"$ref": f"#/$defs/Baseline/properties/{name}"}


def _axes(axes: Schema, body: Schema) -> Schema:
    """Describe axes: those of a field take its values, any other takes patches, or values of its path."""

    def axis(values: Schema, what: str) -> Schema:
        levels = {
            "description": f"{what}: a list, or a mapping by label.",
            "anyOf": [
                {"type": "array", "minItems": 1, "items": values},
                {"type": "object", "minProperties": 1, "additionalProperties": values},
            ],
        }
        properties = {**body["properties"], "levels": levels, "leave_one_out": _LEFT_OUT}
        whole = {
            "type": "object",
            "properties": properties,
            "anyOf": [{"required": ["levels"]}, {"required": ["leave_one_out"]}],
        }
        listed = {"type": "array", "minItems": 1, "items": values}
        return {"anyOf": [listed, {**whole, "additionalProperties": False}]}

    patches = axis({"$ref": "#/$defs/Patch"}, "What each level sets")["anyOf"][1]
    by_path = axis({}, "Values of the path")["anyOf"][1]
    return {
        **{key: value for key, value in axes.items() if key in ("description", "default")},
        "type": "object",
        "properties": {name: axis(_field(name), f"Values of {name}") for name in Baseline.model_fields},
        "additionalProperties": {"anyOf": [patches, {**by_path, "required": ["path"]}]},
    }


def _axis_values(axis: str) -> Schema:
    variants = registry.variants(axis)
    names = [{"const": v.name, "description": v.summary} for v in variants.values()]
    if axis == "loss":
        return {
            "anyOf": [
                *names,
                _IMPORT_PATH,
                {
                    "type": "object",
                    "minProperties": 1,
                    "properties": {v.name: _term(v) for v in variants.values()},
                    "patternProperties": {":": True},
                    "additionalProperties": False,
                },
            ]
        }
    by_name = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "properties": {v.name: _body(v) for v in variants.values()},
        "patternProperties": {":": True},
        "additionalProperties": False,
    }
    transforms = {
        "type": "array",
        "minItems": 1,
        "description": "albumentations transforms, one after another.",
        "items": {"anyOf": [{"type": "string"}, {"type": "object", "minProperties": 1, "maxProperties": 1}]},
    }
    return {"anyOf": [*names, by_name, _IMPORT_PATH, *([transforms] if axis == "augment" else [])]}


def _body(variant: Variant) -> Schema:
    """Describe what may stand behind a variant's name: knobs, the first knob's value, or nothing."""
    arms = [_knobs(variant.knobs), {"type": "null"}]
    if variant.knobs:
        arms.insert(1, _knob(next(iter(variant.knobs.values()))))
    return {"description": variant.summary, "anyOf": arms}


def _term(variant: Variant) -> Schema:
    weight = Knob(name="weight", annotation="float", default=1.0, help="Factor of the term in the sum.")
    knobs = {"weight": weight, **variant.knobs}
    return {"description": variant.summary, "anyOf": [{"type": "number"}, _knobs(knobs)]}


def _knobs(knobs: Mapping[str, Knob]) -> Schema:
    described: Schema = {
        "type": "object",
        "properties": {name: _knob(knob) for name, knob in knobs.items()},
        "additionalProperties": False,
    }
    required = [name for name, knob in knobs.items() if knob.is_required]
    return {**described, "required": required} if required else described


def _knob(knob: Knob) -> Schema:
    try:
        described = TypeAdapter(type_of(knob.annotation)).json_schema()
    except UnreadableAnnotation:
        described = {}
    if knob.help:
        described["description"] = knob.help
    return described if knob.is_required else {**described, "default": knob.default}


def _without_titles(value: Any) -> Any:
    """Drop the titles that pydantic makes of names: editors show them as noise."""
    if isinstance(value, dict):
        return {
            key: _without_titles(inner)
            for key, inner in value.items()
            if not (key == "title" and isinstance(inner, str))
        }
    return [_without_titles(inner) for inner in value] if isinstance(value, list) else value
