"""Guards that need the design alone: axes, levels, seeds, claims. No torch, no data."""

from __future__ import annotations

from collections.abc import Iterator

from segbench import registry
from segbench.errors import message
from segbench.sweep.checks.finding import Severity, guard
from segbench.sweep.plan import Plan


@guard("SB120", Severity.ERROR)
def consents_to_flaws(plan: Plan) -> Iterator[str]:
    """A variant that makes a known mistake on purpose runs only under `allow_flawed: true`."""
    experiment = plan.experiment
    if experiment.allow_flawed:
        return
    configs = [cell.config for cell in experiment.cells] or [experiment.baseline]
    chosen = dict.fromkeys((axis, choice.name) for config in configs for axis, choice in config.choices())
    for axis, name in chosen:
        flaw = registry.find(axis, name).flawed
        if flaw is not None:
            yield message(
                f"{experiment.name}: {axis}",
                f"the variant is flawed on purpose: {flaw}",
                got=name,
                see="Write `allow_flawed: true` into the file to measure what the mistake costs",
            )
