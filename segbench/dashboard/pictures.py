"""Pictures of trials as Optuna's artifacts: files of the trials' own folders, neither copied nor deletable.

optuna-dashboard asks an artifact store for an id. Here the id consists of the experiment's name and the
trial's hash, so the store finds the file under `results/` on every host that shares the folder.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import BinaryIO, Final

from optuna.artifacts import upload_artifact
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection

from segbench.store.layout import ResultsFolder, TrialFolder

_ID: Final = re.compile(r"([0-9a-f]{8})-([0-9a-f]{12})")


def artifact_id(experiment: str, trial_hash: str) -> str:
    """Return the id of a trial's picture: hexadecimal digits and a dash, as optuna-dashboard requires."""
    return f"{_digest(experiment)}-{trial_hash}"


def picture_attributes(folder: TrialFolder) -> dict[str, str]:
    """Return the system attributes that make a trial's picture its artifact; empty if the file is gone.

    Optuna draws an id and accepts no other, and it accepts no artifact of a trial that has ended. So the file
    is attached to a trial in memory by Optuna's own function, and its id is replaced in what that wrote.
    """
    memory = InMemoryStorage()
    trial_id = memory.create_new_trial(memory.create_new_study([StudyDirection.MINIMIZE]))
    try:
        drawn = upload_artifact(
            artifact_store=_InPlace(),
            file_path=str(folder.panels),
            study_or_trial=memory.get_trial(trial_id),
            storage=memory,
        )
    except OSError:
        return {}
    known = artifact_id(folder.experiment.name, folder.hash)
    written = memory.get_trial_system_attrs(trial_id)
    return {key.replace(drawn, known): value.replace(drawn, known) for key, value in written.items()}


class TrialPictures:
    """The pictures of all trials under `results/`, as an artifact store that can only be read.

    Args:
        results: The folder `results/`.
    """

    def __init__(self, results: Path) -> None:
        self._results = ResultsFolder(results)

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open a trial's picture.

        Raises:
            ArtifactNotFound: No picture has this id.
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
        """Refuse: trials write their pictures.

        Raises:
            PermissionError: Always.
        """
        raise PermissionError("the pictures of trials cannot be changed from the dashboard")

    def remove(self, artifact_id: str) -> None:
        """Refuse: the files of a record do not belong to the dashboard.

        Raises:
            ArtifactNotFound: Always; the dashboard then leaves the artifact as it is.
        """
        raise ArtifactNotFound("the pictures of trials cannot be deleted from the dashboard")


class _InPlace(TrialPictures):
    """Leaves a picture where it is."""

    def __init__(self) -> None:
        pass

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        pass


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]
