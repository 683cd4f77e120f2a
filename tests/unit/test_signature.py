"""What a variant's source declares, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from messages import said

from segbench.errors import ExperimentError
from segbench.signature import REQUIRED, Variant, find_preset, find_variant, read_source


def read(tmp_path: Path, text: str, **kwargs: str) -> Variant:
    file = tmp_path / "thing.py"
    file.write_text(text)
    return read_source("norm", file, origin="project", **kwargs)


def error_of(tmp_path: Path, text: str, **kwargs: str) -> str:
    with pytest.raises(ExperimentError) as error:
        read(tmp_path, text, **kwargs)
    return said(error.value).replace(str(tmp_path), "<folder>")


def test_a_bare_function(tmp_path: Path) -> None:
    variant = read(tmp_path, "@variant\ndef thing(channels):\n    pass\n")
    assert (variant.axis, variant.name, variant.callable, variant.line) == ("norm", "thing", "thing", 2)
    assert (variant.runtime, variant.knobs, variant.summary) == (("channels",), {}, "")
    assert variant.size_multiple is None


def test_knobs(tmp_path: Path) -> None:
    variant = read(
        tmp_path,
        "@axis.variant\n"
        "def thing(a, /, b, *, c, d: int, e: Literal['x', 'y'] = 'x', f: list[int] = [1, -2],\n"
        "          g: float | None = None):\n"
        "    '''First line\n"
        "    and second.\n\n"
        "    More.\n\n"
        "    Args:\n"
        "        b: Not a knob.\n"
        "        d: A count: of\n"
        "            things.\n"
        "        e: A letter.\n\n"
        "    Returns:\n"
        "        f: Not this.\n"
        "    '''\n",
    )
    assert variant.runtime == ("a", "b")
    assert variant.summary == "First line and second."
    assert [(k.name, k.annotation, k.default, k.help) for k in variant.knobs.values()] == [
        ("c", "Any", REQUIRED, ""),
        ("d", "int", REQUIRED, "A count: of things."),
        ("e", "Literal['x', 'y']", "x", "A letter."),
        ("f", "list[int]", [1, -2], ""),
        ("g", "float | None", None, ""),
    ]
    assert [k.is_required for k in variant.knobs.values()] == [True, True, False, False, False]


def test_a_class(tmp_path: Path) -> None:
    variant = read(
        tmp_path, "@variant\nclass Thing:\n    '''A class.'''\n    def __init__(self, n, *, k=2): pass\n"
    )
    assert (variant.callable, variant.runtime, variant.knobs["k"].default) == ("Thing", ("n",), 2)


def test_declarations_of_the_decorator(tmp_path: Path) -> None:
    variant = read(
        tmp_path,
        "@variant(absent={'eps': 1e-5}, size_multiple='2 ** depth')\n"
        "def thing(n, *, eps=1e-4, depth=3): pass\n",
    )
    assert variant.knobs["eps"].absent == 1e-5
    assert variant.knobs["depth"].absent == REQUIRED
    assert variant.size_multiple == "2 ** depth"
    assert read(tmp_path, "@variant(size_multiple=32)\ndef thing(n): pass\n").size_multiple == "32"


def test_a_named_callable_needs_no_decorator_and_keeps_its_own(tmp_path: Path) -> None:
    text = "def other(n): pass\n\n@variant(absent={'eps': 1.0})\ndef thing(n, *, eps=2.0): pass\n"
    assert read(tmp_path, text, callable_name="other").callable == "other"
    assert read(tmp_path, text, callable_name="thing").knobs["eps"].absent == 1.0


def test_a_file_without_a_variant(tmp_path: Path) -> None:
    assert error_of(tmp_path, "def thing(n): pass\n") == (
        "<folder>/thing.py: no function or class is decorated with @variant. "
        "Put @variant of segbench.axes.norm on one."
    )
    assert find_variant("norm", tmp_path / "thing.py", origin="project") is None


def test_a_callable_that_is_not_there(tmp_path: Path) -> None:
    assert error_of(tmp_path, "def thing(n): pass\n", callable_name="thong") == (
        "<folder>/thing.py: there is no thong. Name the module that defines it."
    )


def test_a_syntax_error(tmp_path: Path) -> None:
    assert error_of(tmp_path, "\n@variant\ndef thing(n) pass\n") == (
        "<folder>/thing.py:3: the file is not valid Python: expected ':'."
    )


def test_null_bytes(tmp_path: Path) -> None:
    assert "the file is not valid Python: " in error_of(tmp_path, "x = 1\0\n")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        ExperimentError, match=r"gone\.py: the file cannot be read: No such file or directory\."
    ):
        read_source("norm", tmp_path / "gone.py", origin="project")


def test_two_variants_in_a_file(tmp_path: Path) -> None:
    text = "@variant\ndef one(n): pass\n\n@variant\ndef two(n): pass\n"
    expected = "<folder>/thing.py:5: a file holds one variant, but this is the second, got 'two'."
    assert error_of(tmp_path, text) == expected


def test_a_default_that_is_no_literal(tmp_path: Path) -> None:
    assert error_of(tmp_path, "@variant\ndef thing(n, *,\n    eps=10 * EPS): pass\n") == (
        "<folder>/thing.py:3: the default of knob eps must be a literal, got '10 * EPS'."
    )


def test_declarations_that_are_wrong(tmp_path: Path) -> None:
    assert error_of(tmp_path, "@variant(absent={'esp': 1})\ndef thing(n, *, eps=1): pass\n") == (
        "<folder>/thing.py:2: absent= names no knob, got 'esp'. Did you mean 'eps'?"
    )
    assert error_of(tmp_path, "@variant(absent=NOTHING)\ndef thing(n): pass\n") == (
        "<folder>/thing.py:1: absent= of @variant must be a literal, got 'NOTHING'."
    )
    assert error_of(tmp_path, "@variant(size_multiple=[2])\ndef thing(n): pass\n") == (
        "<folder>/thing.py:1: size_multiple= of @variant has the wrong type, got [2]."
    )


def test_paragraphs_and_reference(tmp_path: Path) -> None:
    variant = read(
        tmp_path,
        "@variant\ndef thing(channels):\n"
        "    '''Do it.\n\n    y = f(x), over\n    two lines.\n\n    Shapes: (N) to (M).\n\n"
        "    Args:\n        channels: C.\n\n"
        "    Reference:\n        A & B, 2020,\n        arXiv:1.\n    '''\n",
    )
    assert variant.paragraphs == ["y = f(x), over two lines.", "Shapes: (N) to (M)."]
    assert variant.reference == "A & B, 2020, arXiv:1."


def test_a_reference_on_the_line_of_its_title(tmp_path: Path) -> None:
    variant = read(
        tmp_path, "@variant\ndef thing(c):\n    '''Do it.\n\n    Reference: A,\n    2020.\n    '''\n"
    )
    assert (variant.paragraphs, variant.reference) == ([], "A, 2020.")


def test_no_reference(tmp_path: Path) -> None:
    assert read(tmp_path, "@variant\ndef thing(c):\n    '''Do it.'''\n").reference == ""


def test_a_preset(tmp_path: Path) -> None:
    file = tmp_path / "narrow.py"
    file.write_text("'''Narrow.\n\nMore.'''\n\nPRESET = {'thing': {'width': 2, 'steps': [{'a': None}]}}\n")
    preset = find_preset(file)
    assert preset is not None
    assert (preset.file, preset.line, preset.base, preset.doc) == (file, 5, "thing", "Narrow.\n\nMore.")
    assert preset.knobs == {"width": 2, "steps": [{"a": None}]}
    file.write_text("PRESET: dict = {'thing': {}}\n")
    preset = find_preset(file)
    assert preset is not None
    assert (preset.base, preset.knobs, preset.doc) == ("thing", {}, "")


def test_a_preset_over_its_base(tmp_path: Path) -> None:
    base = read(
        tmp_path,
        "@variant(absent={'b': 2}, size_multiple='2 ** a', flawed='it lies')\n"
        "def thing(n, *, a=1, b=2):\n"
        "    '''Do it.\n\n    Args:\n        a: A number.\n    '''\n",
    )
    file = tmp_path / "other.py"
    file.write_text("'Do it otherwise.'\n\nPRESET = {'thing': {'b': 3}}\n")
    preset = find_preset(file)
    assert preset is not None
    found = preset.over(base)
    assert (found.name, found.preset_of, found.callable, found.summary) == (
        "other",
        "thing",
        "thing",
        "Do it otherwise.",
    )
    assert (found.size_multiple, found.flawed, found.runtime) == ("2 ** a", "it lies", ("n",))
    assert [(k.name, k.default, k.absent, k.help) for k in found.knobs.values()] == [
        ("a", 1, REQUIRED, "A number."),
        ("b", 3, 2, ""),
    ]


def test_a_preset_of_an_unknown_knob(tmp_path: Path) -> None:
    base = read(tmp_path, "@variant\ndef thing(n, *, width=1): pass\n")
    file = tmp_path / "other.py"
    file.write_text("PRESET = {'thing': {'widht': 3}}\n")
    preset = find_preset(file)
    assert preset is not None
    with pytest.raises(ExperimentError) as error:
        preset.over(base)
    assert said(error.value) == (
        f"{file}:1: the norm thing has no such knob, got 'widht'. Did you mean 'width'?"
    )


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("PRESET = WIDE", "PRESET must be a literal, got 'WIDE'"),
        ("PRESET = {'thing': dict(a=1)}", "PRESET must be a literal, got \"{'thing': dict(a=1)}\""),
        ("PRESET: dict", "PRESET must be {variant: {knob: value}}, got None"),
        ("PRESET = {'a': {}, 'b': {}}", "PRESET must be {variant: {knob: value}}, got {'a': {}, 'b': {}}"),
        ("PRESET = {'thing': 3}", "PRESET must be {variant: {knob: value}}, got {'thing': 3}"),
        ("PRESET = {3: {}}", "PRESET must be {variant: {knob: value}}, got {3: {}}"),
        ("PRESET = {'thing': {3: 4}}", "PRESET must be {variant: {knob: value}}, got {'thing': {3: 4}}"),
        ("PRESET = 'thing'", "PRESET must be {variant: {knob: value}}, got 'thing'"),
        ("PRESET = {}", "PRESET must be {variant: {knob: value}}, got {}"),
    ],
)
def test_presets_that_are_wrong(tmp_path: Path, text: str, rule: str) -> None:
    file = tmp_path / "other.py"
    file.write_text(f"\n{text}\n")
    with pytest.raises(ExperimentError) as error:
        find_preset(file)
    assert said(error.value) == f"{file}:2: {rule}."


def test_a_file_without_a_preset(tmp_path: Path) -> None:
    file = tmp_path / "other.py"
    file.write_text("OTHER = {'thing': {}}\nx.PRESET = 3\n")
    assert find_preset(file) is None
