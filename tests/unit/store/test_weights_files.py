"""last.pt and best.pt: safe whenever the process dies, and clear when a file is no good."""

from __future__ import annotations

import errno
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from blobs import blob_data, tiny_config

from segbench.config.trial import Objective
from segbench.engine import Run
from segbench.errors import ResultsError
from segbench.records import TIMING_COLUMNS
from segbench.store.layout import TrialFolder
from segbench.store.weights import read_best, read_last, restore_run, save_run, write_best, write_last

FIRST_IS_BEST = tiny_config(epochs=4, objective=Objective("train_loss", "maximize"))
"""The loss falls, so epoch 1 stays the selected one."""
LAST_IS_BEST = tiny_config(epochs=4, objective=Objective("train_loss", "minimize"))


@pytest.fixture
def folder(tmp_path) -> TrialFolder:
    return TrialFolder(tmp_path)


def start(config) -> Run:
    return Run(config, blob_data(), seed=0, threads=1)


def rows(run: Run) -> list[dict[str, float]]:
    return [{k: v for k, v in r.row().items() if k not in TIMING_COLUMNS} for r in run.history]


class Killed(Exception):
    pass


@pytest.mark.parametrize("config", [FIRST_IS_BEST, LAST_IS_BEST], ids=["first", "last"])
def test_killed_before_any_write_the_resume_is_the_same(folder, config) -> None:
    whole = start(config)
    list(whole)
    for kill_at in range(1, 9):
        for path in (folder.last, folder.best):
            path.unlink(missing_ok=True)
        num_writes = 0

        def count(kill_at=kill_at) -> None:
            nonlocal num_writes
            num_writes += 1
            if num_writes == kill_at:
                raise Killed

        first = start(config)
        try:
            for _ in first:
                save_run(folder, first, before_write=count)
        except Killed:
            pass
        else:
            assert config is FIRST_IS_BEST  # five writes in all
        second = start(config)
        assert restore_run(folder, second) is (kill_at > 1)
        for _ in second:
            save_run(folder, second)
        assert rows(second) == rows(whole)
        assert second.selected_epoch == whole.selected_epoch
        best, expected = read_best(folder, epoch=whole.selected_epoch), whole.weights()
        assert all(torch.equal(best.weights[name], expected[name]) for name in expected)
        assert best.input_spec == whole.input_spec


def test_a_missing_last_is_no_error(folder) -> None:
    assert read_last(folder) is None
    assert restore_run(folder, start(FIRST_IS_BEST)) is False


def test_best_of_another_epoch_is_noticed(folder) -> None:
    run = start(FIRST_IS_BEST)
    epochs = iter(run)
    next(epochs), next(epochs)
    write_last(folder, run.state_dict())
    with pytest.raises(ResultsError, match=r"best.pt: there are no saved weights \(they are not committed"):
        restore_run(folder, start(FIRST_IS_BEST))
    write_best(folder, run.weights(), epoch=2, input_spec=run.input_spec)
    with pytest.raises(
        ResultsError, match=r"weights must be those of the selected epoch 1, got 2. Remove last.pt"
    ):
        restore_run(folder, start(FIRST_IS_BEST))


@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "pickle"])
def test_a_damaged_file_is_named_with_its_cure(folder, damage) -> None:
    run = start(FIRST_IS_BEST)
    next(iter(run))
    save_run(folder, run)
    for path, read, cure in (
        (folder.last, read_last, "Remove last.pt and best.pt and run `segbench sweep` again"),
        (folder.best, read_best, "Copy best.pt from where it was trained"),
    ):
        content = path.read_bytes()
        if damage == "pickle":
            torch.save({"format": 1, "run": Killed}, path)  # a class: weights_only refuses to load it
        else:
            path.write_bytes(
                {"truncated": content[: len(content) // 2], "empty": b"", "garbage": b"x" * 999}[damage]
            )
        with pytest.raises(ResultsError) as caught:
            read(folder)
        assert str(caught.value).startswith(f"{path}: the file is truncated or damaged (")
        assert cure in str(caught.value)


def test_a_state_that_could_not_be_read_back_is_not_written(folder) -> None:
    with pytest.raises(ResultsError) as caught:
        write_last(folder, {"model": {"layers": [torch.zeros(1), {1, 2}]}})
    assert str(caught.value) == (
        "last.pt: model.layers[1]: a saved state holds tensors and plain types only, got 'set'. "
        "Turn it into a tensor, a number or a text in state_dict()."
    )
    assert not folder.last.exists()


def test_weights_of_another_format_are_refused(folder) -> None:
    torch.save({"format": 7, "weights": {}}, folder.best)
    with pytest.raises(ResultsError, match=r"weights must be of format 1, got 7"):
        read_best(folder)
    torch.save([1, 2], folder.best)
    with pytest.raises(ResultsError, match=r"the file must hold a dictionary, got 'list'"):
        read_best(folder)


@pytest.mark.parametrize("fails_after_bytes", [0, 5_000, 60_000, 79_000])
def test_a_full_disk_is_named_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_after_bytes: int
) -> None:
    written = 0
    real_open = Path.open

    class Full(io.FileIO):
        def write(self, content: Any) -> int:
            nonlocal written
            if written + len(memoryview(content).cast("B")) > fails_after_bytes:
                raise OSError(errno.ENOSPC, "No space left on device")
            written += len(memoryview(content).cast("B"))
            return super().write(content)

    def open_full(path: Path, mode: str = "r", *args: Any, **more: Any) -> Any:
        return io.BufferedWriter(Full(path, "w")) if mode == "wb" else real_open(path, mode, *args, **more)

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(ResultsError, match=r"the disk .* is full"):
        write_best(TrialFolder(tmp_path), {"w": torch.zeros(20_000)}, epoch=1, input_spec={"size_px": [8, 8]})
    assert list(tmp_path.iterdir()) == []
