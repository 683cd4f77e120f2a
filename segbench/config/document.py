"""YAML 1.2 documents whose every value knows its place and its source text.

PyYAML composes the nodes (YAML 1.1 syntax is close enough); the scalars follow the YAML 1.2 core schema
instead of PyYAML's: `on`, `off`, `yes`, `no` are text, `1e-4` is a number, `010` is ten and `0o10` eight.
Keys are always text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NoReturn

import yaml
from yaml.composer import Composer
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from segbench.errors import ABSENT, ExperimentError, message

# Places in files, and the collection of everything wrong with them.


@dataclass(frozen=True, order=True)
class Place:
    """A position in a file; line and column count from 1, line 0 names the file (or option) alone."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Problems:
    """Gathers problems so that a user sees all of them at once, in the order of the file."""

    def __init__(self) -> None:
        self._found: dict[str, Place] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def add(
        self,
        place: Place,
        rule: str,
        *,
        got: object = ABSENT,
        known: Iterable[str] = (),
        see: str | None = None,
    ) -> None:
        """Record one problem in the form of `segbench.errors.message`; the same one twice counts once."""
        self.add_text(place, message(str(place), rule, got=got, known=known, see=see))

    def add_text(self, place: Place, text: str) -> None:
        """Record a message that is written already."""
        self._found.setdefault(text, place)

    def add_error(self, place: Place, error: ExperimentError, *, where: str = "") -> None:
        """Record what another part raised; a text that starts with `where` gets the place instead."""
        for text in error.problems:
            if where and text.startswith(f"{where}: "):
                text = f"{place}: {text.removeprefix(f'{where}: ')}"
            self.add_text(place, text)

    def items(self) -> tuple[tuple[str, Place], ...]:
        """Return every message with its place."""
        return tuple(self._found.items())

    def raise_all(self) -> NoReturn:
        """Raise an ExperimentError with every problem, sorted by place."""
        raise ExperimentError([text for text, _ in sorted(self._found.items(), key=lambda item: item[1])])

    def raise_any(self) -> None:
        """Raise if there is a problem.

        Raises:
            ExperimentError: With every problem, sorted by place.
        """
        if self:
            self.raise_all()


MOST_NODES: Final = 100_000
"""A file whose aliases unfold to more nodes than this is refused."""

_TAG: Final = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Node:
    """A value with its place: a scalar, a list of nodes or a mapping of nodes."""

    place: Place
    value: Any
    """None, bool, int, float or str; a tuple of nodes; or a dict of nodes by key."""
    text: str = ""
    """A scalar as written (`1e-4`), without quotes."""
    key_places: Mapping[str, Place] = field(default_factory=dict)

    @classmethod
    def of(cls, value: Any, place: Place) -> Node:
        """Wrap a plain value; everything in it stands at one place."""
        if isinstance(value, Mapping):
            return cls(
                place,
                {str(k): cls.of(v, place) for k, v in value.items()},
                key_places={str(k): place for k in value},
            )
        if isinstance(value, list | tuple):
            return cls(place, tuple(cls.of(v, place) for v in value))
        return cls(place, value, text=scalar_text(value))

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.value, dict)

    @property
    def is_list(self) -> bool:
        return isinstance(self.value, tuple)

    @property
    def is_scalar(self) -> bool:
        return not isinstance(self.value, dict | tuple)

    def __contains__(self, key: str) -> bool:
        return self.is_mapping and key in self.value

    def __getitem__(self, key: str) -> Node:
        found: Node = self.value[key]
        return found

    def get(self, key: str) -> Node | None:
        return self.value.get(key) if self.is_mapping else None

    def items(self) -> Iterator[tuple[str, Node]]:
        """Iterate over the entries of a mapping."""
        return iter(self.value.items())

    def elements(self) -> tuple[Node, ...]:
        """Return the nodes of a list."""
        found: tuple[Node, ...] = self.value
        return found

    def entries(self, key: str) -> Iterator[tuple[str, Node]]:
        """Iterate over the entries of the mapping under a key; over none if there is no such mapping."""
        inner = self.get(key)
        return inner.items() if inner is not None and inner.is_mapping else iter(())

    def listed(self, key: str) -> tuple[Node, ...]:
        """Return the nodes of the list under a key; none if there is no such list."""
        inner = self.get(key)
        return inner.elements() if inner is not None and inner.is_list else ()

    def each(self) -> tuple[Node, ...]:
        """Return the nodes of a list, or anything else as the only node."""
        return self.elements() if self.is_list else (self,)

    def key_place(self, key: str) -> Place:
        return self.key_places.get(key, self.place)

    def having(self, key: str, value: Node, place: Place | None = None) -> Node:
        """Return this mapping with one entry set."""
        places = {**self.key_places, key: place or value.place}
        return replace(self, value={**self.value, key: value}, key_places=places)

    def without(self, *keys: str) -> Node:
        """Return this mapping less some entries."""
        return replace(self, value={k: v for k, v in self.value.items() if k not in keys})

    def plain(self) -> Any:
        """Return the value without places."""
        if self.is_mapping:
            return {key: node.plain() for key, node in self.value.items()}
        return [node.plain() for node in self.value] if self.is_list else self.value


