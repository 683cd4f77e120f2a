"""The JSON schema of experiment files, from the models and the registry, for editors."""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter

from segbench import registry
from segbench.config.resolve import WEIGHT, UnreadableAnnotation, type_of
from segbench.config.schema import ExperimentFile
from segbench.config.searches import Kind, optuna_classes
from segbench.config.trial import FIELDS, VARIANT_FIELDS
from segbench.registry import Knob, Variant

Schema = dict[str, Any]

KINDS: Final[tuple[Kind, ...]] = ("sampler", "pruner")

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
        definitions |= {f"knobs_{axis}_{v.name}": _knobs(axis, v) for v in registry.variants(axis).values()}
        described = definitions["Baseline"]["properties"][axis]
        definitions["Baseline"]["properties"][axis] = {**described, **_ref(f"variant_{axis}")}
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
        "properties": {name: _field(name) for name in FIELDS},
        "patternProperties": {r"^[a-z_]+\.": True},
        "additionalProperties": False,
        "minProperties": 1,
    }
    body = definitions["AxisBody"]
    body["properties"]["leave_one_out"] = _LEFT_OUT
    schema["properties"]["axes"] = _axes(schema["properties"]["axes"], body)
    del body["required"]
    definitions["Scale"]["properties"]["baseline"] |= _ref("Baseline")
    for name, scale_property in definitions["Scale"]["properties"].items():
        if name != "baseline":
            scale_property["$ref"] = f"#/properties/{name}"
        for key in ("type", "additionalProperties"):
            scale_property.pop(key, None)
    for body in ("SearchBody", "TuneBody"):
        for kind in KINDS:
            about = definitions[body]["properties"][kind]
            kept = {key: about[key] for key in ("description", "default") if key in about}
            definitions[body]["properties"][kind] = {**kept, **_choice(kind, is_tuning=body == "TuneBody")}
    for kind in KINDS:
        for known in optuna_classes(kind).values():
            definitions[known.name] = {
                "type": ["object", "null"],
                "description": known.summary,
                "properties": {name: _knob(knob) for name, knob in known.settings.items()},
                "additionalProperties": False,
            }
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "segbench experiment",
        "$defs": dict(sorted(definitions.items())),
    }
    cleaned: Schema = _without_titles(whole)
    return {**cleaned, "title": "segbench experiment"}


def _ref(definition: str) -> Schema:
    return {"$ref": f"#/$defs/{definition}"}


def _field(name: str) -> Schema:
    return _ref(f"Baseline/properties/{name}")


def _choice(kind: Kind, *, is_tuning: bool) -> Schema:
    """Describe a sampler or a pruner: its class or its short name, with or without settings."""
    classes = [each for each in optuna_classes(kind).values() if not (is_tuning and each.has_generations)]
    names = {name: each.name for each in classes for name in (each.short, each.name)}
    settings = {name: {"$ref": f"#/$defs/{written}"} for name, written in names.items()}
    mapping = {"type": "object", "minProperties": 1, "maxProperties": 1, "properties": settings}
    return {"anyOf": [{"enum": list(names)}, {**mapping, "additionalProperties": False}]}


def _axes(axes: Schema, body: Schema) -> Schema:
    """Describe axes: those of a field take its values, any other takes patches, or values of its path."""
    shared = {name: _ref(f"AxisBody/properties/{name}") for name in body["properties"]}

    def axis(values: Schema, what: str) -> Schema:
        listed = {"type": "array", "minItems": 1, "items": values}
        levels = {
            "description": f"{what}: a list, or a mapping by label.",
            "anyOf": [listed, {"type": "object", "minProperties": 1, "additionalProperties": values}],
        }
        whole = {
            "type": "object",
            "properties": {**shared, "levels": levels},
            "anyOf": [{"required": ["levels"]}, {"required": ["leave_one_out"]}],
            "additionalProperties": False,
        }
        return {"anyOf": [listed, whole]}

    patches = axis(_ref("Patch"), "What each level sets")["anyOf"][1]
    by_path = axis({}, "Values of the path")["anyOf"][1]
    return {
        **{key: value for key, value in axes.items() if key in ("description", "default")},
        "type": "object",
        "properties": {name: axis(_field(name), f"Values of {name}") for name in FIELDS},
        "additionalProperties": {"anyOf": [patches, {**by_path, "required": ["path"]}]},
    }


def _axis_values(axis: str) -> Schema:
    variants = registry.variants(axis)
    names = [{"const": v.name, "description": v.summary} for v in variants.values()]
    by_name: Schema = {
        "type": "object",
        "minProperties": 1,
        "properties": {v.name: _body(axis, v) for v in variants.values()},
        "patternProperties": {":": True},
        "additionalProperties": False,
    }
    if axis != "loss":
        by_name["maxProperties"] = 1
    transforms = {
        "type": "array",
        "minItems": 1,
        "description": "albumentations transforms, one after another.",
        "items": {"anyOf": [{"type": "string"}, {"type": "object", "minProperties": 1, "maxProperties": 1}]},
    }
    return {"anyOf": [*names, by_name, _IMPORT_PATH, *([transforms] if axis == "augment" else [])]}


def _body(axis: str, variant: Variant) -> Schema:
    """Describe what may stand behind a variant's name: knobs, the first knob's value, or nothing."""
    knobs = _ref(f"knobs_{axis}_{variant.name}")
    if axis == "loss":  # a term takes its weight, and needs it or a knob
        return {"description": variant.summary, "anyOf": [{"type": "number"}, knobs]}
    first = [_ref(f"knobs_{axis}_{variant.name}/properties/{name}") for name in list(variant.knobs)[:1]]
    return {"description": variant.summary, "anyOf": [knobs, *first, {"type": "null"}]}


def _knobs(axis: str, variant: Variant) -> Schema:
    """Describe a variant's knobs; those of a preset are its variant's, with other defaults."""
    knobs = {WEIGHT.name: WEIGHT, **variant.knobs} if axis == "loss" else variant.knobs
    properties = {name: _knob(knob) for name, knob in knobs.items()}
    if variant.preset_of is not None:
        changed = registry.changed_knobs(variant)
        base = f"knobs_{axis}_{variant.preset_of}/properties"
        properties = {
            name: {**_ref(f"{base}/{name}"), **({"default": knobs[name].default} if name in changed else {})}
            for name in knobs
        }
    described: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
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
