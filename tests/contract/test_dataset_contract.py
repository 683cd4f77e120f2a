from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench import contract, registry

CASES = [(name, check) for name in registry.variants("dataset") for check in contract.checks("dataset")]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with ten pictures in `photos` and `masks`, and the place where the contract looks."""
    draw = np.random.default_rng(0)
    for folder in ("experiments", "photos", "masks"):
        (tmp_path / folder).mkdir()
    for number in range(10):
        Image.fromarray(draw.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(
            tmp_path / f"photos/{number}.jpg"
        )
        Image.fromarray(draw.integers(0, 2, (20, 30), dtype=np.uint8) * 255).save(
            tmp_path / f"masks/{number}.png"
        )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("name", "check"), CASES, ids=lambda v: v if isinstance(v, str) else v.name)
def test_dataset_keeps_the_contract(
    name: str,
    check: contract.Check,
    project: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if name == "oxford_pet":
        monkeypatch.setenv("SEGBENCH_DATA", str(request.getfixturevalue("small_pets")))
    knobs = {"images": "photos", "masks": "masks"} if name == "folder" else {}
    check.function(contract.Subject.of(registry.find("dataset", name), **knobs))
