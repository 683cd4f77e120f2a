"""Artifacts that are files of the trials' own folders: nothing is copied, nothing can be deleted by a click.

optuna-dashboard asks an artifact store for an id. Here the id is made from the experiment's name and the
trial's hash, so that the store finds the file under `results/` by itself, on every host that shares it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final

from optuna.artifacts.exceptions import ArtifactNotFound

from segbench.store.layout import ResultsFolder, TrialFolder

_ID: Final = re.compile(r"([0-9a-f]{8})-([0-9a-f]{12})")


def artifact_id(experiment: str, trial_hash: str) -> str:
    """Return the id of the picture of a trial: hexadecimal digits and a dash, as the dashboard wants it."""
    return f"{_digest(experiment)}-{trial_hash}"


def picture_attribute(folder: TrialFolder) -> tuple[str, str]:
    """Return key and value of the system attribute by which a trial has its picture as an artifact."""
    known = artifact_id(folder.experiment.name, folder.hash)
    meta: Mapping[str, str | None] = {
        "artifact_id": known,
        "filename": folder.panels.name,
        "mimetype": "image/png",
        "encoding": None,
    }
    return f"artifacts:{known}", json.dumps(meta)


class TrialPictures:
    """The pictures of all trials under `results/` as an artifact store that only reads.

    Args:
        results: The folder `results/`.
    """

    def __init__(self, results: Path) -> None:
        self._results = ResultsFolder(results)

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open a trial's picture.

        Raises:
            ArtifactNotFound: There is none under this id.
        """
        parts = _ID.fullmatch(artifact_id)
        for experiment in self._results.experiments() if parts is not None else ():
            assert parts is not None
            if _digest(experiment.name) != parts.group(1):
                continue
            try:
                return experiment.trial(parts.group(2)).panels.open("rb")
            except OSError:
                break
        raise ArtifactNotFound(f"no picture {artifact_id} under {self._results.path}")

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Refuse: pictures are written by trials.

        Raises:
            PermissionError: Always.
        """
        raise PermissionError("the pictures of trials cannot be changed from the dashboard")

    def remove(self, artifact_id: str) -> None:
        """Refuse: a record's files are not the dashboard's.

        Raises:
            ArtifactNotFound: Always; the dashboard then leaves the artifact where it is.
        """
        raise ArtifactNotFound("the pictures of trials cannot be deleted from the dashboard")


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]
