"""The folder that holds `experiments/`, `results/`, `reports/`, `data/` and a user's `axes/`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Project:
    """Spells the top-level paths of one project."""

    root: Path

    @property
    def experiments(self) -> Path:
        return self.root / "experiments"

    @property
    def results(self) -> Path:
        return self.root / "results"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def axes(self) -> Path:
        return self.root / "axes"

    @property
    def data(self) -> Path:
        """`$SEGBENCH_DATA`, or `data/` in the project: data sets and their decoded caches."""
        override = os.environ.get("SEGBENCH_DATA")
        return Path(override).expanduser() if override else self.root / "data"

    @classmethod
    def around(cls, start: Path) -> Project:
        """Return the project of a file or folder: the nearest one upwards with `experiments/` or `results/`.

        Without one, `start` itself (or its folder) is the project.
        """
        start = Path(start).resolve()
        folder = start if start.is_dir() else start.parent
        for candidate in (folder, *folder.parents):
            if (candidate / "experiments").is_dir() or (candidate / "results").is_dir():
                return cls(candidate)
        return cls(folder)
