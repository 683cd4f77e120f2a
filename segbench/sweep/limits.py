"""Bounds on what a network costs: a proposal that breaks one is refused before its first epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from segbench.config.experiment import Constraint, Search
from segbench.records import State, TrialRecord

KNOWN_UNTRAINED: Final = ("parameters", "flops")
"""Metrics that are known once a network is built."""

LEARNS_FROM_COMPLETE: Final = ("gp", "nsga2")
"""Samplers that learn from complete proposals alone: refused ones would be proposed again and again."""


def limits_of(search: Search) -> list[dict[str, Any]]:
    """Return the bounds that a worker checks before it trains a proposal; none where the sampler needs it
    trained."""
    if search.sampler in LEARNS_FROM_COMPLETE:
        return []
    checked = [each for each in search.constraints if each.metric in KNOWN_UNTRAINED]
    return [{"metric": each.metric, "low": each.low, "high": each.high} for each in checked]


def find_excess(search: Mapping[str, Any] | None, record: TrialRecord) -> str | None:
    """Say which bound a network breaks; None where it breaks none, or does not tell its cost.

    Args:
        search: The block `search` of a queued trial.
        record: With parameters and FLOPs.
    """
    for limit in (search or {}).get("limits", ()):
        value = getattr(record, limit["metric"])
        if value is None or Constraint(**limit).violation(value) <= 0:
            continue
        ends = [
            f"at {word} {limit[end]:g}" for end, word in (("low", "least"), ("high", "most")) if limit[end]
        ]
        return f"not trained: {value:,} {limit['metric']}, and the search allows {' and '.join(ends)}"
    return None


def is_wrongly_refused(search: Search, record: TrialRecord | None) -> bool:
    """Whether a proposal was refused by a bound that the search no longer has."""
    if record is None or record.state is not State.PRUNED or record.epochs_done:
        return False
    if not (record.search or {}).get("limits"):
        return False
    return find_excess({"limits": limits_of(search)}, record) is None
