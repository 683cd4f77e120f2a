"""Serves optuna-dashboard over a storage, with the pictures in the trials' folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from segbench.dashboard.address import StorageAddress
from segbench.dashboard.pictures import TrialPictures
from segbench.dashboard.storage import close_storage, open_storage


def serve(
    address: StorageAddress,
    results: Path,
    *,
    host: str,
    port: int,
    on_open: Callable[[], None] = lambda: None,
) -> None:
    """Serve until interrupted.

    Args:
        address: The storage.
        results: Where the trials' folders are.
        host: Address to listen at.
        port: A free one.
        on_open: Called when the storage has answered.

    Raises:
        ResultsError: The storage cannot be used.
    """
    from optuna_dashboard import run_server  # type: ignore[import-untyped]

    storage = open_storage(address, is_often_idle=True)
    try:
        on_open()
        run_server(storage, host=host, port=port, artifact_store=TrialPictures(results))
    finally:
        close_storage(storage)
