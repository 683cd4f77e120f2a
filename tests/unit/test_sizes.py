"""Sizes that a network takes are known without building it."""

from __future__ import annotations

from pathlib import Path

import pytest
from messages import said

from segbench.errors import ExperimentError
from segbench.signature import Variant, read_source
from segbench.sizes import declared_multiple, size_multiple, size_problem


def declaring(tmp_path: Path, multiple: str) -> Variant:
    file = tmp_path / "net.py"
    file.write_text(
        f"@variant(size_multiple={multiple!r})\ndef net(a, b, c, *, depth=3, blocks=[1, 2]): pass\n"
    )
    return read_source("model", file, origin="project")


@pytest.mark.parametrize(
    ("multiple", "knobs", "expected"),
    [
        ("2 ** depth", {}, 8),
        ("2 ** depth", {"depth": 5}, 32),
        ("2 * len(blocks)", {}, 4),
        ("max(4, depth)", {}, 4),
        ("32", {}, 32),
    ],
)
def test_an_expression_of_knobs(tmp_path: Path, multiple: str, knobs: dict[str, int], expected: int) -> None:
    assert declared_multiple(declaring(tmp_path, multiple), knobs) == expected


def test_nothing_declared(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text("@variant\ndef net(a, b, c): pass\n")
    assert declared_multiple(read_source("model", file, origin="project"), {}) is None


def test_an_expression_that_fails(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError) as error:
        declared_multiple(declaring(tmp_path, "2 ** dept"), {})
    assert said(error.value) == (
        f"{tmp_path}/net.py:2: size_multiple cannot be evaluated (name 'dept' is not defined), "
        "got '2 ** dept'. "
        "Did you mean 'depth'? Write an expression of the knobs, such as '2 ** depth'."
    )


@pytest.mark.parametrize("multiple", ["depth / 2", "depth - 3", "depth > 2"])
def test_an_expression_that_gives_no_count(tmp_path: Path, multiple: str) -> None:
    with pytest.raises(ExperimentError, match="size_multiple must be a whole number from 1, got "):
        declared_multiple(declaring(tmp_path, multiple), {})


def test_by_name() -> None:
    assert size_multiple("unet", {"depth": 3}) == 8


@pytest.mark.parametrize("size", [16, 32, 256])
def test_sizes_that_fit(size: int) -> None:
    assert size_problem("here", size, 16) is None


@pytest.mark.parametrize(
    ("size", "nearest"),
    [(100, "96 and 112"), (17, "16 and 32"), (7, "16 and 32"), (0, "16 and 32"), (-4, "16 and 32")],
)
def test_sizes_that_do_not(size: int, nearest: str) -> None:
    assert size_problem("a.yaml:3:4", size, 16, "unet") == (
        f"a.yaml:3:4: unet takes sizes that are multiples of 16, got {size}. "
        f"The nearest are {nearest} (SB109)."
    )
