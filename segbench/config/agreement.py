"""What fields ask of each other, apart from image sizes (`designs`)."""

from __future__ import annotations

from segbench.config.problems import Place, Problems
from segbench.config.resolve import Fields
from segbench.config.trial import Choice
from segbench.errors import message


def check_agreement(fields: Fields, base: Fields, problems: Problems) -> None:
    """Record where two fields of a configuration contradict each other, at the one that a level set.

    Args:
        fields: A configuration; fields that are missing have their own problems.
        base: The baseline that it was made from.
        problems: Takes what is wrong.
    """
    values = fields.values
    if "schedule" in values and "epochs" in values:
        place = _cause(fields, base, "schedule", "epochs")
        _add(place, warmup_problem(str(place), values["schedule"], values["epochs"]), problems)
    if "mix" in values and "batch_size" in values:
        place = _cause(fields, base, "mix", "batch_size")
        _add(place, mixing_problem(str(place), values["mix"], values["batch_size"]), problems)


def warmup_problem(where: str, schedule: Choice, epochs: int) -> str | None:
    """Return the message for a warm-up that leaves the schedule no epoch, or None."""
    warmup_epochs = schedule.knobs.get("warmup_epochs", 0)
    if not isinstance(warmup_epochs, int | float) or warmup_epochs < epochs:
        return None
    return message(
        where,
        f"warmup_epochs of {schedule.name} must be fewer than the run's epochs ({epochs})",
        got=warmup_epochs,
        see="Shorten the warm-up, or raise epochs",
    )


def mixing_problem(where: str, mix: Choice, batch_size: int) -> str | None:
    """Return the message for a batch that has nothing to mix, or None."""
    if mix.name == "none" or batch_size > 1:
        return None
    return message(
        where,
        f"{mix.name} needs a batch of at least 2",
        got=batch_size,
        see="Raise batch_size, or write `mix: none`",
    )


def _cause(fields: Fields, base: Fields, first: str, second: str) -> Place:
    """Return the place of the first field, or of the second where only that differs from the baseline."""
    place = fields.places[first]
    is_of_baseline = place == base.places.get(first)
    return (
        fields.places[second]
        if is_of_baseline and fields.places[second] != base.places.get(second)
        else place
    )


def _add(place: Place, text: str | None, problems: Problems) -> None:
    if text is not None:
        problems.add_text(place, text)
