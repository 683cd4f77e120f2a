"""`slurm/jobs.json`: workers that are jobs of Slurm, so that a later sweep finds the living ones again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from segbench.records import RESULTS_FORMAT
from segbench.store.atomic import write_text
from segbench.store.layout import ExperimentFolder


@dataclass
class Job:
    """A worker that is a job."""

    job: str
    """As `squeue` writes it: `12`, or `12_3` of an array."""
    submitted: str
    """UTC, ISO 8601."""
    state: str = "PENDING"
    """Slurm's word, as last seen."""
    reason: str = ""
    """Why it waits, or how it ended, in Slurm's words."""


def read_jobs(folder: ExperimentFolder) -> list[Job]:
    """Return the jobs in the file; none where it is missing or damaged: `squeue` finds them by their name."""
    known = {f.name for f in fields(Job)}
    try:
        content = json.loads(folder.jobs.read_text(encoding="utf-8"))
        return [Job(**{k: v for k, v in job.items() if k in known}) for job in content["jobs"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def write_jobs(folder: ExperimentFolder, jobs: Sequence[Job]) -> None:
    """Replace the file.

    Raises:
        ResultsError: It could not be written.
    """
    folder.slurm.mkdir(parents=True, exist_ok=True)
    content = {"format": RESULTS_FORMAT, "jobs": [asdict(job) for job in jobs]}
    write_text(folder.jobs, json.dumps(content, indent=2) + "\n")
