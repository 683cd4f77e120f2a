"""A project whose experiment and analysis are made up: commands that begin with records, without any."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

from segbench.store.results import Results

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
import fake_analysis as fake


@pytest.fixture
def made_up_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The experiment `quickstart`, without results."""
    analysis = fake.make_analysis(fake.QUICKSTART, name="quickstart", root=tmp_path)
    empty = Results(pd.DataFrame(), pd.DataFrame(), pd.DataFrame(), pd.DataFrame())
    monkeypatch.setattr("segbench.config.load.load_experiment", lambda *args, **kwargs: analysis.experiment)
    monkeypatch.setattr("segbench.store.results.read_results", lambda folder: empty)
    monkeypatch.setattr("segbench.report.analyse.analyse", lambda *args, **kwargs: analysis)
    monkeypatch.chdir(tmp_path)
    return tmp_path
