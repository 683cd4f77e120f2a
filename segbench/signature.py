"""What a variant's source text says about it, read with `ast`: nothing is imported."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from segbench.errors import ExperimentError, message

REQUIRED: Final = "<required>"
"""Stands as `Knob.default` where the knob has none."""

_SECTIONS: Final = ("Args", "Returns", "Yields", "Raises", "Reference", "References")

NO_VARIANT: Final = "no function or class is decorated with @variant"


@dataclass(frozen=True, kw_only=True)
class Knob:
    """One keyword-only parameter of a variant."""

    name: str
    annotation: str
    """Source text of the type, such as `int` or `Literal["transposed", "bilinear"]`."""
    default: Any = REQUIRED
    help: str = ""
    absent: Any = REQUIRED
    """The value that is left out of the identity; REQUIRED: none."""
    is_place: bool = False
    """Whether it says where files are: recorded, but no part of the identity, which knows their contents."""

    @property
    def is_required(self) -> bool:
        return self.default is REQUIRED


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A named implementation on an axis."""

    axis: str
    name: str
    file: Path
    line: int
    callable: str
    """Name of the function or class in the file."""
    summary: str
    """First sentence of the docstring."""
    doc: str
    runtime: tuple[str, ...]
    """Names of the positional parameters."""
    knobs: Mapping[str, Knob] = field(default_factory=dict)
    size_multiple: str | None = None
    """For a model: what H and W must be a multiple of, as an expression of knobs; None: not declared."""
    origin: str = "built-in"
    """`built-in`, `project` or `import`."""
    digest: str | None = None
    """SHA-256 of the source, for users' variants; it becomes part of the identity."""
    flawed: str | None = None
    """The mistake that it makes on purpose, in one sentence; such a variant runs only with consent."""
    preset_of: str | None = None
    """The variant that this name stands for, with other defaults; None: it is a variant itself."""

    @property
    def paragraphs(self) -> list[str]:
        """Paragraphs of the docstring between its first sentence and its first section, a line each."""
        found = []
        for paragraph in self.doc.split("\n\n")[1:]:
            if paragraph.split(":")[0] in _SECTIONS:
                break
            found.append(" ".join(paragraph.split()))
        return found

    @property
    def reference(self) -> str:
        """Text of the docstring's section `Reference:`; empty where there is none."""
        return " ".join(" ".join(_section(self.doc, "Reference")).split())


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A name for a variant with chosen knobs: a file of an axis's folder that assigns `PRESET`."""

    file: Path
    line: int
    base: str
    """The variant that it stands for."""
    knobs: Mapping[str, Any]
    doc: str
    """Docstring of the file."""

    def over(self, base: Variant) -> Variant:
        """Return the variant that the name stands for: the base, with the chosen knobs as defaults.

        Raises:
            ExperimentError: A knob is none of the base's.
        """
        for name in self.knobs:
            if name not in base.knobs:
                where = f"{self.file}:{self.line}"
                rule = f"the {base.axis} {base.name} has no such knob"
                raise ExperimentError(message(where, rule, got=name, known=base.knobs))
        chosen = {name: replace(base.knobs[name], default=value) for name, value in self.knobs.items()}
        return replace(
            base,
            name=self.file.stem,
            file=self.file,
            line=self.line,
            summary=_summary(self.doc),
            doc=self.doc,
            knobs={**base.knobs, **chosen},
            preset_of=base.name,
        )


def read_source(
    axis: str, file: Path, *, origin: str, name: str | None = None, callable_name: str | None = None
) -> Variant:
    """Read the variant in a source file without importing it.

    Args:
        axis: The axis it belongs to.
        file: The Python file.
        origin: `built-in`, `project` or `import`.
        name: The variant's name; None takes the file's stem.
        callable_name: The function or class; None takes the one decorated with `@variant`.

    Raises:
        ExperimentError: The file does not parse, or holds no such callable, or a declaration is no literal.
    """
    found = find_variant(axis, file, origin=origin, name=name, callable_name=callable_name)
    if found is None:
        rule, see = NO_VARIANT, f"Put @variant of segbench.axes.{axis} on one"
        if callable_name:
            rule, see = f"there is no {callable_name}", "Name the module that defines it"
        raise ExperimentError(message(str(file), rule, see=see))
    return found


