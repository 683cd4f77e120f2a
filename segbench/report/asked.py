"""`--contrast "norm: DyT - none at model = unet"`: comparisons that a reader asks for, beside the family."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from segbench.config.aliasing import effect_text
from segbench.config.experiment import Axis, Claim, Experiment
from segbench.config.pairing import Pairing
from segbench.errors import ExperimentError, message
from segbench.report.phrases import listed
from segbench.stats.pairs import Contrast
from segbench.stats.questions import claim_contrast

_OPTION = "--contrast"
_FORM = "AXIS: A - B, or AXIS: A - B at OTHER = LEVEL"
_MINUS = ("-", "−")


def read_contrasts(texts: Sequence[str], experiment: Experiment) -> tuple[Contrast, ...]:
    """Return the contrasts that are asked for, on the outcome, each once.

    Labels may hold spaces and minus signs: the longest known label counts.

    Raises:
        ExperimentError: A text is no contrast of this design. Holds all problems found.
    """
    problems, found = [], []
    for text in texts:
        try:
            found.append(_read(text.strip(), experiment))
        except ExperimentError as error:
            problems += error.problems
    if problems:
        raise ExperimentError(problems)
    return tuple({contrast.key: contrast for contrast in found}.values())


def as_options(texts: Sequence[str]) -> str:
    """Return the options as they are typed, each after a space."""
    return "".join(f" {_OPTION} {shlex.quote(text)}" for text in texts)


def _read(text: str, experiment: Experiment) -> Contrast:
    if not experiment.axes or experiment.search is not None:
        raise _problem("this experiment has no axes whose levels could be set against each other", text)
    axis, rest = _axis(text, experiment)
    level, rest = _label(rest, axis, text)
    sign = next((sign for sign in _MINUS if rest.startswith(sign)), None)
    if sign is None:
        raise _problem(f"a contrast is written {_FORM}", text)
    baseline, rest = _label(rest[len(sign) :].strip(), axis, text)
    if level == baseline:
        raise _problem("a contrast compares two levels", text)
    at = _at(rest, axis, text, experiment)
    claim = Claim(
        source=text, axis=axis.name, left=level, op=">", right=baseline, at=at, metric=experiment.outcome
    )
    contrast = claim_contrast(claim, experiment)
    _check_pairs(contrast, text, experiment)
    return contrast


def _axis(text: str, experiment: Experiment) -> tuple[Axis, str]:
    for axis in sorted(experiment.axes, key=lambda axis: len(axis.name), reverse=True):
        if text.startswith(axis.name) and text[len(axis.name) :].lstrip().startswith(":"):
            return axis, text[len(axis.name) :].lstrip()[1:].strip()
    name, colon, _ = text.partition(":")
    if not colon:
        raise _problem(f"a contrast is written {_FORM}", text)
    raise _problem("there is no such axis", name.strip(), known=[axis.name for axis in experiment.axes])


def _label(text: str, axis: Axis, whole: str) -> tuple[str, str]:
    """Return the label that a text begins with, and what stands behind it."""
    for label in sorted(axis.labels, key=len, reverse=True):
        rest = text.removeprefix(label)
        if text.startswith(label) and (not rest or rest[0] in " ," or rest[0] in _MINUS):
            return label, rest.strip()
    found = re.split(r"\s[-−]\s|\sat\s|,", f"{text} ", maxsplit=1)[0].strip()
    if not found:
        raise _problem(f"a contrast is written {_FORM}", whole)
    raise _problem(f"{axis.name} has no level of this label", found, known=axis.labels)


def _at(text: str, about: Axis, whole: str, experiment: Experiment) -> dict[str, str]:
    if not text:
        return {}
    if not text.startswith("at "):
        raise _problem(f"a contrast is written {_FORM}", whole)
    found: dict[str, str] = {}
    rest = text.removeprefix("at ").strip()
    while True:
        axis, rest = _held(rest, whole, experiment)
        if axis.name in Pairing.of(experiment).group(about.name):
            raise _problem("the contrast is about this axis already", axis.name)
        found[axis.name], rest = _label(rest, axis, whole)
        if not rest:
            return found
        if not rest.startswith(","):
            raise _problem(f"a contrast is written {_FORM}", whole)
        rest = rest[1:].strip()


def _held(text: str, whole: str, experiment: Experiment) -> tuple[Axis, str]:
    for axis in sorted(experiment.axes, key=lambda axis: len(axis.name), reverse=True):
        rest = text[len(axis.name) :].lstrip()
        if text.startswith(axis.name) and rest.startswith("="):
            return axis, rest[1:].strip()
    name, equals, _ = text.partition("=")
    if not equals:
        raise _problem(f"a contrast is written {_FORM}", whole)
    raise _problem("there is no such axis", name.strip(), known=[axis.name for axis in experiment.axes])


def _check_pairs(contrast: Contrast, text: str, experiment: Experiment) -> None:
    pairing, at = Pairing.of(experiment), dict(contrast.at)
    if not pairing.pairs(experiment.cells, contrast.axis, contrast.level, contrast.baseline, at):
        where = f" at {contrast.at_text}" if at else ""
        levels = f"{contrast.level} and {contrast.baseline}"
        raise _problem(f"no two cells of the design differ between {levels}{where} alone", text)
    mixed = [other for name in at for other in experiment.design.confounders((contrast.axis, name))]
    if mixed:
        what = effect_text((contrast.axis, *at))
        others = listed([effect_text(other) for other in mixed])
        raise _problem(f"in this fraction {what} cannot be told from {others}", text)


def _problem(rule: str, got: str, known: Sequence[str] = ()) -> ExperimentError:
    return ExperimentError(message(_OPTION, rule, got=got, known=known))
