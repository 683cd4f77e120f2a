"""What a check finds, and how a check is declared."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

from segbench import memory
from segbench.config.project import Project

Subject = TypeVar("Subject")

Asks: TypeAlias = Literal["plan", "seeds", "arms", "data", "probes"]
"""What a guard is asked about: a plan, its seeds with their records, its arms with their numbers of images, a
data set's pixels, or what the levels build."""


class Severity(StrEnum):
    """What a finding does to the sweep."""

    ERROR = "error"
    """It is refused."""
    WARNING = "warning"
    """It runs, and the finding is printed; `--strict` refuses it."""
    NOTE = "note"
    """It runs; a reader of the results should know."""


@dataclass(frozen=True)
class Finding:
    """One thing that a check has found."""

    code: str
    """Such as `SB001`; docs and tests call it by that."""
    severity: Severity
    text: str
    """The place, the rule broken and the cure, on one line."""

    @property
    def is_about_storage(self) -> bool:
        """Whether it is about what lies on disk (`SB0..`), not about the study (`SB1..`)."""
        return self.code.startswith("SB0")

    def to_json(self) -> dict[str, str]:
        return {"code": self.code, "severity": str(self.severity), "text": self.text}


def refuses(finding: Finding, *, is_strict: bool) -> bool:
    """Whether a finding forbids the sweep."""
    return finding.severity is Severity.ERROR or (is_strict and finding.severity is Severity.WARNING)


@dataclass(frozen=True)
class Guard(Generic[Subject]):
    """One check: a subject in, a text for each thing found out."""

    code: str
    severity: Severity
    function: Callable[[Subject], Iterable[str]]
    consented: Severity | None = None
    """Severity under `allow_flawed: true`; None: the same."""

    @property
    def rule(self) -> str:
        """What it demands: the first line of its docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0].rstrip(".")

    def __call__(self, subject: Subject) -> list[Finding]:
        severity = self.severity
        if self.consented is not None and subject.experiment.allow_flawed:  # type: ignore[attr-defined]
            severity = self.consented
        return [Finding(self.code, severity, text) for text in self.function(subject)]


_GUARDS: Final[dict[Asks, list[Guard[Any]]]] = {}


def guard(
    code: str, severity: Severity, *, asks: Asks, consented: Severity | None = None
) -> Callable[[Callable[[Subject], Iterable[str]]], Guard[Subject]]:
    """Make a check of a function; its docstring's first line is the rule that it demands.

    Args:
        code: `SB` and a number, as a literal; docs/guards.md has an entry for it.
        severity: What each finding does to the sweep.
        asks: What it is asked about: the type of the function's parameter.
        consented: The severity under `allow_flawed: true`, for mistakes that one may want to measure; the
            subject then has an `experiment`. None: the same.
    """

    def register(function: Callable[[Subject], Iterable[str]]) -> Guard[Subject]:
        made = Guard(code, severity, function, consented)
        _GUARDS.setdefault(asks, []).append(made)
        return made

    return register


def guards(asks: Asks) -> tuple[Guard[Any], ...]:
    """Return the guards that are asked about something, by code, of the modules that are imported."""
    return tuple(sorted(_GUARDS.get(asks, ()), key=lambda each: each.code))


def ask(asks: Asks, subject: Any) -> tuple[Finding, ...]:
    """Put the guards that are asked about something to a subject."""
    return tuple(finding for each in guards(asks) for finding in each(subject))


def sorted_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings with errors first, then warnings, then notes."""
    order = list(Severity)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))


AT_READING: Final = {
    "SB109": "A size is a multiple of what the network takes",
    "SB117": "What selects weights or drives a search is measured on validation images",
}
"""Rules with a code that are checked when the file is read: breaking one refuses the file."""


def codes(*asks: Asks) -> tuple[str, ...]:
    """Return the codes of the guards that are asked about something (nothing given: of all), in order.

    They are read from the declarations in the package's source, which imports no torch.
    """
    files = Path(__file__).parent.glob("*.py")
    declared = (pair for file in files for pair in _declared_in(file))
    return tuple(sorted({code for code, asked in declared if not asks or asked in asks}))


@cache
def _declared_in(file: Path) -> tuple[tuple[str, str], ...]:
    """Return code and `asks` of every `@guard(...)` in a file."""
    calls = (
        decorator
        for statement in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(statement, ast.FunctionDef)
        for decorator in statement.decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "guard"
    )
    return tuple(
        (ast.literal_eval(call.args[0]), ast.literal_eval(keyword.value))
        for call in calls
        for keyword in call.keywords
        if keyword.arg == "asks"
    )


# Findings remembered under `data/.cache/guards/`, so that what has not changed is not looked at again.


FOLDER: Final = "guards"


def remembered(project: Project, subject: Any, look: Callable[[], Iterable[Finding]]) -> tuple[Finding, ...]:
    """Return what `look` finds, from memory where the same subject was looked at by the same code.

    Args:
        project: Its data folder keeps the findings.
        subject: Everything that decides what is found, as plain JSON types: which guards look, configurations
            without seeds, fingerprints of data, digests of users' variants, labels that texts name.
        look: Called where nothing is known.
    """
    known = recall(project, subject)
    if known is None:
        known = tuple(look())
        keep(project, subject, known)
    return known


def recall(project: Project, subject: Any) -> tuple[Finding, ...] | None:
    """Return the findings kept about a subject; None where there are none."""
    entry = memory.recall(_place(project, subject))
    try:
        return None if entry is None else tuple(_finding(found) for found in entry["findings"])
    except (ValueError, KeyError, TypeError):
        return None


def keep(project: Project, subject: Any, findings: Iterable[Finding]) -> None:
    """Keep the findings about a subject; a folder that cannot be written is no problem."""
    memory.keep(_place(project, subject), {"findings": [finding.to_json() for finding in findings]})


def _place(project: Project, subject: Any) -> Path:
    return memory.place(project.data / ".cache" / FOLDER, subject)


def _finding(written: dict[str, str]) -> Finding:
    return Finding(written["code"], Severity(written["severity"]), written["text"])