def find_variant(
    axis: str, file: Path, *, origin: str, name: str | None = None, callable_name: str | None = None
) -> Variant | None:
    """Read the variant in a source file as `read_source` does; None where the file holds none.

    Raises:
        ExperimentError: The file does not parse, or a declaration is no literal.
    """
    source, tree = _parse(file)
    candidates = [
        (node, mark)
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        for mark in [_variant_mark(node)]
        if (mark is not None if callable_name is None else node.name == callable_name)
    ]
    if not candidates:
        return None
    if len(candidates) > 1:
        second = candidates[1][0]
        rule = "a file holds one variant, but this is the second"
        raise ExperimentError(message(f"{file}:{second.lineno}", rule, got=second.name))
    node, mark = candidates[0]
    marks = _read_marks(mark, file)
    absent, places, multiple = marks.get("absent", {}), marks.get("places", ()), marks.get("size_multiple")
    signature = _signature_node(node)
    doc = ast.get_docstring(node) or ""
    helps = _argument_helps(doc)
    arguments = signature.args if signature is not None else ast.arguments([], [], None, [], [], None, [])
    knobs = {}
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        name_of_knob, where = argument.arg, f"{file}:{argument.lineno}"
        knobs[name_of_knob] = Knob(
            name=name_of_knob,
            annotation=_annotation(argument),
            default=_literal(default, where, f"the default of knob {name_of_knob}") if default else REQUIRED,
            help=helps.get(name_of_knob, ""),
            absent=absent.get(name_of_knob, REQUIRED),
            is_place=name_of_knob in places,
        )
    for argument_name, named in (("absent", absent), ("places", places)):
        unknown = [knob for knob in named if knob not in knobs]
        if unknown:
            where = f"{file}:{node.lineno}"
            rule = f"{argument_name}= names no knob"
            raise ExperimentError(message(where, rule, got=unknown[0], known=knobs))
    positional = [*arguments.posonlyargs, *arguments.args]
    return Variant(
        axis=axis,
        name=name or file.stem,
        file=file,
        line=node.lineno,
        callable=node.name,
        summary=_summary(doc),
        doc=doc,
        runtime=tuple(each.arg for each in positional if each.arg not in ("self", "cls")),
        knobs=knobs,
        size_multiple=None if multiple is None else str(multiple),
        flawed=marks.get("flawed"),
        origin=origin,
        digest=None if origin == "built-in" else hashlib.sha256(source).hexdigest(),
    )


def read_class(file: Path, name: str) -> tuple[str, tuple[str, ...], dict[str, Knob]] | None:
    """Read a class of another package: its summary, its bases and the parameters of its `__init__`.

    A parameter whose default is no literal is left out.

    Raises:
        ExperimentError: The file does not parse.
    """
    _, tree = _parse(file)
    node = next((n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name), None)
    signature = None if node is None else _signature_node(node)
    if node is None or signature is None:
        return None
    doc = ast.get_docstring(node) or ""
    helps = _argument_helps(doc)
    positional = [*signature.args.posonlyargs, *signature.args.args][1:]
    defaults: list[ast.expr | None] = list(signature.args.defaults)
    missing: list[ast.expr | None] = [None] * (len(positional) - len(defaults))
    pairs = zip(
        [*positional, *signature.args.kwonlyargs],
        [*missing, *defaults, *signature.args.kw_defaults],
        strict=True,
    )
    knobs = {}
    for argument, default in pairs:
        try:
            value = REQUIRED if default is None else ast.literal_eval(default)
        except ValueError:
            continue
        name, text = argument.arg, _summary(helps.get(argument.arg, ""))
        knobs[name] = Knob(name=name, annotation=_annotation(argument), default=value, help=text)
    return _summary(doc), tuple(ast.unparse(base) for base in node.bases), knobs


