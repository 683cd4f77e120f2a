"""A PostgreSQL database of a test's own, commands in processes of their own, and what a study shows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import socket
from typing import Any

import optuna
import pytest

import segbench
from segbench.dashboard.address import find_address
from segbench.dashboard.storage import close_storage, open_storage
from segbench.dashboard.study import STATES
from segbench.records import State
from segbench.store.layout import ExperimentFolder
from segbench.store.trials import read_trial
from segbench.trial.record import read_column

SERVER = "SEGBENCH_TEST_POSTGRES"


@contextmanager
def postgres_database() -> Iterator[str]:
    """Yield the URL of an empty database, or skip where there is no server."""
    server = os.environ.get(SERVER)
    if server is None:
        pytest.skip(f"{SERVER} names no PostgreSQL server; `make test-postgres` starts one")
    import psycopg

    name = f"test_{uuid.uuid4().hex[:12]}"
    address = server.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        try:
            yield f"{server.rpartition('/')[0]}/{name}"
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


def start(project: Path, *arguments: str, storage: str | None = None) -> subprocess.Popen[str]:
    """Start `segbench` in a session of its own, the storage named by the environment."""
    package = str(Path(segbench.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": package, "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        [sys.executable, "-m", "segbench", *arguments],
        cwd=project,
        env=environment if storage is None else {**environment, "SEGBENCH_STORAGE": storage},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], timeout_s: float = 300) -> str:
    """Wait for a command that must succeed and return what it printed."""
    try:
        printed, _ = process.communicate(timeout=timeout_s)
    finally:
        end(process)
    assert process.returncode == 0, printed
    return printed


def end(process: subprocess.Popen[str]) -> None:
    """Kill a command with everything that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def read_study(storage: str | None, project: Path, name: str) -> list[optuna.trial.FrozenTrial]:
    opened = open_storage(find_address(storage, project / "results"))
    try:
        return optuna.load_study(study_name=name, storage=opened).get_trials()
    finally:
        close_storage(opened)


def check_equal(trials: list[optuna.trial.FrozenTrial], folder: ExperimentFolder, metric: str) -> None:
    """Check that a study shows every record, each once, and nothing else."""
    records = {f.hash: read_trial(f) for f in folder.trial_folders()}
    shown = {trial.user_attrs["hash"]: trial for trial in trials}
    assert len(shown) == len(trials)
    assert shown.keys() == records.keys()
    for trial_hash, record in records.items():
        trial = shown[trial_hash]
        assert trial.state is STATES[record.state]
        assert trial.user_attrs["state"] == str(record.state)
        assert trial.intermediate_values == read_column(folder.trial(trial_hash), metric)
        if record.state in (State.COMPLETE, State.PRUNED):
            assert trial.value == record.objective
        asked = record.search.parameters if record.search is not None else record.levels
        assert trial.params == dict(asked)
        assert {k: trial.user_attrs[f"test_{k}"] for k in record.test} == dict(record.test)


@contextmanager
def dashboard(project: Path, storage: str | None) -> Iterator[str]:
    """Serve the dashboard on a free port and yield its address once it answers."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = start(project, "dashboard", "--port", str(port), storage=storage)
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 120
        while True:
            try:
                fetch_json(f"{address}/api/studies")
                break
            except OSError:
                assert process.poll() is None, process.stdout and process.stdout.read()
                assert time.monotonic() < until, "the dashboard does not answer"
                time.sleep(0.2)
        yield address
    finally:
        end(process)


def fetch(address: str) -> tuple[bytes, str]:
    """Return body and content type."""
    with urllib.request.urlopen(address, timeout=60) as response:
        return response.read(), response.headers["Content-Type"]


def fetch_json(address: str) -> Any:
    return json.loads(fetch(address)[0])
