"""A copy of a finished project, to be damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

from chaos.harness import Project


def copy_of(project: Project, root: Path) -> Project:
    """Return the same project elsewhere, sharing the decoded images and the memories."""
    shutil.copytree(project.root, root)
    return Project(root, project.data, project.text)