def find_preset(file: Path) -> Preset | None:
    """Read `PRESET = {variant: {knob: value}}` of a source file; None where there is none.

    Raises:
        ExperimentError: The file does not parse, or the value is no literal of that form.
    """
    _, tree = _parse(file)
    for node in tree.body:
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        if not any(isinstance(target, ast.Name) and target.id == "PRESET" for target in targets):
            continue
        where = f"{file}:{node.lineno}"
        written = node.value  # type: ignore[attr-defined]
        value: Any = None if written is None else _literal(written, where, "PRESET")
        if not _is_preset(value):
            raise ExperimentError(message(where, "PRESET must be {variant: {knob: value}}", got=value))
        ((base, knobs),) = value.items()
        return Preset(file=file, line=node.lineno, base=base, knobs=knobs, doc=ast.get_docstring(tree) or "")
    return None


def _is_preset(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and len(value) == 1
        and all(isinstance(base, str) and isinstance(knobs, dict) for base, knobs in value.items())
        and all(isinstance(name, str) for knobs in value.values() for name in knobs)
    )


def _parse(file: Path) -> tuple[bytes, ast.Module]:
    try:
        source = file.read_bytes()
        return source, ast.parse(source)
    except OSError as error:
        raise ExperimentError(message(str(file), f"the file cannot be read: {error.strerror}")) from error
    except SyntaxError as error:
        raise ExperimentError(
            message(f"{file}:{error.lineno}", f"the file is not valid Python: {error.msg}")
        ) from error
    except ValueError as error:  # null bytes
        raise ExperimentError(message(str(file), f"the file is not valid Python: {error}")) from error


def _variant_mark(node: ast.FunctionDef | ast.ClassDef) -> ast.expr | None:
    """Return the `@variant` decorator, called or bare."""
    for decorator in node.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        if (getattr(target, "id", None) or getattr(target, "attr", None)) == "variant":
            return decorator
    return None


_MARKS: Final[Mapping[str, Any]] = {
    "absent": dict,
    "places": tuple,
    "size_multiple": str | int,
    "flawed": str,
}
"""Argument of `@variant` -> its type; `registry.marker` says what each is for."""


def _read_marks(mark: ast.expr | None, file: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for keyword in mark.keywords if isinstance(mark, ast.Call) else ():
        if keyword.arg is not None and keyword.arg in _MARKS:
            where, what = f"{file}:{keyword.lineno}", f"{keyword.arg}= of @variant"
            value = _literal(keyword.value, where, what)
            if not isinstance(value, _MARKS[keyword.arg]):
                raise ExperimentError(message(where, f"{what} has the wrong type", got=value))
            found[keyword.arg] = value
    return found


def _signature_node(node: ast.FunctionDef | ast.ClassDef) -> ast.FunctionDef | None:
    if isinstance(node, ast.FunctionDef):
        return node
    return next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)


def _literal(node: ast.expr, where: str, what: str) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise ExperimentError(message(where, f"{what} must be a literal", got=ast.unparse(node))) from error


def _annotation(argument: ast.arg) -> str:
    return ast.unparse(argument.annotation) if argument.annotation else "Any"


def _summary(doc: str) -> str:
    """Return the first paragraph on one line."""
    return " ".join(doc.split("\n\n")[0].split())


def _section(doc: str, title: str) -> list[str]:
    """Return the lines of a section of a Google-style docstring; of `Title: text`, up to an empty one."""
    lines = doc.splitlines()
    for number, line in enumerate(lines, start=1):
        if line == f"{title}:":
            return list(takewhile(lambda line: not line.strip() or line.startswith(" "), lines[number:]))
        if line.startswith(f"{title}: "):
            return list(takewhile(str.strip, [line.removeprefix(f"{title}:"), *lines[number:]]))
    return []


def _argument_helps(doc: str) -> dict[str, str]:
    """Read the `Args:` section of a Google-style docstring: name -> text."""
    helps: dict[str, str] = {}
    current = None
    for line in _section(doc, "Args"):
        if len(line) - len(line.lstrip()) == 4 and ":" in line:
            current, _, text = line.strip().partition(":")
            helps[current] = text.strip()
        elif current and line.strip():
            helps[current] += " " + line.strip()
    return helps
