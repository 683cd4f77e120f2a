"""A cluster of one node for the tests in this folder, which start it only where they are asked to."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm.cluster import Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if os.environ.get("SEGBENCH_SLURM") != "1":
        pytest.skip("starts the daemons of a Slurm: `make test-slurm` does")
    folder = Path(tempfile.mkdtemp(prefix="segbench-slurm-"))
    folder.chmod(0o755)
    made = Cluster(folder)
    try:
        made.start()
        yield made
    except BaseException:
        for log in sorted((folder / "log").glob("*")):
            print(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}")
        raise
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)
