from __future__ import annotations

from pathlib import Path

import pytest

from segbench.config import document
from segbench.config.document import Node, Place, Problems, dump, parse, read_document
from segbench.errors import ExperimentError


def read(text: str) -> Node:
    problems = Problems()
    node = parse(text, "f.yaml", problems)
    problems.raise_any()
    return node


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((word, word) for word in ("on", "off", "yes", "no", "y", "On", "OFF", "Yes", "NO")),
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, False) for word in ("false", "False", "FALSE")),
        *((word, None) for word in ("~", "null", "Null", "NULL", "")),
        ("1e-4", 1e-4),
        ("1E4", 1e4),
        ("-1.5e+3", -1500.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("+7", 7),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        (".inf", float("inf")),
        ("-.INF", float("-inf")),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("0b11", "0b11"),
        ("'true'", "true"),
        ('"1e-4"', "1e-4"),
        ("!!str 1", "1"),
        ("!!float 1", 1.0),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    found = read(f"key: {text}")["key"].value
    assert (found, type(found)) == (value, type(value))


def test_not_a_number_is_a_float() -> None:
    assert read("key: .nan")["key"].value != read("key: .nan")["key"].value


def test_scalars_keep_their_source_text_and_place() -> None:
    node = read("a:\n  - 1e-4\n  - 'b c'\n")["a"]
    assert [(each.text, str(each.place)) for each in node.elements()] == [
        ("1e-4", "f.yaml:2:5"),
        ("b c", "f.yaml:3:5"),
    ]


def test_keys_are_text_and_know_their_place() -> None:
    node = read("a: {1e-3: x, on: y}")["a"]
    assert node.plain() == {"1e-3": "x", "on": "y"}
    assert str(node.key_place("on")) == "f.yaml:1:14"


def test_anchors_and_merge_keys() -> None:
    node = read("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [{z: 4}, *a]}\nd: *a")
    assert node.plain() == {
        "a": {"x": 1, "y": 2},
        "b": {"y": 3, "x": 1},
        "c": {"z": 4, "x": 1, "y": 2},
        "d": {"x": 1, "y": 2},
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml:3:1: this key stands already in line 1, got 'a'."),
        (
            "a:\n\tb: 1",
            "f.yaml:2:1: not valid YAML: found character '\\t' that cannot start any token. "
            "Indent with spaces.",
        ),
        ("a: [1, 2", "f.yaml:1:9: not valid YAML: expected ',' or ']', but got '<stream end>'."),
        ("a: b: c", "f.yaml:1:5: not valid YAML: mapping values are not allowed here."),
        ("a: 1\n---\nb: 2", "f.yaml:2:1: not valid YAML: but found another document."),
        ("a: \x07", "f.yaml: not valid YAML: special characters are not allowed."),
        ("a: *b", "f.yaml:1:4: not valid YAML: found undefined alias 'b'."),
        ("a: &x [*x]", "f.yaml:1:4: an alias must not stand inside its own anchor."),
        (
            "a: !!python/object:os.system x",
            "f.yaml:1:4: tags are not used in experiments, got 'tag:yaml.org,2002:python/object:os.system'.",
        ),
        ("a: !!int x", "f.yaml:1:4: this is no int, got 'x'."),
        ("<<: 3", "f.yaml:1:5: `<<` takes a mapping or a list of mappings, got 3."),
        ("{[1]: 2}", "f.yaml:1:2: a key must be text."),
    ],
)
def test_what_is_no_experiment_document(text: str, problem: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        read(text)
    assert caught.value.problems == (problem,)


def test_aliases_do_not_unfold_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MOST_NODES", 1000)
    text = "a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\n"
    text += "\n".join(f"{b}: &{b} [{', '.join(f'*{a}' for _ in range(9))}]" for a, b in ("ab", "bc", "cd"))
    with pytest.raises(ExperimentError, match="aliases unfold to more than 1000 values"):
        read(text)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "{file}:1:1: the file is empty. `segbench init` writes an experiment."),
        (b"# nothing", "{file}:1:1: the file is empty. `segbench init` writes an experiment."),
        (b"- 1", "{file}:1:1: the file must be a mapping of keys such as `question:`, got [1]."),
        (b"a: \xff", "{file}: the file is not UTF-8 text (byte 3)."),
        (None, "{file}: the file cannot be read: No such file or directory."),
    ],
)
def test_what_is_no_file_of_an_experiment(tmp_path: Path, content: bytes | None, problem: str) -> None:
    file = tmp_path / "a b.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ExperimentError) as caught:
        read_document(file)
    assert caught.value.problems == (problem.format(file=file),)


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    file = tmp_path / "bom.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1")
    assert read_document(file).plain() == {"a": 1}


def test_what_is_dumped_is_read_back() -> None:
    values = {
        "texts": ["on", "off", "yes", "1e-4", "010", "0o10", "", "~", "null", "a: b", "true", "ü", "1_000"],
        "numbers": [1e-5, 0.0001, 1e22, 10, -3, True, None],
        "1e-3": {"on": "off"},
    }
    assert read(dump(values)).plain() == values


def test_plain_values_wrap_into_nodes_and_back() -> None:
    value = {"a": [1, {"b": None}], "c": "text"}
    node = Node.of(value, Place("here"))
    assert node.plain() == value
    assert str(node["a"].elements()[1]["b"].place) == "here"
