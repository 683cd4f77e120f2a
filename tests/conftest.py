from __future__ import annotations

import os

os.environ["NO_ALBUMENTATIONS_UPDATE"] = (
    "1"  # before albumentations is imported anywhere: it would ask the network
)

import tarfile
import tempfile
from pathlib import Path

import pytest
from requirements import pytest_runtest_makereport as pytest_runtest_makereport


def pytest_configure() -> None:
    """One thread a process: tests run side by side, and sums do not depend on the machine's cores."""
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ.setdefault("SEGBENCH_CACHE", tempfile.mkdtemp(prefix="segbench-remembered-"))
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_foreign_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SEGBENCH_DATA", "SEGBENCH_STORAGE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of reduced photographs, `shared/data` beside the checkout or further up."""
    for folder in Path(__file__).resolve().parents:
        candidate = folder / "shared" / "data"
        if (candidate / "oxford-iiit-pet-small.tar").is_file():
            return candidate
    pytest.skip("no shared/data with oxford-iiit-pet-small.tar beside the checkout or above it")


@pytest.fixture(scope="session")
def small_pets(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with 240 real photographs in `oxford_pet/`."""
    return _unpack(shared_data / "oxford-iiit-pet-small.tar", tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def part_pets(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with 691 real photographs of many sizes in `oxford_pet/`."""
    return _unpack(shared_data / "oxford-iiit-pet-256-part.tar", tmp_path_factory.mktemp("part"))


def _unpack(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "oxford_pet", filter="data")
    return folder
