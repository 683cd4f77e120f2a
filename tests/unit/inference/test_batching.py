"""Pieces of many images in shared batches: order, room, and one batch in flight."""

from __future__ import annotations

import numpy as np

from segbench.errors import DataError
from segbench.inference.framing import frame, run_batches
from segbench.inference.size import Size


class Network:
    """Says of each pixel what its value is; writes down what it was given and when it was waited for."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def __call__(self, pixels: np.ndarray):
        number = sum(line.startswith("begin") for line in self.said)
        self.said.append(f"begin {number}: {'x'.join(map(str, pixels.shape[:3]))}")

        def wait() -> np.ndarray:
            self.said.append(f"wait {number}")
            return pixels[..., 0] / np.float32(255)

        return wait


def image(height: int, width: int, value: int) -> np.ndarray:
    return np.full((height, width, 1), value, np.uint8)


def test_tiles_of_several_images_share_batches_and_images_keep_their_order() -> None:
    network, problem = Network(), DataError("two: no image")
    sizes = {"one": (8, 20), "three": (8, 8), "four": (14, 8)}
    framed = {
        name: frame(image(*size, 10 + n), Size.tile, size_px=8, overlap=0.25)
        for n, (name, size) in enumerate(sizes.items())
    }
    items = [("one", framed["one"]), ("two", problem), ("three", framed["three"]), ("four", framed["four"])]
    found = list(run_batches(items, network, most_pixels=4 * 64))
    assert [key for key, _ in found] == ["one", "two", "three", "four"]
    assert found[1][1] is problem
    for n, name in enumerate(sizes):
        probs = framed[name].finish()
        assert probs.shape == sizes[name]
        np.testing.assert_allclose(probs, (10 + n) / 255, atol=1e-6)
    assert network.said == ["begin 0: 4x8x8", "begin 1: 2x8x8", "wait 0", "wait 1"]


def test_images_of_other_sizes_go_apart_and_count_by_their_pixels() -> None:
    network = Network()
    shapes = [(8, 8), (8, 8), (16, 8), (16, 8), (16, 8), (64, 64)]
    items = [(n, frame(image(*shape, n), Size.whole, size_px=8)) for n, shape in enumerate(shapes)]
    found = list(run_batches(items, network, most_pixels=256))
    assert [key for key, _ in found] == list(range(6))
    begun = [line.split(": ")[1] for line in network.said if line.startswith("begin")]
    assert begun == ["2x8x8", "2x16x8", "1x16x8", "1x64x64"]


def test_an_image_is_handed_over_as_soon_as_it_is_whole() -> None:
    network, taken = Network(), []

    def items():
        for n in range(6):
            taken.append(n)
            yield n, frame(image(8, 8, n), Size.squeeze, size_px=8)

    results = run_batches(items(), network, most_pixels=64)
    assert next(results)[0] == 0
    assert taken == [0, 1, 2]  # one batch is awaited while the next is begun
    assert list(run_batches([], network, most_pixels=64)) == []
