"""masks.npz goes round and says when it is damaged."""

from __future__ import annotations

import numpy as np
import pytest

from segbench.errors import ResultsError
from segbench.store.masks import read_masks, write_masks


def test_masks_go_round_at_one_bit_a_pixel(tmp_path) -> None:
    path = tmp_path / "masks.npz"
    masks = np.random.default_rng(0).random((5, 33, 31)) > 0.5  # 1,023 pixels: no whole number of bytes
    names = ("a", "b c", "ü", 'd"', "e/f")
    write_masks(path, masks, names)
    found_names, found = read_masks(path)
    assert found_names == names
    assert found.dtype == bool
    assert np.array_equal(found, masks)
    assert path.stat().st_size < 5 * 128 + 1200
    assert [p.name for p in tmp_path.iterdir()] == ["masks.npz"]


def test_no_masks_at_all(tmp_path) -> None:
    write_masks(tmp_path / "masks.npz", np.zeros((0, 8, 8), bool), ())
    names, masks = read_masks(tmp_path / "masks.npz")
    assert (names, masks.shape) == ((), (0, 8, 8))


def test_a_wrong_shape_is_refused(tmp_path) -> None:
    with pytest.raises(
        ValueError, match=r"masks must be \(I,H,W\) bool with I names, got uint8 \(2, 4, 4\), 2"
    ):
        write_masks(tmp_path / "masks.npz", np.zeros((2, 4, 4), np.uint8), ("a", "b"))


def test_missing_and_damaged_files_are_named(tmp_path) -> None:
    path = tmp_path / "masks.npz"
    with pytest.raises(
        ResultsError, match=r"masks.npz: there are no predicted masks here. `segbench evaluate"
    ):
        read_masks(path)
    write_masks(path, np.ones((2, 64, 64), bool), ("a", "b"))
    whole = path.read_bytes()
    for content in (b"", b"rubbish", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(ResultsError, match=r"masks.npz: the predicted masks are damaged"):
            read_masks(path)
    np.savez(path, names=np.array(["a"]))
    with pytest.raises(ResultsError, match=r"the predicted masks are damaged \(.*shape"):
        read_masks(path)
