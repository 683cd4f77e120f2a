"""What a search is after, in one line."""

from __future__ import annotations

from segbench.config.experiment import Constraint, Search


def describe_search(search: Search) -> str:
    """Return such as `40 proposals by tpe, pruner median, for val_dice and parameters`."""
    parts = [f"{search.num_trials} proposals by {search.sampler}, pruner {search.pruner}"]
    if search.goals:
        parts.append(f"for {' and '.join(goal.metric for goal in search.goals)}")
    if search.constraints:
        parts.append(f"with {', '.join(_bounds(each) for each in search.constraints)}")
    if search.enqueue:
        parts.append(f"{len(search.enqueue)} of them given")
    if search.warm_start:
        parts.append(f"warmed by {', '.join(search.warm_start)}")
    return ", ".join(parts)


def _bounds(constraint: Constraint) -> str:
    low = "" if constraint.low is None else f"{constraint.low:g} <= "
    high = "" if constraint.high is None else f" <= {constraint.high:g}"
    return f"{low}{constraint.metric}{high}"