def scalar_text(value: Any) -> str:
    """Write a scalar as YAML would: `true`, `null`, `0.1`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


def read_document(path: Path, problems: Problems | None = None, *, shown: str | None = None) -> Node:
    """Read a YAML file whose top level is a mapping.

    Args:
        path: The file.
        problems: Takes duplicate keys and tags while reading goes on; None raises them.
        shown: What messages call the file; None: its path.

    Raises:
        ExperimentError: The file cannot be read, or is no YAML.
    """
    shown = shown or str(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ExperimentError(message(shown, f"the file cannot be read: {error.strerror}")) from error
    except UnicodeDecodeError as error:
        raise ExperimentError(message(shown, f"the file is not UTF-8 text (byte {error.start})")) from error
    own = Problems() if problems is None else problems
    node = parse(text, shown, own)
    if node.value is None:
        own.add(Place(shown, 1, 1), "the file is empty", see="`segbench init` writes an experiment")
        own.raise_all()
    if not node.is_mapping:
        own.add(node.place, "the file must be a mapping of keys such as `question:`", got=node.plain())
        own.raise_all()
    if problems is None:
        own.raise_any()
    return node


def parse(text: str, shown: str, problems: Problems, *, is_positioned: bool = True) -> Node:
    """Read YAML text; without positions (a command-line value) every place is `shown` alone.

    Raises:
        ExperimentError: The text is no YAML.
    """
    try:
        loader = _Loader(text)
        composed = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(shown, mark.line + 1, mark.column + 1) if mark and is_positioned else Place(shown)
        see = "Indent with spaces" if "'\\t'" in str(error.problem) else None
        raise ExperimentError(message(str(place), f"not valid YAML: {error.problem}", see=see)) from error
    except yaml.YAMLError as error:
        reason = getattr(error, "reason", None) or str(error).splitlines()[0]
        raise ExperimentError(message(shown, f"not valid YAML: {reason}")) from error
    if composed is None:
        return Node(Place(shown), None)
    return _Converter(shown, problems, is_positioned).node(composed)


def read_assignments(
    option: str, texts: Sequence[str], example: str, problems: Problems
) -> Iterator[tuple[Place, str, Node]]:
    """Yield place, key and value of every `KEY=VALUE` given to an option; what is wrong is recorded.

    Args:
        option: Such as `--set`.
        texts: What was given to it.
        example: An assignment that the option takes.
        problems: Told of texts that are no assignments, or whose values are no YAML.
    """
    for text in texts:
        place = Place(f"{option} {text}")
        key, equals, written = (part.strip() for part in text.partition("="))
        if not equals or not key:
            problems.add(place, f"write {option} KEY=VALUE, such as {option} {example}")
            continue
        try:
            yield place, key, parse(written, str(place), problems, is_positioned=False)
        except ExperimentError as error:
            problems.add_error(place, error)


def dump(document: Mapping[str, Any]) -> str:
    """Write a plain document as YAML that `read_document` reads back to the same values."""
    written: str = yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None
    )
    return written


class _CoreResolver(BaseResolver):
    """Tags plain scalars by the YAML 1.2 core schema."""


for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
    ("merge", r"<<", ["<"]),
):
    _CoreResolver.add_implicit_resolver(_TAG + _name, re.compile(f"^(?:{_pattern})$"), _first)


class _Loader(Reader, Scanner, Parser, Composer, _CoreResolver):
    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        _CoreResolver.__init__(self)


class _Dumper(yaml.SafeDumper):
    """Quotes by the rules of YAML 1.2 and of 1.1 alike: either kind of reader gets the same values."""


_Dumper.yaml_implicit_resolvers = {
    first: [
        *yaml.SafeDumper.yaml_implicit_resolvers.get(first, []),
        *_CoreResolver.yaml_implicit_resolvers.get(first, []),
    ]
    for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *_CoreResolver.yaml_implicit_resolvers}
}
_Dumper.ignore_aliases = lambda self, data: True  # type: ignore[method-assign]


class _Converter:
    """Turns PyYAML's nodes into ours."""

    def __init__(self, shown: str, problems: Problems, is_positioned: bool) -> None:
        self._shown = shown
        self._problems = problems
        self._is_positioned = is_positioned
        self._open: list[yaml.Node] = []
        self._count = 0

    def node(self, node: yaml.Node) -> Node:
        place = self._place(node)
        self._count += 1
        if any(node is parent for parent in self._open):
            raise ExperimentError(message(str(place), "an alias must not stand inside its own anchor"))
        if self._count > MOST_NODES:
            raise ExperimentError(message(str(place), f"aliases unfold to more than {MOST_NODES} values"))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, place)
        self._open.append(node)
        if isinstance(node, yaml.SequenceNode):
            made = Node(place, tuple(self.node(child) for child in node.value))
        else:
            assert isinstance(node, yaml.MappingNode)
            made = self._mapping(node, place)
        self._open.pop()
        return made

    def _place(self, node: yaml.Node) -> Place:
        if not self._is_positioned:
            return Place(self._shown)
        return Place(self._shown, node.start_mark.line + 1, node.start_mark.column + 1)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> Node:
        entries: dict[str, Node] = {}
        places: dict[str, Place] = {}
        merged: list[Node] = []
        for key_node, value_node in node.value:
            key_place = self._place(key_node)
            if key_node.tag == _TAG + "merge":
                merged += self._merge_sources(value_node)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._problems.add(key_place, "a key must be text")
                continue
            key = key_node.value
            if key in entries:
                first = places[key]
                self._problems.add(key_place, f"this key stands already in line {first.line}", got=key)
                continue
            entries[key], places[key] = self.node(value_node), key_place
        for source in merged:  # what is written in the mapping itself wins, then the first source
            for key, value in source.items():
                if key not in entries:
                    entries[key], places[key] = value, source.key_place(key)
        return Node(place, entries, key_places=places)

    def _merge_sources(self, node: yaml.Node) -> Sequence[Node]:
        source = self.node(node)
        found = source.each()
        if all(each.is_mapping for each in found):
            return found
        self._problems.add(source.place, "`<<` takes a mapping or a list of mappings", got=source.plain())
        return ()

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> Node:
        text: str = node.value
        kind = node.tag.removeprefix(_TAG)
        if kind not in _READERS:
            self._problems.add(place, "tags are not used in experiments", got=node.tag)
            return Node(place, text, text=text)
        try:
            value = _READERS[kind](text)
        except ValueError:
            self._problems.add(place, f"this is no {kind}", got=text)
            value = text
        return Node(place, value, text=text or scalar_text(value))


def _integer(text: str) -> int:
    if text.startswith("0o"):
        return int(text[2:], 8)
    return int(text[2:], 16) if text.startswith("0x") else int(text)


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    **dict.fromkeys(("str", "merge", "!"), str),
    "null": lambda text: None,
    "bool": lambda text: text.lower() == "true",
    "int": _integer,
    "float": lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
}
"""Kind of scalar -> what reads its text."""
