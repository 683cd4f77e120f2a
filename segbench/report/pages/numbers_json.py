"""`numbers.json`: every number of a report with its formula, its trials and their values by seed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from segbench.records import DECIMALS
from segbench.report.trace import Source, Traces

FORMAT = 1


def write_numbers_json(traces: Traces, *, name: str, made_from: Mapping[str, Any]) -> str:
    """Return the file; docs/results-format.md explains it.

    Numbers that rest on the same values share an entry of `sources`.

    Args:
        traces: Every number.
        name: The experiment's.
        made_from: What the report was made from, for `segbench report --check`.
    """
    sources: dict[str, int] = {}
    known: dict[int, int] = {}  # most numbers share the very object with those of their row
    numbers = []
    for trace in traces.all:
        place = known.get(id(trace.source))
        if place is None:
            place = sources.setdefault(_json(_source(trace.source)), len(sources))
            known[id(trace.source)] = place
        entry = {
            "what": trace.quantity,
            "value": _plain(trace.value),
            "printed": trace.printed,
            "formula": trace.formula,
            "source": place,
        }
        numbers.append(f"{_json(trace.key)}: {_json(entry)}")
    head = {"format": FORMAT, "experiment": name, "made_from": dict(made_from)}
    lines = ",\n".join(f"{_json(key)}: {_json(value)}" for key, value in head.items())
    all_numbers, all_sources = ",\n".join(numbers), ",\n".join(sources)
    return f'{{\n{lines},\n"numbers": {{\n{all_numbers}\n}},\n"sources": [\n{all_sources}\n]\n}}\n'


def _source(source: Source) -> dict[str, Any]:
    by_seed = {name: _rounded(values) for name, values in source.by_seed.items()}
    return {"trials": list(source.trials), "seeds": list(source.seeds), "by_seed": by_seed}


def _rounded(values: Sequence[Any]) -> list[Any]:
    """Return values as `_plain` does; finite numbers, of which there are very many, all at once."""
    if set(map(type, values)) == {float}:
        text = f"%.{DECIMALS}g " * len(values) % tuple(values)
        if "n" not in text:  # neither nan nor inf
            return list(map(float, text.split()))
    return [_plain(each) for each in values]


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return _rounded(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return None if math.isnan(value) else ("inf" if value > 0 else "-inf")
        return float(f"{value:.{DECIMALS}g}")
    return value


_json: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
