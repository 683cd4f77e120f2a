"""Images to pieces and probabilities back: every pixel returns to where it came from."""

from __future__ import annotations

import numpy as np
import pytest

from segbench.errors import DataError
from segbench.inference.framing import frame, tile_starts, window
from segbench.inference.size import Size

SIDE = 32
SHAPES = [(32, 32), (33, 31), (100, 61), (200, 45), (7, 9), (1, 1), (1, 300), (300, 1), (2, 77)]


def picture(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, channels), np.uint8)


def through(framed, network=lambda piece: piece[..., 0] / np.float32(255)) -> np.ndarray:
    for number in range(framed.num_pieces):
        framed.put(number, network(framed.piece(number)).astype(np.float32))
    return framed.finish()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("overlap", [0, 0.25, 0.5, 0.75])
def test_tiles_of_a_pixelwise_network_give_the_image_back(shape, overlap) -> None:
    image = picture(*shape)
    framed = frame(image, Size.tile, size_px=SIDE, overlap=overlap)
    assert {framed.piece(n).shape for n in range(framed.num_pieces)} == {(SIDE, SIDE, 3)}
    probs = through(framed)
    assert probs.dtype == np.float32
    np.testing.assert_allclose(probs, image[..., 0] / 255, atol=1e-6)
    assert probs.max() <= 1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("multiple", [1, 8])
def test_a_whole_image_comes_back_as_it_went(shape, multiple) -> None:
    image = picture(*shape, channels=1)
    framed = frame(image, Size.whole, size_px=SIDE, multiple=multiple)
    seen = framed.piece(0).shape
    assert seen == (*(max(SIDE, -(-side // multiple) * multiple) for side in shape), 1)
    assert np.array_equal(through(framed), image[..., 0] / np.float32(255))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [Size.squeeze, Size.fit])
def test_the_network_sees_its_training_size_and_the_result_is_native(shape, size) -> None:
    framed = frame(picture(*shape), size, size_px=SIDE)
    assert (framed.num_pieces, framed.piece(0).shape) == (1, (SIDE, SIDE, 3))
    assert through(framed).shape == shape


def test_fit_keeps_the_aspect_ratio_and_squeeze_does_not() -> None:
    image = np.zeros((64, 128, 1), np.uint8)
    image[20:44, 52:76] = 255  # a square of 24
    fit, squeeze = (
        frame(image, size, size_px=SIDE).piece(0)[..., 0] > 127 for size in (Size.fit, Size.squeeze)
    )
    rows, columns = np.nonzero(fit[8:24])  # 16 rows of the image, 8 mirrored ones on either side
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (6, 6)
    rows, columns = np.nonzero(squeeze)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (12, 6)
    probs = through(frame(image, Size.fit, size_px=SIDE))
    assert (probs[26:38, 58:70] == 1).all()
    assert not probs[:14].any()
    assert not probs[:, 84:].any()


def test_what_lies_beyond_an_edge_is_the_mirror_image() -> None:
    image = np.arange(20, dtype=np.uint8).reshape(1, 20, 1)
    row = frame(image, Size.whole, size_px=26).piece(0)[0, :, 0]
    assert row.tolist() == [3, 2, 1, *range(20), 18, 17, 16]
    assert (frame(image[:, :1] + 7, Size.whole, size_px=26).piece(0) == 7).all()


@pytest.mark.parametrize("length", [32, 33, 40, 56, 57, 500, 501])
@pytest.mark.parametrize("overlap_px", [0, 8, 16, 24])
def test_tiles_cover_an_axis_evenly(length, overlap_px) -> None:
    starts = tile_starts(length, SIDE, overlap_px)
    assert (starts[0], starts[-1]) == (0, length - SIDE)
    steps = np.diff(starts)
    assert (steps <= SIDE - overlap_px).all()
    assert steps.size == 0 or np.ptp(steps) <= 1
    assert len(starts) == 1 + -(-(length - SIDE) // (SIDE - overlap_px))  # no fewer would do


def test_windows_of_neighbours_add_up_to_one() -> None:
    weights = window(SIDE, 8)
    assert weights.shape == (SIDE,)
    assert (weights > 0).all()
    np.testing.assert_allclose(weights[-8:] + weights[:8], 1, atol=1e-6)
    assert (weights[8:-8] == 1).all()
    assert (window(SIDE, 0) == 1).all()
    wide = window(SIDE, 24)  # the rise ends in the middle
    assert np.argmax(wide) in (15, 16)
    assert np.array_equal(wide, wide[::-1])
    assert (np.diff(wide[:16]) > 0).all()


def test_the_edge_of_a_tile_hardly_counts_where_another_knows_better() -> None:
    """A network that is wrong along its own border, as zero padding makes it, is overruled inside."""

    def network(piece: np.ndarray) -> np.ndarray:
        probs = np.ones(piece.shape[:2], np.float32)
        probs[[0, -1]] = 0
        probs[:, [0, -1]] = 0
        return probs

    probs = through(frame(picture(80, 104), Size.tile, size_px=SIDE, overlap=0.25), network)
    assert probs[1:-1, 1:-1].min() > 0.98  # one tile's border: sin^2(pi/32) = 0.01 of the weight
    assert not probs[0].any()  # the image's own edge is every tile's


def test_an_image_without_pixels_is_refused() -> None:
    with pytest.raises(DataError, match=r"image: an image has at least one pixel, got \(0, 5, 3\)"):
        frame(np.zeros((0, 5, 3), np.uint8), Size.squeeze, size_px=SIDE)
