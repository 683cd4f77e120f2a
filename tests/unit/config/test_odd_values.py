"""Whatever stands where in a file, a user gets messages with places, never a traceback."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from segbench.config.document import Node, Problems, dump, parse
from segbench.config.experiment import Experiment
from segbench.config.load import load_experiment
from segbench.errors import ExperimentError

DESIGN = """\
question: q
baseline:
  dataset: {shapes: {size_px: 32}}
  loss: {bce: 1, dice: {weight: 1}}
  optimizer: {adam: {lr: 1e-3}}
  early_stopping: {patience: 3, min_delta: 0.1}
axes:
  norm: {levels: {a: batch, b: {group: {groups: 2}}}, baseline: a}
  lr: {path: optimizer.lr, levels: [1e-3, 1e-2]}
  flips: {levels: {off: {augment: none}, on: {augment: flips}}}
design: {cells: [{norm: a}, {norm: b}, {norm: b, lr: 1e-2}]}
exclude: [{norm: [b], lr: 1e-2}]
seeds: [0, 1]
objective: {metric: val_dice, direction: maximize}
outcome: test_dice
margin: 0.1
claims:
  - {norm: a == b, at: {lr: 1e-3}, on: new_images}
  - {norm: a / b, between: [1, 2], metric: epoch_time_s}
  - {text: words}
scales: {small: {baseline: {epochs: 1}, axes: {norm: [batch, none]}, seeds: 1}}
"""
SEARCH = """\
question: q
baseline: {dataset: shapes}
search:
  space:
    lr: {path: optimizer.lr, low: 1e-5, high: 1, log: true}
    norm: [batch, none]
    recipe: {levels: {off: {augment: none}, on: {augment: flips, epochs: 3}}}
  sampler: {tpe: {seed: 0}}
  pruner: {median: {warmup_epochs: 5}}
  trials: 20
"""
ODD: tuple[Any, ...] = (
    3,
    -1,
    True,
    None,
    "",
    "text",
    [],
    ["a"],
    [[1]],
    {},
    {"a": 1},
    {"a": {"b": [1]}},
    float("nan"),
)


def spots(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*path, key)
        yield from spots(each, (*path, key))


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    document = copy.deepcopy(document)
    holder = document
    for part in path[:-1]:
        holder = holder[part]
    holder[path[-1]] = value
    return document


@pytest.mark.parametrize(("text", "scale"), [(DESIGN, None), (DESIGN, "small"), (SEARCH, None)])
def test_no_value_anywhere_makes_a_traceback(
    write: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, text: str, scale: str | None
) -> None:
    monkeypatch.setattr("segbench.config.load.keep", lambda *a: None)
    node: Node = parse(text, "f", Problems())
    document = node.plain()
    if scale is None:
        write(text)
        assert isinstance(load_experiment("x"), Experiment)
    tried = refused = 0
    for number, path in enumerate(spots(document)):
        if scale is not None and path[0] not in ("scales", "baseline"):
            continue
        for value in (ODD * 2)[number % len(ODD) :][:3]:  # three each, another three at the next spot
            write(dump(changed(document, path, value)))
            tried += 1
            try:
                load_experiment("x", scale=scale)
            except ExperimentError as error:
                refused += 1
                for problem in error.problems:
                    assert re.match(r"experiments/x\.yaml(:\d+:\d+)?(\[\d\]|\.\w)*: ", problem), problem
    assert 20 < refused < tried
