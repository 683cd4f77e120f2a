"""Guards that look at decoded pixels and at the split. No torch; nothing is decoded here."""

from __future__ import annotations

from collections.abc import Iterator

from segbench.sweep.checks.finding import Severity, guard
from segbench.sweep.checks.subjects import DataSubject


@guard("SB100", Severity.NOTE)
def pixels_are_decoded(subject: DataSubject) -> Iterator[str]:
    """The images are decoded, so that guards can look at their pixels."""
    if subject.pixels is None:
        yield (
            f"not looked at yet: the pixels of {subject.config.dataset.name}, which are not decoded. "
            f"`segbench sweep {subject.experiment.name}` decodes them once and looks before it trains."
        )
