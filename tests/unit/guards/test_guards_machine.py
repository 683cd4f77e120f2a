"""bf16 on a machine that has none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from segbench.guards import design
from segbench.guards.design import computes_in_bf16, processor_has_bf16
from segbench.plan.plan import Plan

TWO = "axes: {precision: [fp32, bf16]}\n"


@pytest.mark.parametrize(
    ("line", "has"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 amx_tile", True),
        ("flags\t\t: fpu sse avx2", False),
        ("Features\t: fp asimd bf16 i8mm", True),
        ("Features\t: fp asimd", False),
        ("model name\t: bf16", None),
    ],
)
def test_flags_of_processors(line: str, has: bool | None, tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\n{line}\n\n")
    assert processor_has_bf16(file) is has


def test_a_system_without_such_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(design.platform, "system", lambda: "Windows")
    assert processor_has_bf16(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("has", "gpus", "is_said"),
    [(False, [], True), (True, [], False), (None, [], False), (False, ["0"], False)],
)
def test_bf16_that_is_only_emulated(
    make_plan: Callable[..., Plan],
    monkeypatch: pytest.MonkeyPatch,
    has: bool | None,
    gpus: list[str],
    is_said: bool,
) -> None:
    monkeypatch.setattr(design, "processor_has_bf16", lambda: has)
    monkeypatch.setattr(design.devices, "visible_gpus", lambda: gpus)
    found = [finding.text for finding in computes_in_bf16(make_plan(TWO))]
    assert found == (
        [
            "exp: precision: this processor has no bf16 and only emulates it, slower than fp32, got 'bf16'. "
            "Use `precision: fp32` here, or run on a GPU; both decide the trials' numbers."
        ]
        if is_said
        else []
    )


def test_fp32_says_nothing(make_plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(design, "processor_has_bf16", lambda: False)
    assert computes_in_bf16(make_plan()) == []
