"""The experiment that `segbench init` writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_FRACTION = "{fraction: {val: 0.1, test: 0.2, seed: 0}}"

_KNOB_COMMENTS = {
    "images": "the folder's place, from the project's root",
    "masks": "one mask an image, of the same name",
    "image_suffix": "end of the images' names that masks lack",
    "mask_suffix": "end of the masks' names that images lack",
    "window": "values of deep images that become 0..255",
    "foreground": "mask values that are foreground",
    "threshold": "mask values from this one on are foreground",
    "ignore": "mask values whose pixels do not count",
    "group": "what stays on one side of the split",
    "size_px": "images are resized to this many pixels a side",
}


def render(name: str, knobs: Mapping[str, Any], *, size_px: int, schema: str, has_groups: bool) -> str:
    """Write the file.

    Args:
        name: The experiment's name.
        knobs: Knobs of the data set `folder`, images and masks included; empty: generated scenes.
        size_px: Pixels a side.
        schema: Path of the JSON schema, seen from the file.
        has_groups: Whether images have groups.
    """
    if knobs:
        size, width, depth, epochs = size_px, 32, 4, 60
        dataset = _folder(knobs, size)
        stays = "; groups stay whole" if has_groups else ""
        split = f"  split: {_FRACTION}  # drawn once, for all trials{stays}"
    else:
        size, width, depth, epochs = 64, 8, 3, 12
        dataset = f"  dataset: {{shapes: {{size_px: {size}}}}}  # generated scenes: no download"
        split = "  split: course  # the data set's own training, validation and test images"
    text = f"""# yaml-language-server: $schema={schema}
#
# `segbench plan {name}` shows what would run, `segbench sweep {name} --smoke` tries it,
# `segbench sweep {name}` trains, `segbench report {name}` answers.
# `segbench list` shows what each field can be.

# One sentence: what the answer of this file is about.
question: Do batch normalisation and flips help here?

# The complete configuration that the levels below change.
baseline:
{dataset}
{split}
  input: dataset  # scaling by the training images' mean and deviation; or imagenet, unit
  model: {{unet: {{width: {width}, depth: {depth}}}}}  # or resnet34_unet; width: channels of the first level
  norm: batch  # normalisation layers inside the network
  augment: flips  # a recipe, or a list of albumentations transforms
  loss: {{bce: 1, dice: 1}}  # a weighted sum of terms
  optimizer: {{adam: {{lr: 1e-3}}}}  # lr is the learning rate
  schedule: cosine  # how the learning rate falls; or constant
  grad_clip: 1.0  # largest gradient norm; null: no clipping
  batch_size: 8  # images a step
  epochs: {epochs}  # passes over the training images
  precision: fp32  # fp32 or tf32; bf16 is fastest on a recent GPU

# What varies: every combination (a cell) is trained with every seed.
axes:
  norm: [batch, none]  # named like a field: its levels are values of the field
  flips: {{levels: {{on: {{augment: flips}}, off: {{augment: none}}}}}}  # other axes say what they set

# Seeds are the replicates that intervals are made from: three are few, five are better.
seeds: 3

# Differences below this do not matter to you; needed for "equivalent".
margin: 0.01

# What you expect, judged by the report on the test images' Dice: >, < or ==.
claims:
  - {{norm: batch > none}}
  - {{flips: on > off}}
"""
    return "\n".join(_aligned(line) for line in text.split("\n"))


def _folder(knobs: Mapping[str, Any], size_px: int) -> str:
    lines = ["  dataset:  # your images and masks", "    folder:"]
    for key, value in {**knobs, "size_px": size_px}.items():
        lines.append(f"      {key}: {_scalar(value)}  # {_KNOB_COMMENTS[key]}")
    return "\n".join(lines)


def _aligned(line: str) -> str:
    code, mark, comment = line.partition("  # ")
    return f"{code:<36}  # {comment}" if mark and code.strip() else line


def _scalar(value: Any) -> str:
    """Write a value in YAML's flow style; text in double quotes, with JSON's escapes, is always text."""
    return json.dumps(value, ensure_ascii=False)
