"""Findings remembered under `data/.cache/guards/`, so that what has not changed is not looked at again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from segbench.config.project import Project
from segbench.sweep import memory
from segbench.sweep.checks.finding import Finding, Severity

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
    entry = memory.recall(project, FOLDER, subject)
    try:
        return None if entry is None else tuple(_finding(found) for found in entry["findings"])
    except (ValueError, KeyError, TypeError):
        return None


def keep(project: Project, subject: Any, findings: Iterable[Finding]) -> None:
    """Keep the findings about a subject; a folder that cannot be written is no problem."""
    memory.keep(project, FOLDER, subject, {"findings": [finding.to_json() for finding in findings]})


def _finding(written: dict[str, str]) -> Finding:
    return Finding(written["code"], Severity(written["severity"]), written["text"])
